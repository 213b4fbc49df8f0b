#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Linux' own drivers on the small chips: the floppy controller (detection, reading, writing), the clock (time,
# alarm interrupt), the serial port (detection, interrupts both ways).
set -uo pipefail
cd "$(dirname "$0")/../../.."
. tests/lab/common.sh

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
seq 1000000 2000000 | head -c 1474560 >"$dir/a.img"
seq 3000000 4000000 | head -c 737280 >"$dir/b.img"
before=$(sha256sum <"$dir/a.img" | cut -c 1-64)

cat >"$dir/script" <<'END'
#!/bin/sh
modprobe floppy
dmesg | grep -E "Floppy drive|FDC 0"
sha256sum /dev/fd0 | sed 's/^/read: /'
dd if=/dev/zero bs=1k count=100 2>/dev/null | tr '\0' x | dd of=/dev/fd0 bs=1k seek=1340 conv=notrunc 2>/dev/null
echo "write: $?"
seq 1 130000 | head -c 737280 >/numbers
dd if=/numbers of=/dev/fd1 bs=9k 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
cmp /numbers /dev/fd1 && echo "second drive: same"
echo "clock: $(date -u +%s) $(cat /sys/class/rtc/rtc0/since_epoch)"
echo +2 >/sys/class/rtc/rtc0/wakealarm
sleep 4
echo "alarm: $(grep -E 'rtc0' /proc/interrupts | tr -s ' ')"
dmesg | grep -E "ttyS0 at|rtc_cmos.*(alarms|registered)" | sed 's/^/kernel: /'
echo "serial: $(grep -E 'ttyS0' /proc/interrupts | tr -s ' ')"
cat /proc/tty/driver/serial | grep '^0:'
END
tests/lab/mkiso --output "$dir/cd.iso" --script "$dir/script" 2>"$dir/mkiso" || { cat "$dir/mkiso" >&2; exit 1; }
tests/lab/run kvm --iso "$dir/cd.iso" --floppy "$dir/a.img" --put "$dir/b.img" --serial "$dir/serial" \
    --until "script: ended with" --timeout 240 -- -drive file=/lab/b.img,if=floppy,index=1,format=raw >"$dir/log" 2>&1
status=$?
tr -d '\r' <"$dir/serial" >"$dir/text"

# check WHAT PATTERN: is there such a line from the guest?
failed=0
check() {
    if grep -qE -- "$2" "$dir/text"; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        failed=1
    fi
}
check "Linux finds both floppy drives" "Floppy drive\(s\): fd0 is 1.44M, fd1 is 1.44M"
check "Linux finds an 82077" "FDC 0 is a.*82077"
check "Linux reads a floppy" "read: $before"
check "Linux writes a floppy" "write: 0"
tail -c +1372161 "$dir/a.img" | head -c 102400 | tr -d x >"$dir/rest"
if [ -s "$dir/rest" ]; then
    echo "not ok - the image has what Linux wrote"
    failed=1
else
    echo "ok - the image has what Linux wrote"
fi
check "Linux writes and reads a 720 KB floppy" "second drive: same"
read -r _ now rtc < <(grep '^clock:' "$dir/text" || echo "clock: 0 100")
if [ $((rtc - now)) -ge -2 ] && [ $((rtc - now)) -le 2 ]; then echo "ok - the clock's time"; else
    echo "not ok - the clock's time: $rtc, and the system's $now"
    failed=1
fi
check "the clock's alarm interrupts" "alarm: +8: [1-9].*rtc0"
check "Linux finds a 16550A" "ttyS0 at I/O 0x3f8 \(irq = 4.*16550A"
check "the serial port interrupts" "serial: +4: [1-9]"
if [ $failed != 0 ]; then
    echo "# lab status $status"
    tail -n 40 "$dir/log" "$dir/text" | sed 's/^/# /'
fi
exit $failed
