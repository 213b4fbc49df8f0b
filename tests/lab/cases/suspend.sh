#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Suspend to RAM (ACPI S3): Linux goes to sleep, QMP wakes it, and its memory, clock and drives are there; the second time the
# alarm of its clock wakes it.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

script=$(guest_script <<'END'
dmesg | grep "supports S"
sum=$(sha256sum /mnt/cd/isolinux/isolinux.bin)
echo deep >/sys/power/mem_sleep
echo "going to sleep"
echo mem >/sys/power/state && echo "awake again"
echo 3 >/proc/sys/vm/drop_caches
[ "$(sha256sum /mnt/cd/isolinux/isolinux.bin)" = "$sum" ] && echo "the CD: same"
before=$(cat /sys/class/rtc/rtc0/since_epoch)
echo +40 >/sys/class/rtc/rtc0/wakealarm
echo "sleeping for a while"
echo mem >/sys/power/state && echo "woken by the alarm after $(($(cat /sys/class/rtc/rtc0/since_epoch) - before)) s"
END
)
tests/lab/mkiso --output "$case_dir/cd.iso" --script "$script" || exit 1
lab --iso "$case_dir/cd.iso" --qmp '/going to sleep/+20:{"execute": "query-status"}' \
    --qmp '/going to sleep/+22:{"execute": "system_wakeup"}' --until "script: ended with" --timeout 600
says "the BIOS offers S3" "supports S0 S3 S5"
says "the guest sleeps" '"status": "suspended"' "$evidence/lab.log"
says "it wakes up" "awake again"
says "its CD drive wakes up with it" "the CD: same"
says "the clock's alarm wakes it, and time went on" "woken by the alarm after ([4-9][0-9]|[0-9]{3}) s"
