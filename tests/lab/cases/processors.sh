#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Debian's kernel sees the processors that -cpu and -smp name: a small model, threads and cores, and single flags masked.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

script=$(guest_script <<'END_OF_GUEST'
flags=" $(grep -m 1 ^flags /proc/cpuinfo | cut -d: -f2) "
has() { case "$flags" in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
field() { grep "^$1" /proc/cpuinfo | sed 's/.*: //' | tr '\n' ' '; }
case "$(cat /proc/cmdline) $(field 'model name')" in
*"QEMU Virtual CPU"*)
    check 0 "the model's name is read"
    has pni && has cx16 && has lm && has nx; check $? "a small processor has what it says" "$flags"
    ! has avx && ! has xsave && ! has sse4_2 && ! has rdrand; check $? "and nothing of the host's besides" "$flags"
    [ "$(field processor)" = "0 1 2 3 4 5 " ]; check $? "six processors run" "$(field processor)"
    [ "$(field 'physical id')" = "0 0 0 0 0 0 " ]; check $? "in one package" "$(field 'physical id')"
    [ "$(field 'cpu cores' | cut -c 1)" = 3 ]; check $? "of three cores" "$(field 'cpu cores')"
    [ "$(field siblings | cut -c 1)" = 6 ]; check $? "with two threads each" "$(field siblings)"
    [ "$(cat /sys/devices/system/cpu/cpu2/topology/thread_siblings_list)" = 2-3 ]; check $? "the threads of a core are neighbours" \
        "$(cat /sys/devices/system/cpu/cpu2/topology/thread_siblings_list)"
    ;;
*)
    has lm && ! has sse4_2; check $? "a single flag is masked" "$flags"
    ! dmesg | grep -q 'Hypervisor detected: KVM'; check $? "KVM is not seen" "$(dmesg | grep Hypervisor)"
    ;;
esac
echo "check: end"
poweroff -f
END_OF_GUEST
)
tests/lab/mkiso --output "$case_dir/cd.iso" --script "$script" || exit 1
# An Intel's name: the lab's host has no topoext, by which alone Linux finds an AMD's threads.
lab --iso "$case_dir/cd.iso" --timeout 1500 -- -cpu qemu64,vendor=GenuineIntel,family=6,model=26 -smp 6,cores=3,threads=2
guest_checks "the model's name is read" "a small processor has what it says" "and nothing of the host's besides" \
    "six processors run" "in one package" "of three cores" "with two threads each" "the threads of a core are neighbours"
lab --iso "$case_dir/cd.iso" --timeout 1500 -- -cpu host,-sse4.2,kvm=off
guest_checks "a single flag is masked" "KVM is not seen"
