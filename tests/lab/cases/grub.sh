#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# GRUB's rescue CD comes up, its prompt on the screen, takes keys and writes to the serial port.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

iso=/usr/lib/grub-rescue/grub-rescue-cdrom.iso
if [ ! -r "$iso" ]; then
    echo "skip - GRUB's rescue CD: $iso is missing (Debian package grub-rescue-pc)"
    exit 0
fi
export VNCDO evidence
# Nobody says when the menu is there: ask for the command line and type until GRUB answers. Slowly, for GRUB polls its keys.
at_start='
    v="$VNCDO -S 1.5 -d 300 -t 60 -s 127.0.0.1:$VNC_PORT"
    until lab_serial_says "grub is alive"; do
        sleep 8
        $v capture $evidence/screen.png key escape key escape type c pause 2 type \
            "serial --unit=0\nterminal_output console serial\nset a=alive\necho grub is \$a\n"
        sleep 2
    done
    $v expect-drawn 1000 && touch $evidence/drawn
    $v capture $evidence/screen.png'
rm -f "$evidence/drawn"
lab --iso "$iso" --memory 128 --timeout 300 --host "3:$at_start" --quit '/grub is alive/+15' -- -boot d "${stock_options[@]}"
result "$lab_status" "GRUB's rescue CD takes keys and writes to the serial port" "see $evidence/lab.log"
[ -e "$evidence/drawn" ]
result $? "GRUB's screen is kept as $evidence/screen.png"
