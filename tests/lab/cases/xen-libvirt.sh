#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# libvirt's libxl driver with <emulator>: a domain is created from XML, boots, has its CD changed, is paused, resumed, rebooted
# and destroyed.
. "$(dirname "$0")/../xen-case.sh"
boot_cd FIRSTDISC "$case_dir/cd.iso"
boot_cd OTHERDISC "$case_dir/other.iso"
lab_script --put "$case_dir/cd.iso" --put "$case_dir/other.iso" --with-libvirt <<'DOM0'
. /usr/lib/lab/functions
cp /lab/cd.iso /lab/other.iso /run/
ready="hvm-dm: the guest for xl is ready"
emulator=$(sed -n 's/^device_model_override = "\(.*\)"/\1/p' /lab/guest.cfg)
cat >/run/guest.xml <<XML
<domain type='xen'>
  <name>virt</name>
  <uuid>00000000-0000-4000-8000-0000000000bb</uuid>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='xenfv'>hvm</type><boot dev='cdrom'/></os>
  <features><acpi/><apic/></features>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>${emulator:-/usr/libexec/xen-qemu-system-i386}</emulator>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/><source file='/run/cd.iso'/><target dev='hdc' bus='ide'/><readonly/>
    </disk>
    <interface type='bridge'><mac address='00:16:3e:00:00:03'/><source bridge='xenbr0'/><model type='e1000'/></interface>
    <serial type='pty'><target port='0'/></serial>
    <input type='tablet' bus='usb'/>
    <graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>
    <video><model type='vga' vram='16384'/></video>
  </devices>
</domain>
XML
libvirtd >/lab/out/libvirtd.log 2>&1 &
# run_virsh COMMAND...: what it said is in /run/virsh.out and goes to /lab/out/virsh.log.
run_virsh() {
    local status
    virsh -c xen:///system "$@" >/run/virsh.out 2>&1
    status=$?
    { echo "virsh $* -> $status"; sed 's/^/    /' /run/virsh.out; } >>/lab/out/virsh.log
    return $status
}
wait_until 120 run_virsh version
check $? "libvirtd with the libxl driver answers" || exit 1
: >/run/virt.serial
follow_serial virt /run/virt.serial &
follower=$!
run_virsh create /run/guest.xml
check $? "virsh create with <emulator>" || { tail -n 5 /var/log/xen/qemu-dm-virt.log /var/log/libvirt/libxl/*.log; exit 1; }
[ "$(readlink "/proc/$(dm_pid virt)/exe")" = "${emulator:-/usr/libexec/xen-qemu-system-i386}" ]
check $? "the domain's device model is that program"
wait_said virt "$ready"
check $? "the CD's boot program runs"
run_virsh vncdisplay virt && vncdo -s "127.0.0.1:$((5900 + $(sed -n 's/^127\.0\.0\.1:\([0-9]*\)$/\1/p' /run/virsh.out)))" -t 120 type a &&
    wait_until 60 grep -qa '^a' /run/virt.serial
check $? "a key typed at virsh vncdisplay's VNC server arrives"
run_virsh list && grep -q 'virt.*running' /run/virsh.out
check $? "virsh list shows the domain running"
run_virsh change-media virt hdc /run/other.iso --live
check $? "virsh change-media"
reads_other_disc virt
check $? "the guest reads the other CD"
run_virsh suspend virt && run_virsh domstate virt && grep -q paused /run/virsh.out && run_virsh resume virt &&
    run_virsh domstate virt && grep -q running /run/virsh.out
check $? "virsh suspend and resume"
first=$(domid_of virt) pid=$(dm_pid virt)
vnc virt type r
wait_said virt "$ready" 2 && [ "$(domid_of virt)" != "$first" ]
check $? "a reset by the guest is a new domain, started by libvirtd"
left=$(leftovers "$first"; [ ! -e "/proc/$pid" ] || echo "process $pid")
[ -z "$left" ]
check $? "the domain before the reset left nothing${left:+: $left}"
id=$(domid_of virt) pid=$(dm_pid virt)
xl qemu-monitor-command virt "info usb" | grep -q "USB Tablet"
check $? "the tablet that the XML asks for is plugged in"
run_virsh destroy virt
check $? "virsh destroy"
kill $follower
sleep 1
left=$(leftovers "$id"; [ ! -e "/proc/$pid" ] || echo "process $pid")
[ -z "$left" ]
check $? "nothing is left${left:+: $left}"
cp /run/virt.serial /lab/out/serial-virt
cp /var/log/libvirt/libxl/*.log /lab/out/
exit 0
DOM0
