# SPDX-License-Identifier: GPL-2.0-or-later
# For tests/lab/cases/xen-*.sh: what they share beside case-lib.sh, which this sources. DM is the device model (build/hvm-dm, or stock).
. "$(dirname "${BASH_SOURCE[0]}")/case-lib.sh"
LAB=xen
export VNCDO evidence case_dir
case_seconds=$((1200 * ${TEST_TIMEOUT_SCALE:-1}))
make -s tools || { echo "not ok - $case_name: the tools do not build"; exit 1; }
# A mapped kernel's start costs seconds less under emulation without these.
xen_quick="rodata=off cryptomgr.notests"

# boot_cd VOLUME FILE: a CD with the boot program for xl.
boot_cd() {
    make -s build/guests/xl.img && tests/lab/mkboot build/guests/xl.img "$1" "$2" || { echo "not ok - $case_name: making the CD"; exit 1; }
}

# xen_guest_script <<'END': as guest_script, with xen-guest-lib.sh, too.
xen_guest_script() {
    cat tests/lab/xen-guest-lib.sh - | guest_script
}

# lab_script OPTION... <<'END': the lab with a script in dom0 (bash) in the place of one domain; prints its results.
lab_script() {
    cat >"$case_dir/dom0"
    rm -f "$evidence/results"
    lab --dom0-script "$case_dir/dom0" --timeout "$case_seconds" "$@"
    [ ! -e "$evidence/results" ] || cat "$evidence/results"
    [ "$lab_status" = 0 ] || emulation_died || echo "not ok - $case_name came to its end: status $lab_status, see $evidence/lab.log"
}

# make_cd OPTION...: $case_dir/cd.iso by mkiso.
make_cd() {
    tests/lab/mkiso --output "$case_dir/cd.iso" "$@" 2>"$evidence/mkiso.log" ||
        { echo "not ok - $case_name: making the CD: see $evidence/mkiso.log"; exit 1; }
}

# emulation_died: did the lab's own emulation end itself? QEMU (7.2 and 10.0) does, by an assertion, when a guest of Xen in it
# writes CR8 while a virtual interrupt is pending. Then nothing is known of the device model.
emulation_died() {
    grep -qs 'tcg_handle_interrupt: assertion failed' "$evidence/lab.log" "$evidence/console"
}

# emulated_nic: has the device model a NIC?
emulated_nic() {
    [ "$DM" = stock ] || "$DM" -device help 2>/dev/null | grep -q rtl8139
}
