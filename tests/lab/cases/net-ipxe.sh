#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each card's option ROM (iPXE) gets an address and a script from the user network, and boots a kernel by TFTP: memtest86+, which
# is small, or with FULL=1 Debian's Linux.
# long
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

memtest=/boot/memtest86+x64.bin
[ -n "${FULL:-}" ] || [ -r "$memtest" ] || { echo "skip - iPXE: $memtest is missing (Debian package memtest86+)"; exit 0; }
mac=52:54:00:ab:cd:1c

# What is served: a script of iPXE's and a kernel; Linux with an initramfs that says what it is.
serve_linux() {
    . tests/lab/common.sh
    lab_kernel
    lab_add_busybox "$case_dir/tree"
    cat >"$case_dir/tree/init" <<'END'
#!/bin/sh
mount -t proc proc /proc
exec >/dev/console 2>&1
echo "netboot: Linux $(uname -r), asked for $(tr ' ' '\n' </proc/cmdline | grep lab.)"
poweroff -f
END
    chmod +x "$case_dir/tree/init"
    lab_cpio "$case_dir/tree" "$case_dir/plain"
    lz4 -l -9 -q "$case_dir/plain" "$case_dir/initrd"
    cp "$kernel_image" "$case_dir/kernel"
}
options=()
# shellcheck disable=SC2016 # iPXE expands it
if [ -n "${FULL:-}" ]; then
    kernel="Debian's kernel"
    (serve_linux) || exit 1
    printf '#!ipxe\n%s\n' 'kernel kernel console=ttyS0 rdinit=/init quiet mitigations=off lab.mac=${net0/mac}' 'initrd initrd' boot
    options=(--put "$case_dir/initrd" --timeout 1800)
    said="netboot: Linux .*lab.mac=$mac"
else
    kernel=memtest86+
    cp "$memtest" "$case_dir/kernel"
    printf '#!ipxe\n%s\n' 'kernel kernel console=ttyS0,115200 nosmp' boot
    options=(--timeout 600 --quit "/Memtest86+/+1")
    said=Memtest86+
fi >"$case_dir/boot.ipxe"

for card in ${NIC:-rtl8139 pcnet e1000}; do
    if ! "$DM" -device help 2>&1 | grep -qw "$card"; then
        echo "skip - $card: this device model has none"
        continue
    fi
    lab --put "$case_dir/boot.ipxe" --put "$case_dir/kernel" --memory 256 "${options[@]}" \
        --host "20:\$VNCDO -S 1.5 -s 127.0.0.1:\$VNC_PORT capture $evidence/$card.png || true" \
        -- -boot n -netdev "user,id=wire,tftp=.,bootfile=boot.ipxe" -device "$card,netdev=wire,mac=$mac"
    [ "$lab_status" = 0 ] && grep -qa "$said" "$evidence/serial"
    result $? "$card: iPXE boots $kernel over TFTP" "see $evidence/lab.log and $evidence/$card.png"
done
