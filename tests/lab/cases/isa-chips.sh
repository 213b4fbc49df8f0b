#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Linux' own drivers on the small chips: the floppy controller (detection, reading, writing), the clock (time,
# alarm interrupt), the serial port (detection, interrupts both ways).
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

seq 1000000 2000000 | head -c 1474560 >"$case_dir/a.img"
seq 3000000 4000000 | head -c 737280 >"$case_dir/b.img"
before=$(sha256sum <"$case_dir/a.img" | cut -c 1-64)

script=$(guest_script <<'END'
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
)
tests/lab/mkiso --output "$case_dir/cd.iso" --script "$script" || exit 1
lab --iso "$case_dir/cd.iso" --floppy "$case_dir/a.img" --put "$case_dir/b.img" --until "script: ended with" --timeout 600 \
    -- -drive file=/lab/b.img,if=floppy,index=1,format=raw
says "Linux finds both floppy drives" "Floppy drive\(s\): fd0 is 1.44M, fd1 is 1.44M"
says "Linux finds an 82077" "FDC 0 is a.*82077"
says "Linux reads a floppy" "read: $before"
says "Linux writes a floppy" "write: 0"
tail -c +1372161 "$case_dir/a.img" | head -c 102400 | tr -d x >"$case_dir/rest"
[ ! -s "$case_dir/rest" ]
result $? "the image has what Linux wrote"
says "Linux writes and reads a 720 KB floppy" "second drive: same"
read -r _ now rtc < <(tr -d '\r' <"$evidence/serial" | grep '^clock:' || echo "clock: 0 100")
[ $((rtc - now)) -ge -2 ] && [ $((rtc - now)) -le 2 ]
result $? "the clock's time" "$rtc, and the system's $now"
says "the clock's alarm interrupts" "alarm: +8: [1-9].*rtc0"
says "Linux finds a 16550A" "ttyS0 at I/O 0x3f8 \(irq = 4.*16550A"
says "the serial port interrupts" "serial: +4: [1-9]"
