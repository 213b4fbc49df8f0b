#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Debian's kernel with its Xen drivers under xl: the emulated disk and cards are unplugged, the PV ones work on; then what xl asks
# of a guest with these drivers: reboot, vcpu-set, trigger, shutdown.
. "$(dirname "$0")/../xen-case.sh"
script=$(xen_guest_script <<'END'
dmesg -n 1
echo '/bin/poweroff -f' >/proc/sys/kernel/poweroff_cmd
modprobe xen-blkfront
modprobe sd_mod
wait_for /dev/xvda
sleep 0.5
if [ "$(dd if=/dev/xvda bs=4 count=1 2>/dev/null)" = mark ]; then
    check 0 "xl reboot starts the guest anew, and the disk holds what was written"
    stage processors
    for i in 1 2 3 4 5 6 7 8 9 10; do
        [ -e /sys/devices/system/cpu/cpu1 ] && break
        sleep 1
    done
    [ "$(cat /sys/devices/system/cpu/cpu1/online)" = 1 ] || echo 1 >/sys/devices/system/cpu/cpu1/online
    [ "$(nproc)" = 2 ]; check $? "xl vcpu-set brings a second processor" "$(nproc) of $(cat /sys/devices/system/cpu/present)"
    modprobe button
    modprobe evdev
    power=$(grep -l 'Power Button' /sys/class/input/event*/device/name | head -n 1)
    power=/dev/input/$(basename "$(dirname "$(dirname "$power")")")
    stage power
    timeout 120 head -c 24 "$power" >/dev/null; check $? "xl trigger power presses the power button" "nothing came from $power"
    stage shutdown
    sleep 300
    echo "xl shutdown did nothing"
    exit 1
fi
[ ! -b /dev/sda ] && [ -b /dev/xvda ]; check $? "the emulated disk is unplugged and the PV disk is there" "$(ls /sys/block)"
[ -b /dev/sr0 ] && [ -e /mnt/cd/modules ]; check $? "the CD stays" "$(ls /sys/block)"
check_disk /dev/xvda "the PV disk"
blkdiscard -o 16777216 -l 1048576 /dev/xvda 2>/dev/null; check $? "the PV disk takes a discard" "no"
! grep -qE '0x(8139|2000|100e)$' /sys/bus/pci/devices/*/device; check $? "the emulated network cards are unplugged" "$(cat /sys/bus/pci/devices/*/device)"
modprobe af_packet
modprobe xen-netfront
wait_for /sys/class/net/eth2
answered=''
for card in 0 1 2; do
    ip link set eth$card up
    ip addr add 10.0.9.$((card + 2))/24 dev eth$card
    for i in 1 2 3 4 5 6; do ping -c 1 -W 3 10.0.9.1 >/dev/null && break; done
    ping -c 1 -W 5 10.0.9.1 >/dev/null && answered=$answered$card
    [ $card = 2 ] || ip link set eth$card down
done
[ "$answered" = 012 ]; check $? "dom0 answers each interface over netback" "only '$answered' of $(ls /sys/class/net)"
wget -q -O /fetched http://10.0.9.1/pattern
[ "$(sha256sum </fetched)" = "$(wget -q -O - http://10.0.9.1/sum)" ]; check $? "4 MiB fetched from dom0 have the right checksum" "other data"
printf mark | dd of=/dev/xvda conv=notrunc,fsync 2>/dev/null
stage reboot
sleep 300
echo "xl reboot did nothing"
exit 1
END
)
printf '#!/bin/sh\nexec /bin/reboot -f\n' >"$case_dir/reboot"
vifs=()
for model in rtl8139 pcnet e1000; do vifs+=("'mac=00:16:3e:00:00:0${#vifs[@]},bridge=xenbr0,model=$model'"); done
make_cd --script "$script" --initrd "$case_dir/reboot:sbin/reboot" --append "$xen_quick"
truncate -s 48M "$case_dir/disk"
serve='mkdir -p /run/www; cd /run/www; head -c 4194304 /dev/urandom >pattern; sha256sum <pattern >sum; httpd -h /run/www >/dev/null 2>&1'
lab --iso "$case_dir/cd.iso" --disk "$case_dir/disk" --backend qdisk --timeout "$case_seconds" --cfg "maxvcpus = 2" \
    --cfg "vif = [$(IFS=,; echo "${vifs[*]}")]" --dom0 "1:$serve" \
    --xl "/check: stage reboot/:reboot guest" --xl "/check: stage processors/:vcpu-set --ignore-host guest 2" \
    --xl "/check: stage power/+2:trigger guest power" --xl "/check: stage shutdown/:shutdown guest"
result "$lab_status" "Debian's kernel boots with its Xen drivers, and xl shutdown ends it" "see $evidence/lab.log"
guest_checks "the emulated disk is unplugged and the PV disk is there" "the CD stays" "the PV disk: 8 MiB written and read back" \
    "the PV disk: a file system holds a file" "the PV disk takes a discard" \
    "the emulated network cards are unplugged" "dom0 answers each interface over netback" \
    "4 MiB fetched from dom0 have the right checksum" \
    "xl reboot starts the guest anew, and the disk holds what was written" "xl vcpu-set brings a second processor" \
    "xl trigger power presses the power button"
