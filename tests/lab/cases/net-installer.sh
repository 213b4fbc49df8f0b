#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Debian installer, from a CD made of its network kernel and initramfs, finds each card by itself and gets its address by DHCP
# from the user network.
# long
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

images=$(. tests/lab/common.sh && lab_deb debian-installer-12-netboot-amd64)/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64
[ -d "$images" ] || { echo "skip - the Debian installer's network: its package could not be fetched"; exit 0; }
export VNCDO evidence

# Answers for the installer, which finds them in its initramfs, and a watcher of what it does. The question behind the network's is
# that for the mirror: none answers, which the installer says.
mkdir "$case_dir/answers"
cat >"$case_dir/answers/preseed.cfg" <<'END_OF_ANSWERS'
d-i debian-installer/locale string en_US
d-i keyboard-configuration/xkb-keymap select us
d-i netcfg/choose_interface select auto
d-i netcfg/get_hostname string guest
d-i netcfg/get_domain string example
d-i mirror/country string manual
d-i mirror/http/hostname string 10.0.2.2
d-i mirror/http/directory string /debian
d-i mirror/http/proxy string
d-i preseed/early_command string sh /watch >/dev/ttyS0 2>&1 </dev/null &
END_OF_ANSWERS
cat >"$case_dir/answers/watch" <<'END_OF_WATCH'
# debconf waits for whoever has what it gave to its children.
exec 3>&- 4>&- 5>&- 6>&-
until grep -qs nameserver /etc/resolv.conf; do sleep 1; done
for card in /sys/class/net/*; do
    [ -e "$card/device/driver" ] || continue
    driver=$(readlink "$card/device/driver")
    line="driver ${driver##*/} $(ip addr show "${card##*/}" | grep -o 'inet [0-9.]*')"
    logger -t installer "$line"
    echo "installer: $line"
done
END_OF_WATCH
(cd "$case_dir/answers" && printf '%s\n' preseed.cfg watch | cpio -o -H newc --quiet -R 0:0 | gzip) >"$case_dir/answers.gz"
cat "$images/initrd.gz" "$case_dir/answers.gz" >"$case_dir/initrd.gz"
tests/lab/mkiso --output "$case_dir/cd.iso" --kernel "$images/linux" --initramfs "$case_dir/initrd.gz" \
    --append "vga=normal quiet mitigations=off nowatchdog auto=true priority=critical ---" || exit 1

# installs_from DRIVER CARD [PROPERTY]: the property is none of a stock QEMU's.
installs_from() {
    local driver=$1 card=$2 line
    [[ $(basename "$DM") == qemu-* ]] || card=$card${3:+,$3}
    if ! "$DM" -device help 2>&1 | grep -qw "$2"; then
        echo "skip - $2: this device model has none"
        return
    fi
    rm -f "$evidence/$driver"{,-log}.png
    # The log is on the fourth terminal, the question of the moment on the first.
    lab --iso "$case_dir/cd.iso" --memory 1024 --vga std --timeout 1500 --host "/installer: driver/:
        v=\"\$VNCDO -S 1.5 -t 600 -s 127.0.0.1:\$VNC_PORT\"
        \$v wait-quiet 20 capture $evidence/$driver.png key alt-F4 pause 5 capture $evidence/$driver-log.png
        touch \$lab_work/quit" -- -boot d -netdev user,id=wire -device "$card,netdev=wire,romfile="
    line=$(tr -d '\r' <"$evidence/serial" | grep -a '^installer: driver')
    [[ $line == "installer: driver $driver inet 10.0.2."* ]]
    result $? "$card: the installer gets an address: ${line#installer: }" "see $evidence/lab.log"
    [ -s "$evidence/$driver.png" ] && [ -s "$evidence/$driver-log.png" ]
    result $? "$card: its screen then and its log are kept in $evidence/$driver.png and $driver-log.png" "see $evidence/lab.log"
    mv "$evidence/serial" "$evidence/$driver.serial"
}
for card in "8139cp rtl8139 revision=0x20" "8139too rtl8139 revision=0x10" "pcnet32 pcnet" "e1000 e1000"; do
    # shellcheck disable=SC2086 # words
    [[ -n "${NIC:-}" && " $NIC " != *" ${card%% *} "* ]] || installs_from $card
done
