# SPDX-License-Identifier: GPL-2.0-or-later
# No lab: the device model runs on this machine's own KVM, where the processor has vmx or svm; a stock QEMU falls back to its own
# emulation, which is the quick way to write a case. Sourced by `run` after common.sh, which says what each function is for.

lab_prepare() {
    here_accel=kvm
    if ! { grep -qwE 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]; }; then
        [[ $(basename "$opt_dm") == qemu-* ]] || lab_die "this machine has no hardware KVM; use the kvm lab"
        here_accel=tcg
    fi
}

lab_start() {
    local command=("$opt_dm" -accel "$here_accel" -nodefaults -m "$opt_memory" -smp "$opt_smp" -vga "$opt_vga"
        -vnc "127.0.0.1:$((lab_vnc_port - 5900))" -serial "file:$lab_serial" -qmp "unix:$lab_work/qmp,server=on,wait=off")
    [ -z "$opt_iso" ] || command+=(-drive "file=$opt_iso,if=ide,index=2,media=cdrom,format=raw,readonly=on,id=cd0")
    [ -z "$opt_disk" ] || command+=(-drive "file=$opt_disk,if=ide,index=0,media=disk,format=raw,id=hd0")
    [ -z "$opt_floppy" ] || command+=(-drive "file=$opt_floppy,if=floppy,index=0,format=raw,id=fd0")
    : >"$lab_work/console"
    touch "$lab_share/up"
    # setsid: Ctrl-C is for the script, which ends the device model in order.
    (
        cd "$lab_share" || exit 1
        command+=("${dm_options[@]}")
        # In a network of its own, which the setup builds, and whose servers end with the device model.
        if [ -r setup ]; then
            mkdir out
            command=(unshare -n -m -p --fork --kill-child sh -c 'mount -t tmpfs none /run; . ./setup; exec "$@"' setup "${command[@]}")
        fi
        setsid "${command[@]}" >dm.log 2>&1 </dev/null &
        dm=$!
        trap 'kill $dm' TERM
        touch started
        wait "$dm"
        wait "$dm"
        echo $? >exit
    ) &
    lab_pid=$!
}

lab_qmp() {
    { printf '{"execute":"qmp_capabilities"}\n%s\n' "$1"; sleep 1; } | socat -t 5 - "UNIX-CONNECT:$lab_work/qmp" 2>/dev/null |
        tr -d '\r' | grep -E '"(return|error)"' | sed -n 2p | grep .
}

lab_end() {
    lab_qmp '{"execute":"quit"}' >/dev/null
}
