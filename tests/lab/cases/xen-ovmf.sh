#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# bios="ovmf" under xl: the firmware's shell comes on the standard VGA and on the serial line, and takes keys. Where it does not, it
# may fail no earlier than under the stock device model, which then runs beside it.
. "$(dirname "$0")/../xen-case.sh"
[ -e /usr/share/ovmf/OVMF.fd ] || { echo "skip - OVMF under xl: the Debian package ovmf is missing"; exit 0; }
cat >"$case_dir/script" <<'DOM0'
. /usr/lib/lab/functions
# shell NAME: the firmware's shell comes, and answers; the screen is out/NAME.png, what hvmloader said out/NAME.firmware.
shell() {
    start "$1" || { not_ok "$1: xl create with ovmf"; return 1; }
    wait_said "$1" "Shell> " && vnc "$1" expect-drawn 3000 type "echo typed-%uefiversion%\n" && wait_said "$1" "typed-2." 1 60
    local status=$?
    vnc "$1" wait-quiet 2 capture "/lab/out/$1.png"
    xl dmesg | grep "^(d$(domid_of "$1"))" | sed 's/^([^)]*) \(\[[^]]*\] \)\?//' >"/lab/out/$1.firmware"
    stop "$1"
    return $status
}
comes="OVMF's shell comes up under xl on the standard VGA and takes keys typed through VNC"
domain guest
if shell guest; then
    ok "$comes"
    exit 0
fi
domain stock
sed -i '/device_model_override/d' /run/stock.cfg
if ! grep -q device_model_override /run/guest.cfg || shell stock; then
    not_ok "$comes"
    exit 0
fi
# Numbers of addresses and sizes may differ; the firmware's last words may not.
[ "$(tail -n 1 /lab/out/guest.firmware | tr -d '0-9')" = "$(tail -n 1 /lab/out/stock.firmware | tr -d '0-9')" ]
check $? "OVMF's shell does not come up under the stock device model either, which comes as far: $(tail -n 1 /lab/out/stock.firmware)"
DOM0
# A guest that writes CR8 while an interrupt is pending ends the lab's emulation (see kvm.sh), and EDK2's interrupt handler writes it.
# With this timer mode, in which Xen does not deliver a slow guest's missed ticks one after another, that is rare.
for attempt in 1 2 3; do
    lab_script --vga std --with-stock --cfg 'bios = "ovmf"' --cfg 'timer_mode = "no_missed_ticks_pending"' --memory 512 \
        <"$case_dir/script"
    emulation_died || exit 0
    echo "# the lab's emulation ended itself (attempt $attempt)"
done
echo "skip - OVMF under xl: the lab's emulation ended itself, with $(basename "$DM")"
