#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Debian installer, from a CD made of its network kernel and initramfs, shows its first question: as text, then graphically.
# long
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

images=$(. tests/lab/common.sh && lab_deb debian-installer-12-netboot-amd64)/usr/lib/debian-installer/images/12/amd64
[ -d "$images" ] || { echo "skip - the Debian installer: its package could not be fetched"; exit 0; }
export VNCDO evidence

# show KIND APPEND EXPECT...: colours of which there are so many pixels once the question is there.
show() {
    local source=$images/$1/debian-installer/amd64
    rm -f "$evidence/$1-drawn"
    tests/lab/mkiso --output "$case_dir/$1.iso" --kernel "$source/linux" --initramfs "$source/initrd.gz" --append "$2" || exit 1
    lab --iso "$case_dir/$1.iso" --memory 1280 --vga std --timeout 1500 --host "5:
        v=\"\$VNCDO -S 1.5 -t 1400 -s 127.0.0.1:\$VNC_PORT\"
        \$v ${*:3} wait-quiet 20 ${*:3} capture $evidence/$1.png && touch $evidence/$1-drawn
        touch \$lab_work/quit" -- -boot d "${stock_options[@]}"
    [ -e "$evidence/$1-drawn" ]
    result $? "the Debian installer ($1) shows its first question in $evidence/$1.png" "see $evidence/lab.log"
}
# The list of languages: white on a beige window; a grey window on blue.
show text "vga=normal quiet mitigations=off nowatchdog ---" expect-colour 0000aa 50000 expect-colour aaaaaa 50000
show gtk "vga=788 quiet mitigations=off nowatchdog ---" expect-colour ede9e3 100000 expect-colour ffffff 400000
