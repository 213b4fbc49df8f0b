#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# The life of a domain under xl, with a guest that needs seconds to boot (tests/guests/xl.S): start, screen, keys, CD, pause,
# processors, monitor, reset, power-off, the VNC password, and the device model with its rights given up.
. "$(dirname "$0")/../xen-case.sh"
boot_cd FIRSTDISC "$case_dir/cd.iso"
boot_cd OTHERDISC "$case_dir/other.iso"
lab_script --iso "$case_dir/cd.iso" --put "$case_dir/other.iso" --with-stock <<'DOM0'
. /usr/lib/lab/functions
cp /lab/other.iso /run/other.iso && grep -q OTHERDISC /run/other.iso || { not_ok "the other CD is there"; exit 1; }
ready="hvm-dm: the guest for xl is ready"
stock=$(grep -q device_model_override /lab/guest.cfg || echo yes)

domain one 'vcpus = 1' 'maxvcpus = 2' 'uuid = "00000000-0000-4000-8000-000000000001"'
start one
check $? "xl create and unpause" || exit 1
first=$(domid_of one)
wait_said one "$ready"
check $? "the CD's boot program runs, and its serial line is a pty that libxl found"
vnc one type a
wait_until 30 grep -qa '^a' /run/one.serial
check $? "a key typed at the VNC server arrives"
vnc one capture /lab/out/one.png
check $? "VNC shows the screen"
vncsnapshot -quiet "127.0.0.1:$(($(xenstore-read "/local/domain/$first/console/vnc-port") - 5900))" /lab/out/one.jpg >/dev/null 2>&1
check $? "vncsnapshot takes it, too"

vnc one type d
wait_said one "disc: FIRSTDISC" 1 60
check $? "the guest reads its CD"
run_xl cd-eject one hdc
check $? "xl cd-eject"
vnc one type d
wait_said one "disc error" 1 60
check $? "the drive is empty then"
run_xl cd-insert one hdc /run/other.iso
check $? "xl cd-insert"
reads_other_disc one
check $? "the guest reads the other CD"
run_xl cd-insert one hdc /run/other.iso
check $? "xl cd-insert over a CD"

run_xl pause one
check $? "xl pause"
vnc one type p
sleep 3
! grep -qa '^p' /run/one.serial
check $? "a paused guest answers no key"
run_xl unpause one && wait_until 30 grep -qa 'p$' /run/one.serial
check $? "xl unpause, and the key comes through"
run_xl qemu-monitor-command one "info status" && grep -q running /run/xl.out
check $? "xl qemu-monitor-command"
run_xl vcpu-set --ignore-host one 2
check $? "xl vcpu-set"
run_xl list -l one && grep -q '"avail_vcpus"\|"max_vcpus"' /run/xl.out
check $? "xl list -l (asks the device model for its processors)"
run_xl trigger one power
check $? "xl trigger power"
run_xl shutdown -F one
check $? "xl shutdown -F"

for key in r 9; do
    before=$(domid_of one)
    times=$(($(grep -acF "$ready" /run/one.serial) + 1))
    vnc one type $key
    wait_said one "$ready" $times
    status=$?
    [ $status = 0 ] && [ "$(domid_of one)" != "$before" ]
    check $? "a reset by $([ $key = r ] && echo the keyboard controller || echo port 0xCF9) is a new domain"
done
[ -z "$(leftovers "$first")" ]
check $? "the domain before the reset left nothing" || leftovers "$first"
last=$(domid_of one)
pid=$(dm_pid one)
vnc one type o
wait_until 60 eval '! domid_of one'
check $? "the guest powers itself off, and is gone"
sleep 1
left=$(leftovers "$last"; [ ! -e "/proc/$pid" ] || echo "process $pid")
[ -z "$left" ]
check $? "it left nothing${left:+: $left}"
stop one

# A domain whose device model dies is one that xl can destroy.
domain dead
if start dead && wait_said dead "$ready"; then
    last=$(domid_of dead)
    kill -KILL "$(dm_pid dead)"
    sleep 1
    stop dead
    check $? "xl destroy after the device model was killed"
    left=$(leftovers "$last")
    [ -z "$left" ]
    check $? "nothing is left of that domain${left:+: $left}"
else
    not_ok "the second domain came up"
    stop dead
fi

# The serial line as people see it. Nobody else reads the pty of this domain.
domain console
run_xl create -p /run/console.cfg
tail -f /dev/null | xl console -t serial console >/run/console.out 2>&1 &
viewer=$!
run_xl unpause console
wait_until 300 grep -qaF "$ready" /run/console.out
check $? "xl console -t serial shows what the guest writes" || cat /run/console.out
kill $viewer
stop console

# The password.
domain password 'vncpasswd = "right"'
if start password; then
    export VNC_PASSWORD=right
    vnc password -w 5 size
    check $? "vncpasswd: the right one is taken"
    ! VNC_PASSWORD=wrong vnc password -w 5 size
    check $? "a wrong one is not"
    answer=$(qmp password '{"execute":"change-vnc-password","arguments":{"password":"changed"}}')
    [[ $answer == *return* ]] && VNC_PASSWORD=changed vnc password -w 5 size && ! vnc password -w 5 size
    check $? "changed at run time: the new one is taken and the old one is not"
    unset VNC_PASSWORD
elif [ -n "$stock" ]; then
    skip "vncpasswd: Debian's device model cannot set any"
else
    not_ok "a domain with vncpasswd starts"
fi
stop password

# Rights given up.
domain restricted 'dm_restrict = 1' 'device_model_user = "nobody"'
if start restricted && wait_said restricted "$ready"; then
    ok "dm_restrict: the guest boots"
    pid=$(dm_pid restricted)
    id=$(domid_of restricted)
    grep -E '^(Uid|Gid|Groups|Cap)' "/proc/$pid/status" >/lab/out/restricted-status
    readlink "/proc/$pid/root" >>/lab/out/restricted-status
    [ "$(sed -n 's/^Uid:\t\([0-9]*\)\t.*/\1/p' "/proc/$pid/status")" = 65534 ]
    check $? "its device model is an unprivileged user"
    [ "$(readlink "/proc/$pid/root")" != / ] && [ -z "$(ls -A "/proc/$pid/root/")" ]
    check $? "in an empty root directory"
    run_xl cd-insert restricted hdc /run/other.iso
    check $? "its CD is changed"
    reads_other_disc restricted
    check $? "the guest reads the other CD"
    stop restricted
    check $? "xl destroy"
    left=$(leftovers "$id"; [ ! -e "/proc/$pid" ] || echo "process $pid")
    [ -z "$left" ]
    check $? "nothing is left${left:+: $left}"
else
    not_ok "dm_restrict: the guest boots"
    stop restricted
fi

# The stock model's picture of the same screen.
if [ -z "$stock" ] && [ -x /usr/libexec/xen-qemu-system-i386 ]; then
    domain stock 'uuid = "00000000-0000-4000-8000-000000000001"'
    sed -i '/device_model_override/d' /run/stock.cfg
    if start stock && wait_said stock "$ready"; then
        vnc stock type a
        wait_until 30 grep -qa '^a' /run/stock.serial
        sleep 1
        vnc stock -e 4 expect-picture /lab/out/one.png
        check $? "the screen is the same as under the stock device model, but for the widening of colours"
        vnc stock capture /lab/out/stock.png
    else
        skip "the stock device model's picture: it did not come up"
    fi
    stop stock
fi
exit 0
DOM0
