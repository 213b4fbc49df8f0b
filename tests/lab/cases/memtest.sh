#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# memtest86+ comes up from a CD, shows its screen and tells the serial port.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

image=/boot/memtest86+x64.bin
if [ ! -r "$image" ]; then
    echo "skip - memtest86+: $image is missing (Debian package memtest86+)"
    exit 0
fi
export VNCDO evidence
tests/lab/mkiso --output "$case_dir/cd.iso" --kernel "$image" --append "console=ttyS0,115200 nosmp" || exit 1
rm -f "$evidence/drawn"
at_screen='
    v="$VNCDO -S 1.5 -t 60 -s 127.0.0.1:$VNC_PORT"
    $v expect-drawn 10000 && touch $evidence/drawn
    $v capture $evidence/screen.png'
lab --iso "$case_dir/cd.iso" --memory 64 --timeout 300 --host "/Memtest86+/+3:$at_screen" --quit '/Memtest86+/+15' -- -boot d \
    "${stock_options[@]}"
result "$lab_status" "memtest86+ tells the serial port" "see $evidence/lab.log"
[ -e "$evidence/drawn" ]
result $? "memtest86+'s screen is kept as $evidence/screen.png"
