#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Linux' own drivers on the USB controller: keyboard and tablet are found; a thousand positions of a VNC viewer's pointer arrive, in
# three modes, each at its pixel; what is typed arrives; devices that come and go by QMP are seen.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

script=$(guest_script <<'END'
modprobe evdev
modprobe uhci_hcd
modprobe usbhid
modprobe hid_generic
tablet=$(input_device 'USB Tablet')
input_device 'USB Keyboard' >/dev/null
dmesg | grep -E "uhci_hcd|usb 1-|input: hvm-dm" | sed 's/^/kernel: /'

# positions MODE: what comes from the tablet until the right button was released, a line for each click of the left one: positions
# without a click may give way to newer ones where the guest is slow.
positions() {
    cat "$tablet" >/tmp/events &
    reader=$!
    stage "mode $1"
    until od -An -v -tx2 -w24 /tmp/events | grep -q "0001 0111 0000 0000$"; do sleep 0.5; done
    kill $reader
    # struct input_event: 16 bytes of time, type (3: absolute, 0: the report's end), code, value
    od -An -v -tu2 -w24 /tmp/events | awk -v mode=$1 '
        BEGIN { x = 0; y = 0 }
        $9 == 3 && $10 == 0 { x = $11 }
        $9 == 3 && $10 == 1 { y = $11 }
        $9 == 1 && $10 == 272 && $11 == 1 { clicked = 1 }
        $9 == 0 && clicked { print "position: " mode, x, y; clicked = 0 }'
}
positions 720x400
modprobe drm edid_firmware=edid/800x600.bin
modprobe bochs
until [ -e /dev/fb0 ]; do sleep 0.2; done
positions 800x600
echo 0 >/sys/class/vtconsole/vtcon1/bind
rmmod bochs
echo edid/1280x1024.bin >/sys/module/drm/parameters/edid_firmware
modprobe bochs
until [ -e /dev/fb0 ]; do sleep 0.2; done
positions 1280x1024
stty -F /dev/tty1 sane
stage type
read -r line </dev/tty1
echo "typed: $line"
stage unplug
until ! grep -q "USB Tablet" /proc/bus/input/devices; do sleep 0.2; done
echo "seen: the tablet went"
stage plug
input_device 'USB Mouse' >/dev/null && echo "seen: a mouse came"
END
)
tests/lab/mkiso --output "$case_dir/cd.iso" --script "$script" || exit 1

# moves WIDTH HEIGHT SEED: 334 positions for vncdo, the first at the corners, and the button that ends them; the list in
# $case_dir/WIDTHxHEIGHT.
moves() {
    awk -v w="$1" -v h="$2" -v seed="$3" -v list="$case_dir/$1x$2" 'BEGIN {
        srand(seed)
        for (i = 0; i < 334; i++) {
            x = i == 0 ? 0 : i == 1 ? w - 1 : int(rand() * w)
            y = i == 0 ? 0 : i == 1 ? h - 1 : int(rand() * h)
            if (x == x0 && y == y0 && i) x = (x + 1) % w
            x0 = x; y0 = y
            printf "move %d %d click 1 pause 0.05 ", x, y
            print x, y >list
        }
        print "click 3"
    }'
}

lab --iso "$case_dir/cd.iso" --vga std --until "script: ended with" --timeout 900 \
    --vncdo "/check: stage mode 720x400/+1:$(moves 720 400 1)" \
    --vncdo "/check: stage mode 800x600/+3:$(moves 800 600 2)" \
    --vncdo "/check: stage mode 1280x1024/+3:$(moves 1280 1024 3)" \
    --keys '/check: stage type/+1:Hello, world! {"~@#$%^&*()_+|\\} 0123\n' \
    --qmp '/check: stage unplug/+1:{"execute":"device_del","arguments":{"id":"tablet"}}' \
    --qmp '/check: stage plug/+1:{"execute":"device_add","arguments":{"driver":"usb-mouse","id":"mouse"}}' \
    -- -usb -device usb-tablet,id=tablet -device usb-kbd,id=kbd
says "Linux finds the controller" "uhci_hcd 0000:00:01.2: UHCI Host Controller"
says "Linux finds the tablet" "input: hvm-dm hvm-dm USB Tablet"
says "Linux finds the keyboard" "input: hvm-dm hvm-dm USB Keyboard"

# Each position at its pixel as libinput has it: value * size / 32768, cut off.
for mode in 720x400 800x600 1280x1024; do
    tr -d '\r' <"$evidence/serial" | awk -v mode=$mode '$1 == "position:" && $2 == mode {
        split(mode, size, "x"); print int($3 * size[1] / 32768), int($4 * size[2] / 32768) }' >"$case_dir/seen"
    cmp -s "$case_dir/seen" "$case_dir/$mode"
    result $? "334 positions in $mode, each at its pixel" "$(diff "$case_dir/seen" "$case_dir/$mode" | head -n 5 | tr '\n' ' ')"
done
says "what is typed arrives" '^typed: Hello, world! \{"~@#\$%\^&\*\(\)_\+\|\\\} 0123$'
says "a tablet that is unplugged goes" "^seen: the tablet went"
says "a mouse that is plugged in comes" "^seen: a mouse came"
