#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# A card comes while Linux runs and is used, and goes again: acpiphp by our ACPI tables, three times.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

script=$(guest_script <<'END'
modprobe e1000
modprobe af_packet
found=0 used=0 gone=0
for round in 1 2 3; do
    stage add$round
    wait_for /sys/class/net/eth0 && found=$((found + 1))
    ip link set eth0 up
    udhcpc -i eth0 -n -q -t 20 -s /bin/true >/dev/null 2>&1 && used=$((used + 1))
    ip link set eth0 down
    stage remove$round
    i=0
    while [ -e /sys/class/net/eth0 ] && [ $i -lt 300 ]; do sleep 0.2; i=$((i + 1)); done
    [ -e /sys/class/net/eth0 ] || gone=$((gone + 1))
    sleep 1
done
[ $found = 3 ]; check $? "the card is found when it comes" "$found times"
[ $used = 3 ]; check $? "and used" "$used times"
[ $gone = 3 ]; check $? "and let go of when it is asked back" "$gone times"
echo "check: end"
poweroff -f
END
)
tests/lab/mkiso --output "$case_dir/cd.iso" --script "$script" || exit 1
export evidence
add='lab_qmp "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"e1000\",\"id\":\"card\",\"netdev\":\"n\"}}" | tee -a $evidence/added'
remove='lab_qmp "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"card\"}}" | tee -a $evidence/removed'
rm -f "$evidence/added" "$evidence/removed"
hooks=()
for round in 1 2 3; do
    hooks+=(--host "/check: stage add$round/:$add" --host "/check: stage remove$round/:$remove")
done
lab --iso "$case_dir/cd.iso" --timeout 900 "${hooks[@]}" -- -netdev user,id=n
guest_checks "the card is found when it comes" "and used" "and let go of when it is asked back"
