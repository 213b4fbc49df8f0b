# SPDX-License-Identifier: GPL-2.0-or-later
# For tests/lab/cases/net-ipxe.sh and net-uefi.sh: each card's option ROM (iPXE) gets an address and a script from the user network,
# and boots a kernel by TFTP: memtest86+, which is small, or with FULL=1 Debian's Linux. NIC: these cards only.
. "$(dirname "${BASH_SOURCE[0]}")/case-lib.sh"
boot_mac=52:54:00:ab:cd:1c

# boot_linux: Debian's kernel, and an initramfs that says what it is.
boot_linux() {
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

# boot_case PICTURE-SECONDS MEMTEST [LAB OPTION...] -- [DEVICE MODEL OPTION...]
boot_case() {
    local picture=$1 memtest=$2 kernel said card options=() dm_options=()
    shift 2
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    dm_options=("${@:2}")
    # shellcheck disable=SC2016 # iPXE expands it
    if [ -n "${FULL:-}" ]; then
        kernel="Debian's kernel"
        (boot_linux) || exit 1
        printf '#!ipxe\n%s\n' 'kernel kernel initrd=initrd console=ttyS0 rdinit=/init quiet mitigations=off lab.mac=${net0/mac}' \
            'initrd initrd' boot >"$case_dir/boot.ipxe"
        said="netboot: Linux .*lab.mac=$boot_mac"
        options+=(--put "$case_dir/initrd" --timeout 1800 --until "lab.mac=$boot_mac")
    else
        kernel=memtest86+
        [ -r "$memtest" ] || { echo "skip - iPXE: $memtest is missing (Debian package memtest86+)"; exit 0; }
        cp "$memtest" "$case_dir/kernel"
        printf '#!ipxe\n%s\n' 'kernel kernel console=ttyS0,115200 nosmp' boot >"$case_dir/boot.ipxe"
        said=Memtest86+
        options+=(--timeout 900 --until "$said")
    fi

    for card in ${NIC:-rtl8139 pcnet e1000}; do
        if ! "$DM" -device help 2>&1 | grep -qw "$card"; then
            echo "skip - $card: this device model has none"
            continue
        fi
        lab --put "$case_dir/boot.ipxe" --put "$case_dir/kernel" --memory 256 "${options[@]}" \
            --host "$picture:\$VNCDO -S 1.5 -s 127.0.0.1:\$VNC_PORT capture $evidence/$card.png || true" \
            -- -boot n -netdev "user,id=wire,tftp=.,bootfile=boot.ipxe" -device "$card,netdev=wire,mac=$boot_mac" "${dm_options[@]}"
        [ "$lab_status" = 0 ] && grep -qa "$said" "$evidence/serial"
        result $? "$card: iPXE boots $kernel over TFTP" "see $evidence/lab.log and $evidence/$card.png"
        cp "$evidence/serial" "$evidence/$card.serial"
    done
}
