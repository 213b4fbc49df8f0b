#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# UEFI on KVM: OVMF by -bios comes up on the standard VGA, with its shell on the screen and on the serial line, and takes keys.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

firmware=/usr/share/ovmf/OVMF.fd
if [ ! -r "$firmware" ]; then
    echo "skip - OVMF: $firmware is missing (Debian package ovmf)"
    exit 0
fi
export VNCDO evidence
make -s build/guests/xl.img && tests/lab/mkboot build/guests/xl.img NOEFI "$case_dir/cd.iso" || { echo "not ok - $case_name: making the CD"; exit 1; }
rm -f "$evidence/drawn"
# The shell waits some seconds for Esc before it looks for a script; nothing here boots by UEFI.
at_shell='
    v="$VNCDO -S 1.5 -d 300 -t 120 -s 127.0.0.1:$VNC_PORT"
    $v expect-drawn 3000 capture $evidence/shell.png && touch $evidence/drawn
    $v type "\n" wait-quiet 3 type "echo typed-%uefiversion%\n" wait-quiet 3 capture $evidence/typed.png'
lab --iso "$case_dir/cd.iso" --vga std --memory 256 --put "$firmware" --timeout 900 --host "/Interactive Shell/+2:$at_shell" \
    --until "typed-2." -- -bios "$([ "${LAB:-kvm}" = here ] && echo "$firmware" || echo /lab/OVMF.fd)" "${stock_options[@]}"
result "$lab_status" "OVMF's shell comes up and takes keys typed through VNC" "see $evidence/lab.log"
[ -e "$evidence/drawn" ]
result $? "it is on the standard VGA's screen, kept as $evidence/shell.png"
