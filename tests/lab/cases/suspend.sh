#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Suspend to RAM (ACPI S3): Linux goes to sleep, QMP wakes it, and its memory, clock and drives are there; the second time the
# alarm of its clock wakes it.
set -uo pipefail
cd "$(dirname "$0")/../../.."
. tests/lab/common.sh

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/script" <<'END'
#!/bin/sh
dmesg | grep "supports S"
sum=$(sha256sum /mnt/cd/isolinux/isolinux.bin)
echo deep >/sys/power/mem_sleep
echo "going to sleep"
echo mem >/sys/power/state && echo "awake again"
echo 3 >/proc/sys/vm/drop_caches
[ "$(sha256sum /mnt/cd/isolinux/isolinux.bin)" = "$sum" ] && echo "the CD: same"
before=$(cat /sys/class/rtc/rtc0/since_epoch)
echo "sleeping for a while"
rtcwake -d rtc0 -s 10 -m mem && echo "woken by the alarm after $(($(cat /sys/class/rtc/rtc0/since_epoch) - before)) s"
END
tests/lab/mkiso --output "$dir/cd.iso" --script "$dir/script" 2>"$dir/mkiso" || { cat "$dir/mkiso" >&2; exit 1; }
tests/lab/run kvm --iso "$dir/cd.iso" --serial "$dir/serial" --qmp '/going to sleep/+20:{"execute": "query-status"}' \
    --qmp '/going to sleep/+22:{"execute": "system_wakeup"}' --until "script: ended with" --timeout 300 >"$dir/log" 2>&1
status=$?

# check WHAT PATTERN FILE
failed=0
check() {
    if grep -aqE -- "$2" "$3"; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        failed=1
    fi
}
check "the BIOS offers S3" "supports S0 S3 S5" "$dir/serial"
check "the guest sleeps" '"status": "suspended"' "$dir/log"
check "it wakes up" "awake again" "$dir/serial"
check "the clock's alarm wakes it, and time went on" "woken by the alarm after [1-9][0-9]" "$dir/serial"
check "its CD drive wakes up with it" "the CD: same" "$dir/serial"
if [ $failed != 0 ]; then
    echo "# lab status $status"
    tail -n 40 "$dir/log" "$dir/serial" | sed 's/^/# /'
fi
exit $failed
