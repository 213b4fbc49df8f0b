#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Under xl with xen_emul_unplug=never, Debian's kernel drives each of our network cards, all of them in one domain; its taps are
# on dom0's bridge beside netback's interfaces. (xen-pv.sh: the same unplugged, on netback.)
. "$(dirname "$0")/../xen-case.sh"
. tests/lab/net-case.sh
emulated_nic || { echo "skip - network cards under xl: this device model has none"; exit 0; }
net_tools

models=() vifs=() checks=()
for model in rtl8139 pcnet e1000; do
    [ "$DM" = stock ] || "$DM" -device help 2>&1 | grep -qw "$model" || continue
    vifs+=("'type=ioemu,model=$model,mac=00:16:3e:00:01:0$((${#models[@]} + 1)),bridge=xenbr0'")
    models+=("$model")
    checks+=("$model: DHCP gives an address" "$model: it is the emulated card" "$model: ping with frames of many sizes"
        "$model: TCP to dom0" "$model: TCP from dom0" "$model: UDP to dom0" "$model: UDP from dom0")
done
script=$({
    cat tests/lab/xen-guest-lib.sh tests/lab/net-guest-lib.sh
    printf 'models="%s"\nmib=%s step=%s\n' "${models[*]}" "$net_mib" "$([ -n "${FULL:-}" ] && echo 1 || echo 32)"
    cat <<'END'
dmesg -n 1
card=eth0 peer=10.0.9.1
for model in $models; do
    case $model in
    rtl8139)
        device=$(grep -l 0x8139 /sys/bus/pci/devices/*/device)
        driver=8139cp
        [ "$(cat "${device%device}revision")" != 0x10 ] || driver=8139too
        ;;
    pcnet) driver=pcnet32 ;;
    *) driver=$model ;;
    esac
    bring_up
    check $? "$model: DHCP gives an address" "$(cat /said)"
    [ "$(basename "$(readlink /sys/class/net/eth0/device/driver)")" = "$driver" ]
    check $? "$model: it is the emulated card" "$(readlink /sys/class/net/eth0/device/driver)"
    try "$model: ping with frames of many sizes" netload ping $peer $step
    try "$model: TCP to dom0" netload tcp up $peer "$mib"
    try "$model: TCP from dom0" netload tcp down $peer "$mib"
    try "$model: UDP to dom0" netload udp up $peer "$mib"
    try "$model: UDP from dom0" netload udp down $peer "$mib"
    rmmod "$driver"
done
no_complaints "the kernel has nothing to complain of"
poweroff -f
END
} | guest_script)
make_cd --script "$script" --initrd "$case_dir/netload:bin/netload" --append "xen_emul_unplug=never $xen_quick"
cat >"$case_dir/udhcpd.conf" <<'END'
interface xenbr0
start 10.0.9.100
end 10.0.9.200
lease_file /run/udhcpd.leases
pidfile /run/udhcpd.pid
option subnet 255.255.255.0
END
serve='cd /lab; chmod +x netload; : >/run/udhcpd.leases;
    { udhcpd -f udhcpd.conf & ./netload serve xenbr0 hvm-dm & } </dev/null >/lab/out/netload.log 2>&1'
lab --iso "$case_dir/cd.iso" --put "$case_dir/netload" --put "$case_dir/udhcpd.conf" --timeout "$case_seconds" \
    --cfg "vif = [$(IFS=,; echo "${vifs[*]}")]" --dom0 "1:${serve//$'\n'/ }"
result "$lab_status" "Debian's kernel runs on the emulated cards and ends the domain" "see $evidence/lab.log"
guest_checks "${checks[@]}" "the kernel has nothing to complain of"
net_figures
