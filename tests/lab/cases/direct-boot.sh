#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Kernels without a disk: -kernel, -initrd and -append with Linux under SeaBIOS and OVMF, and a multiboot kernel with modules.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

here() { [ "${LAB:-kvm}" = here ]; }
# In the lab the files are in /lab.
place() { if here; then printf %s "$1"; else printf %s "/lab/$(basename "$1")"; fi; }

make -s build/guests/multiboot.elf || { echo "not ok - $case_name: building the multiboot kernel"; exit 1; }
printf 'first module' >"$case_dir/one"
printf 'second' >"$case_dir/two"
lab --put build/guests/multiboot.elf --put "$case_dir/one" --put "$case_dir/two" --timeout 300 -- -no-reboot \
    -kernel "$(place "$PWD/build/guests/multiboot.elf")" -append "some words" \
    -initrd "$(place "$case_dir/one") with words,$(place "$case_dir/two")"
says "a multiboot kernel starts and reads its command line" "^multiboot: .*multiboot.elf some words$"
says "its first module is there, with its words" "^module .*/one with words: first module$"
says "and the second" "^module .*/two: second$"
says "it has a memory map, and its .bss is zero" "^end$"

script=$(guest_script <<'END'
grep -q "asked=for" /proc/cmdline; check $? "the command line is read" "$(cat /proc/cmdline)"
[ -d /sys/firmware/efi ] && echo "check: started by UEFI"
echo "check: end"
poweroff -f
END
)
tests/lab/mkiso --output "$case_dir/cd.iso" --script "$script" || exit 1
xorriso -osirrox on -indev "$case_dir/cd.iso" -extract /isolinux "$case_dir/boot" >/dev/null 2>&1
words="console=ttyS0,115200 rdinit=/init mitigations=off asked=for"
lab --put "$case_dir/boot/vmlinuz" --put "$case_dir/boot/initrd" --iso "$case_dir/cd.iso" --timeout 600 \
    -- -kernel "$(place "$case_dir/boot/vmlinuz")" -initrd "$(place "$case_dir/boot/initrd")" -append "$words"
result "$lab_status" "Linux boots from a bzImage under SeaBIOS" "see $evidence/lab.log"
guest_checks "the command line is read"

firmware=/usr/share/ovmf/OVMF.fd
[ -r "$firmware" ] || { echo "skip - OVMF: $firmware is missing (Debian package ovmf)"; exit 0; }
lab --put "$case_dir/boot/vmlinuz" --put "$case_dir/boot/initrd" --iso "$case_dir/cd.iso" --put "$firmware" --vga std --memory 512 \
    --timeout 900 -- -bios "$(place "$firmware")" -kernel "$(place "$case_dir/boot/vmlinuz")" \
    -initrd "$(place "$case_dir/boot/initrd")" -append "$words"
result "$lab_status" "Linux boots from a bzImage under OVMF" "see $evidence/lab.log"
says "and knows that UEFI started it" "check: started by UEFI"
