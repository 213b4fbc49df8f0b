#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# bios="ovmf" under xl: hvm-dm comes as far as the stock device model, seen side by side. Debian's OVMF build may have lost Xen;
# then both stop at the same place.
. "$(dirname "$0")/../xen-case.sh"
[ -e /usr/share/ovmf/OVMF.fd ] || { echo "skip - OVMF under xl: the Debian package ovmf is missing"; exit 0; }
lab_script --vga std --with-stock --cfg 'bios = "ovmf"' --memory 512 <<'DOM0'
. /usr/lib/lab/functions
# picture NAME: how far the firmware came after its time: the share of the screen that is drawn, in out/NAME.png.
picture() {
    start "$1" || { not_ok "$1: xl create with ovmf"; return; }
    vnc "$1" -t 240 expect-drawn 200 && echo drawn >"/run/$1.drawn"
    sleep 5
    vnc "$1" capture "/lab/out/$1.png" || not_ok "$1: a picture of the screen"
    xl list "$1" >"/lab/out/$1.list" 2>&1
    xl dmesg | grep "^(d$(domid_of "$1"))" | sed 's/^([^)]*) \(\[[^]]*\] \)\?//' >"/lab/out/$1.firmware"
    stop "$1"
}
domain hvm-dm
picture hvm-dm
grep -q device_model_override /run/hvm-dm.cfg || exit 0
domain stock
sed -i '/device_model_override/d' /run/stock.cfg
picture stock
if [ -e /run/stock.drawn ]; then
    [ -e /run/hvm-dm.drawn ]
    check $? "OVMF draws its screen under xl, as under the stock device model"
else
    # Numbers of addresses and sizes may differ; the firmware's last words may not.
    [ "$(tail -n 1 /lab/out/hvm-dm.firmware | tr -d '0-9')" = "$(tail -n 1 /lab/out/stock.firmware | tr -d '0-9')" ]
    check $? "OVMF does not draw under the stock device model either, and comes as far: $(tail -n 1 /lab/out/stock.firmware)"
fi
DOM0
if emulation_died; then echo "skip - OVMF under xl: the lab's emulation ended itself, with $(basename "$DM")"; fi
