# SPDX-License-Identifier: GPL-2.0-or-later
# The KVM lab: QEMU emulates a machine with SVM, Debian's kernel loads kvm-amd there, and the device model runs on its /dev/kvm.
# Sourced by `run` after common.sh, which says what each function is for.
#
# The guest's media are disks of the outer machine, so that its page cache serves them; its serial line comes by the 9p share;
# VNC and QMP come out by port forwarding.

kvm_outer_modules=(kvm-amd virtio_pci virtio_blk virtio_net 9p 9pnet_virtio tun bridge)
# For a setup that builds a network, which loads them.
kvm_net_modules=(veth 8021q)

# kvm_keep_cr8_exits MODULE: kvm-amd lets a guest write CR8 without an exit while no waiting interrupt has a lower priority. Emulated
# by QEMU (7.2 and 10.0), such a write ends the emulator by an assertion when a virtual interrupt is pending, which EDK2's interrupt
# handler soon comes upon. Here svm_update_cr8_intercept returns at once: all writes stay exits, as KVM begins with.
kvm_keep_cr8_exits() {
    local symbol section code
    symbol=$(nm "$1" | sed -n 's/ t svm_update_cr8_intercept$//p')
    section=$(objdump -h -j .text "$1" | awk '$2 == ".text" { print $6 }')
    code=$((16#${section:-0} + 16#${symbol:-0}))
    # Such a function begins with a call of five bytes that the kernel replaces when it loads the module.
    if [ -n "$symbol" ] && [ "$(od -An -tx1 -j $code -N 1 "$1")" = " e8" ]; then
        printf '\xc3' | dd of="$1" bs=1 seek=$((code + 5)) conv=notrunc status=none
    else
        lab_say "kvm-amd has no svm_update_cr8_intercept as expected; UEFI may end the lab's emulation"
    fi
}

# lab_prepare: $kvm_initramfs, made anew when the device model, the lab's init or the kernel change.
lab_prepare() {
    local key tree firmware
    [[ " ${action_kind[*]-} " =~ " "(xl|dom0)" " ]] && lab_die "--xl and --dom0 are for the Xen lab"
    lab_kernel
    firmware=(/usr/share/seabios /usr/lib/ipxe/qemu)
    [ -d /usr/share/seabios ] || lab_die "/usr/share/seabios is missing; install the Debian package seabios"
    # The stock QEMU looks for its own small ROMs, too.
    [[ $(basename "$opt_dm") != qemu-* ]] || firmware+=(/usr/share/qemu)
    key=$( (cat "$opt_dm" "$lab_dir/kvm.sh" "$lab_dir/kvm-init" "$lab_dir/common.sh"; echo "$kernel_version") | sha256sum | cut -c 1-16)
    kvm_initramfs=$LAB_CACHE/kvm-lab-$(basename "$opt_dm")-$key.cpio
    mkdir -p "$LAB_CACHE"
    (
        flock 7
        [ -e "$kvm_initramfs" ] && exit 0
        lab_say "making the KVM lab's initramfs with $opt_dm"
        # Older ones stay for a while: another run may be booting from them.
        find "$LAB_CACHE" -maxdepth 1 -name "kvm-lab-$(basename "$opt_dm")-*.cpio" -mmin +60 -delete
        tree=$(mktemp -d "$LAB_CACHE/kvm-tree.XXXXXX")
        lab_add_busybox "$tree"
        lab_add_modules "$tree" "${kvm_outer_modules[@]}"
        kvm_keep_cr8_exits "$tree/modules/kvm-amd.ko"
        lab_add_modules "$tree/net" "${kvm_net_modules[@]}"
        mv "$tree/net/modules" "$tree/modules/net"
        rmdir "$tree/net"
        rm "$tree/bin/ip"
        lab_add_program "$tree" "$opt_dm" "$(command -v socat || lab_die "socat is missing")" \
            "$(command -v ip || lab_die "ip is missing")"
        mkdir -p "$tree/lab"
        lab_add_layouts "$tree"
        (cd / && find "${firmware[@]}" \( -name '*.bin' -o -name '*.rom' -o -path '*/keymaps/*' \) -print0 |
            tar -c --null -T - 2>/dev/null) | tar -x -C "$tree"
        install -m 755 "$lab_dir/kvm-init" "$tree/init"
        lab_cpio "$tree" "$kvm_initramfs"
        rm -rf "$tree"
    ) 7>"$LAB_CACHE/kvm-lab.lock" || exit 2
}

# kvm_dm_command: the device model's command line, quoted for the lab's shell.
kvm_dm_command() {
    local command=("$opt_dm" -accel kvm -nodefaults -m "$opt_memory" -smp "$opt_smp" -vga "$opt_vga"
        -vnc 0.0.0.0:0 -serial file:/run/serial -qmp "unix:/run/qmp,server=on,wait=off")
    local unit=a
    # Virtual disks of the outer machine, in the order in which lab_start gives them.
    [ -z "$opt_iso" ] || { command+=(-drive "file=/dev/vd$unit,if=ide,index=2,media=cdrom,format=raw,readonly=on,id=cd0"); unit=b; }
    [ -z "$opt_disk" ] || { command+=(-drive "file=/dev/vd$unit,if=ide,index=0,media=disk,format=raw,id=hd0"); unit=$(tr ab bc <<<"$unit"); }
    [ -z "$opt_floppy" ] || command+=(-drive "file=/dev/vd$unit,if=floppy,index=0,format=raw,id=fd0")
    printf '%q ' "${command[@]}" "${dm_options[@]}"
}

lab_start() {
    local size options=() initramfs_mib
    initramfs_mib=$(($(stat -c %s "$kvm_initramfs") / 1048576))
    # The guest, the initramfs as file and as tree, the outer kernel with its page cache, the device model.
    size=$((opt_memory + 2 * initramfs_mib + 384))
    kvm_dm_command >"$lab_share/command"
    : >"$lab_work/console"
    if [ -n "$opt_iso" ]; then options+=(-drive "file=$opt_iso,if=virtio,format=raw,readonly=on"); fi
    if [ -n "$opt_disk" ]; then options+=(-drive "file=$opt_disk,if=virtio,format=raw,cache=unsafe,discard=unmap"); fi
    if [ -n "$opt_floppy" ]; then options+=(-drive "file=$opt_floppy,if=virtio,format=raw,cache=unsafe"); fi
    kvm_qmp_port=$(lab_free_port)
    # setsid: Ctrl-C is for the script, which ends the guest in order.
    setsid qemu-system-x86_64 -accel tcg,thread=multi,tb-size=1024 -machine q35 -cpu "$(lab_cpu EPYC "")" -smp "${LAB_CPUS:-2}" -m "$size" \
        -kernel "$kernel_image" -initrd "$kvm_initramfs" \
        -append "console=ttyS0 quiet mitigations=off rdinit=/init panic=-1" \
        -nodefaults -display none -no-reboot -serial "file:$lab_work/console" \
        -fsdev "local,id=share,path=$lab_share,security_model=none" -device virtio-9p-pci,fsdev=share,mount_tag=lab \
        -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$lab_vnc_port-:5900,hostfwd=tcp:127.0.0.1:$kvm_qmp_port-:4444" \
        -device virtio-net-pci,netdev=net,romfile= "${options[@]}" >>"$lab_work/console" 2>&1 </dev/null &
    lab_pid=$!
    : >"$lab_share/serial"
    tail -q -n +1 -s 0.2 --pid="$lab_pid" -f "$lab_share/serial" >>"$lab_serial" 2>/dev/null &
}

lab_qmp() {
    lab_qmp_tcp "$kvm_qmp_port" "$1"
}

# lab_end: a guest's disk lies in the device model's and the outer kernel's caches until they end in order.
lab_end() {
    [ -n "$opt_disk" ] || return 0
    lab_qmp '{"execute":"quit"}' >/dev/null
    local i
    for ((i = 0; i < 100; i++)); do
        kill -0 "$lab_pid" 2>/dev/null || return 0
        sleep 0.2
    done
    lab_say "the lab did not end in order; the disk may lack the last writes"
}
