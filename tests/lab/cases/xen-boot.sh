#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Debian's kernel under xl on the emulated disk and CD (xen_emul_unplug=never), Cirrus, one processor: checksums, the screen to
# the pixel, keys, the clock.
. "$(dirname "$0")/../xen-case.sh"
script=$(xen_guest_script <<'END'
dmesg -n 1
modprobe sd_mod
wait_for /dev/sda
[ -b /dev/sda ] && [ ! -b /dev/xvda ]; check $? "with xen_emul_unplug=never the emulated disk stays" "$(ls /sys/block)"
check_cd
check_disk /dev/sda "the emulated disk"
before=$(date +%s)
sleep 2
after=$(date +%s)
[ $((after - before)) -ge 2 ] && [ $((after - before)) -le 6 ]; check $? "time passes" "$((after - before)) s for 2 s"
screen '\033[2J\033[H\033[?25lhvm-dm: the text screen\n\n !"#$%%&\047()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`\nabcdefghijklmnopqrstuvwxyz{|}~\n'
screen '\033[31mred \033[32mgreen \033[34mblue \033[1;37;44mwhite on blue\033[0m \033[7mreverse\033[0m\n'
stage text
line=$(typed 300)
[ "$line" = "Hello, World_42 {~}" ]; check $? "keys typed through VNC arrive" "'$line'"
END
)
make_cd --data --script "$script" --append "xen_emul_unplug=never $xen_quick"
truncate -s 48M "$case_dir/disk"
at_text='
    v="$VNCDO -t 60 -s 127.0.0.1:$VNC_PORT"
    $v capture $evidence/text.png
    vncsnapshot -quiet 127.0.0.1:$((VNC_PORT - 5900)) $evidence/vncsnapshot.jpg >/dev/null 2>&1
    $v -e 4 expect-picture tests/lab/cases/text.png && touch $case_dir/text-right
    $v type "Hello, World_42 {~}\n"'
lab --iso "$case_dir/cd.iso" --disk "$case_dir/disk" --vga cirrus --timeout "$case_seconds" --host "/check: stage text/:$at_text"
result "$lab_status" "Debian's kernel boots from the CD under xl, and its power-off ends the domain" "see $evidence/lab.log"
guest_checks "with xen_emul_unplug=never the emulated disk stays" "64 MiB from the CD have the right checksum" \
    "the emulated disk: 8 MiB written and read back" "the emulated disk: a file system holds a file" "time passes"
[ -e "$case_dir/text-right" ]
result $? "the text screen is right to the pixel" "see $evidence/text.png beside tests/lab/cases/text.png"
[ "$(stat -c %s "$evidence/vncsnapshot.jpg" 2>/dev/null || echo 0)" -gt 5000 ]
result $? "vncsnapshot takes the text screen" "see $evidence/vncsnapshot.jpg"
guest_checks "keys typed through VNC arrive"
