#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# usb = 1 and usbdevice = "tablet" in a domain's configuration, under xl: Linux finds the tablet, and where a VNC viewer clicks
# arrives at its pixel.
. "$(dirname "$0")/../xen-case.sh"
script=$(xen_guest_script <<'END'
dmesg -n 1
modprobe evdev
modprobe uhci_hcd
modprobe usbhid
modprobe hid_generic
tablet=$(input_device 'USB Tablet'); check $? "Linux finds the tablet" "$(dmesg | grep usb | tail -n 3)"
cat "$tablet" >/tmp/events &
stage point
until od -An -v -tx2 -w24 /tmp/events | grep -q "0001 0111 0000 0000$"; do sleep 0.5; done
# struct input_event: 16 bytes of time, type (3: absolute, 1: a key, 0: the report's end), code, value
seen=$(od -An -v -tu2 -w24 /tmp/events | awk '
    $9 == 3 && $10 == 0 { x = $11 }
    $9 == 3 && $10 == 1 { y = $11 }
    $9 == 1 && $10 == 272 && $11 == 1 { clicked = 1 }
    $9 == 0 && clicked { printf "%d,%d ", int(x * 720 / 32768), int(y * 400 / 32768); clicked = 0 }')
[ "$seen" = "1,1 719,399 77,311 " ]; check $? "clicks arrive at their pixels" "$seen"
END
)
make_cd --script "$script" --append "xen_emul_unplug=never $xen_quick"
lab --iso "$case_dir/cd.iso" --vga std --timeout "$case_seconds" --cfg 'usb = 1' --cfg 'usbdevice = "tablet"' \
    --vncdo '/check: stage point/+1:move 1 1 click 1 pause 0.3 move 719 399 click 1 pause 0.3 move 77 311 click 1 pause 0.3 click 3'
guest_checks "Linux finds the tablet" "clicks arrive at their pixels"
