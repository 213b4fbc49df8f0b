#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Debian's kernel started by OVMF from an EFI system partition: it has ACPI, sleeps and wakes, and power-off ends the device model.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

firmware=/usr/share/ovmf/OVMF.fd
[ -r "$firmware" ] || { echo "skip - UEFI: $firmware is missing (Debian package ovmf)"; exit 0; }
script=$(guest_script <<'END'
[ -d /sys/firmware/efi ]; check $? "the kernel was started by UEFI" "no /sys/firmware/efi"
[ -e /sys/firmware/acpi/tables/DSDT ] && grep -q HVMDSDT /sys/firmware/acpi/tables/DSDT; check $? "it has our ACPI tables" "$(ls /sys/firmware/acpi/tables)"
! dmesg | grep -qi "ACPI.*\(error\|unable\|BIOS bug\|failed\)"; check $? "nothing of ACPI fails" "$(dmesg | grep -i 'ACPI.*\(error\|unable\|bug\|failed\)')"
[ "$(grep -c ^processor /proc/cpuinfo)" = 2 ]; check $? "both processors run" "$(grep -c ^processor /proc/cpuinfo)"
ls -d /sys/bus/pnp/devices/* >/dev/null && grep -q PNP0501 /sys/bus/pnp/devices/*/id; check $? "PNP devices are those of the board" "$(cat /sys/bus/pnp/devices/*/id | tr '\n' ' ')"
grep -q "IO-APIC.*fasteoi.*acpi" /proc/interrupts; check $? "the SCI is the IOAPIC's" "$(grep acpi /proc/interrupts)"
[ -d /proc/acpi ] && dmesg | grep -q "supports S0 S3 S5"; check $? "S3 and S5 are offered" "$(dmesg | grep 'supports S')"
echo deep >/sys/power/mem_sleep
echo +20 >/sys/class/rtc/rtc0/wakealarm
echo "check: stage sleep"
echo mem >/sys/power/state; check $? "it sleeps, and its clock wakes it" "status $?"
echo "check: end"
poweroff -f
END
)
tests/lab/mkiso --output "$case_dir/cd.iso" --script "$script" || exit 1
# The kernel and its initramfs on a FAT volume, started by the shell's script.
xorriso -osirrox on -indev "$case_dir/cd.iso" -extract /isolinux "$case_dir/boot" >/dev/null 2>&1
printf 'fs0:\\vmlinuz.efi initrd=\\initrd console=ttyS0,115200 rdinit=/init mitigations=off\r\n' >"$case_dir/startup.nsh"
truncate -s 64M "$case_dir/esp"
mformat -i "$case_dir/esp" -h 16 -s 63 -H 0 -F :: && mcopy -i "$case_dir/esp" "$case_dir/boot/vmlinuz" ::/vmlinuz.efi &&
    mcopy -i "$case_dir/esp" "$case_dir/boot/initrd" "$case_dir/startup.nsh" ::/ || { echo "not ok - $case_name: making the volume"; exit 1; }
lab --iso "$case_dir/cd.iso" --disk "$case_dir/esp" --vga std --memory 512 --put "$firmware" --timeout 900 \
    -- -smp 2 -bios "$([ "${LAB:-kvm}" = here ] && echo "$firmware" || echo /lab/OVMF.fd)"
result "$lab_status" "power-off ends the device model" "see $evidence/lab.log"
guest_checks "the kernel was started by UEFI" "it has our ACPI tables" "nothing of ACPI fails" "both processors run" \
    "PNP devices are those of the board" "the SCI is the IOAPIC's" "S3 and S5 are offered" "it sleeps, and its clock wakes it"
