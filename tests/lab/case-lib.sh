# SPDX-License-Identifier: GPL-2.0-or-later
# For the cases in tests/lab/cases, each of which sources it: a lab run with its logs kept in build/evidence/CASE, and one line
# `ok - WHAT`, `not ok - WHAT: WHY` or `skip - WHAT: WHY` a check. DM names another
# device model for comparison, LAB=here leaves the lab out.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
DM=${DM:-build/hvm-dm}
VNCDO=${VNCDO:-build/tools/vncdo}
case_name=$(basename "$0" .sh)
evidence=build/evidence/$case_name
mkdir -p "$evidence"
case_dir=$(mktemp -d "${TMPDIR:-/tmp}/hvm-dm-case.XXXXXX")
trap 'rm -rf "$case_dir"' EXIT
trap 'exit 130' INT TERM

# result STATUS WHAT [WHY]
result() {
    if [ "$1" = 0 ]; then
        echo "ok - $2"
    else
        echo "not ok - $2${3:+: $3}"
    fi
}

# lab OPTION...: one run; sets lab_status. What it said is in $evidence/lab.log, the guest's line in $evidence/serial.
# Status 3, a lab that did not come up, ends the case: run-cases starts it once more.
lab() {
    rm -f "$evidence"/serial "$evidence"/dm.log "$evidence"/console "$evidence"/failed-*.png
    tests/lab/run "${LAB:-kvm}" --dm "$DM" --logs "$evidence" "$@" 2>&1 | tee "$evidence/lab.log" | sed 's/^/# /'
    lab_status=${PIPESTATUS[0]}
    [ "$lab_status" != 3 ] || exit 3
}

# guest_checks WHAT...: what the guest's script said of each, in lines `check: ok WHAT` and `check: not ok WHAT: WHY`.
guest_checks() {
    local what line
    for what; do
        line=$(tr -d '\r' <"$evidence/serial" 2>/dev/null | grep -aE "^check: (not )?ok $what(:|\$)" | tail -n 1)
        case "$line" in
        "check: ok "*) echo "ok - $what" ;;
        "check: not ok "*) echo "not ok - ${line#check: not ok }" ;;
        *) echo "not ok - $what: the guest never got there" ;;
        esac
    done
}

# says WHAT PATTERN [FILE]: is there such a line from the guest, or in FILE?
says() {
    local file=${3:-$evidence/serial}
    if tr -d '\r' <"$file" 2>/dev/null | grep -aE -- "$2" >/dev/null; then
        result 0 "$1"
    else
        result 1 "$1" "wanted a line like '$2'; its last ones are below; see $file"
        tail -c 1000 "$file" 2>/dev/null | tr -d '\r' | tail -n 5 | sed 's/^/#     /'
    fi
}

# action_check KIND PATTERN WHAT: was a timed action of this kind, with this in its argument, done without failure?
action_check() {
    if grep -E "^lab: $1 at [0-9.]+ s: .*$2" "$evidence/lab.log" >/dev/null; then
        result 0 "$3"
    else
        result 1 "$3" "wanted '$2' from $1; what it said is below; see $evidence/lab.log"
        grep -E "^lab: $1 at|^vncdo: " "$evidence/lab.log" | tail -n 5 | sed 's/^/#     /'
    fi
}

# guest_script <<'END': the guest's script, after the helpers that every such script has; prints the file's name.
guest_script() {
    cat tests/lab/guest-lib.sh - >"$case_dir/script"
    printf '%s\n' "$case_dir/script"
}

# The stock model has a VMware mouse port, which takes the PS/2 mouse's place.
stock_options=()
[[ $(basename "$DM") != qemu-* ]] || stock_options=(-machine pc,vmport=off)
