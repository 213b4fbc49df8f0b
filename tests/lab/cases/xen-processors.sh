#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Debian's kernel under xl with two and four processors of more that may come, on the standard VGA and Cirrus.
. "$(dirname "$0")/../xen-case.sh"
script=$(xen_guest_script <<'END'
dmesg -n 1
[ "$(nproc)" = "$(sed 's/.*lab.processors=\([0-9]*\).*/\1/' /proc/cmdline)" ]; check $? "all processors run" "$(nproc)"
check_cd
driver=$(sed 's/.*lab.driver=\([a-z]*\).*/\1/' /proc/cmdline)
modprobe $driver
sleep 1
grep -q $driver /proc/fb; check $? "the kernel's display driver sets a mode" "$(cat /proc/fb)"
stage picture
typed 300 >/dev/null
END
)
# boot PROCESSORS MOST VGA DRIVER
boot() {
    make_cd --data --script "$script" --append "xen_emul_unplug=never lab.processors=$1 lab.driver=$4 $xen_quick"
    rm -f "$case_dir/drawn"
    lab --iso "$case_dir/cd.iso" --vga "$3" --smp "$1" --cfg "maxvcpus = $2" --timeout "$case_seconds" \
        --host "/check: stage picture/:
            \$VNCDO -t 60 -s 127.0.0.1:\$VNC_PORT expect-size 1024x768 && touch \$case_dir/drawn
            \$VNCDO -t 60 -s 127.0.0.1:\$VNC_PORT capture \$evidence/$3.png type '\\n'"
    result "$lab_status" "Debian's kernel boots with $1 of $2 processors and $3" "see $evidence/lab.log"
    guest_checks "all processors run" "64 MiB from the CD have the right checksum" "the kernel's display driver sets a mode"
    [ -e "$case_dir/drawn" ]
    result $? "VNC shows the display driver's mode" "see $evidence/$3.png"
}
boot 2 4 std bochs
boot 4 6 cirrus cirrus
