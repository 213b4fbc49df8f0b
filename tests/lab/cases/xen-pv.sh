#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Debian's kernel with its Xen drivers under xl: the emulated disk and NIC are unplugged, the PV ones work on; then what xl asks
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
if grep -qw lab.nic /proc/cmdline; then
    ! grep -q 0x8139 /sys/bus/pci/devices/*/device; check $? "the emulated NIC is unplugged" "$(cat /sys/bus/pci/devices/*/device)"
fi
modprobe af_packet
modprobe xen-netfront
wait_for /sys/class/net/eth0
ip link set eth0 up
ip addr add 10.0.9.2/24 dev eth0
for i in 1 2 3 4 5 6; do ping -c 1 -W 3 10.0.9.1 >/dev/null && break; done
ping -c 1 -W 5 10.0.9.1 >/dev/null; check $? "dom0 answers over netback" "$(ls /sys/class/net)"
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
# An emulated card only where the device model has one.
if emulated_nic; then nic=model=rtl8139 nic_word=lab.nic; else nic=type=vif nic_word=''; fi
make_cd --script "$script" --initrd "$case_dir/reboot:sbin/reboot" --append "$nic_word $xen_quick"
truncate -s 48M "$case_dir/disk"
# A model that serves no PV disk leaves it to the kernel: a block device, as here, can be either's.
backend=phy
if [ "$DM" = stock ] || grep -q qdisk "$DM"; then backend=qdisk; else echo "skip - the PV disk served by the device model: this one does not"; fi
serve='mkdir -p /run/www; cd /run/www; head -c 4194304 /dev/urandom >pattern; sha256sum <pattern >sum; httpd -h /run/www >/dev/null 2>&1'
lab --iso "$case_dir/cd.iso" --disk "$case_dir/disk" --backend $backend --timeout "$case_seconds" --cfg "maxvcpus = 2" \
    --cfg "vif = ['mac=00:16:3e:00:00:01,bridge=xenbr0,$nic']" --dom0 "1:$serve" \
    --xl "/check: stage reboot/:reboot guest" --xl "/check: stage processors/:vcpu-set --ignore-host guest 2" \
    --xl "/check: stage power/+2:trigger guest power" --xl "/check: stage shutdown/:shutdown guest"
result "$lab_status" "Debian's kernel boots with its Xen drivers, and xl shutdown ends it" "see $evidence/lab.log"
guest_checks "the emulated disk is unplugged and the PV disk is there" "the CD stays" "the PV disk: 8 MiB written and read back" \
    "the PV disk: a file system holds a file" "the PV disk takes a discard"
if [ -n "$nic_word" ]; then guest_checks "the emulated NIC is unplugged"; else echo "skip - the emulated NIC is unplugged: this device model has none"; fi
guest_checks "dom0 answers over netback" "4 MiB fetched from dom0 have the right checksum" \
    "xl reboot starts the guest anew, and the disk holds what was written" "xl vcpu-set brings a second processor" \
    "xl trigger power presses the power button"
