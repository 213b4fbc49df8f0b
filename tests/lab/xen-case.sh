# SPDX-License-Identifier: GPL-2.0-or-later
# For tests/lab/cases/xen-*.sh: one lab boot with a script in dom0, and its results. Sourced; DM is the device model (build/hvm-dm, or stock).
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
DM=${DM:-build/hvm-dm}
case_name=$(basename "$0" .sh)
case_out=$PWD/build/lab/$case_name
case_dir=$(mktemp -d)
trap 'rm -rf "$case_dir"' EXIT
trap 'exit 130' INT TERM
make -s tools || { echo "not ok - $case_name: the tools do not build"; exit 1; }

# case_boot_cd VOLUME FILE: a CD with the boot program for xl.
case_boot_cd() {
    make -s build/guests/xl.img && tests/lab/mkboot build/guests/xl.img "$1" "$2" || { echo "not ok - $case_name: making the CD"; exit 1; }
}

# case_run OPTION...: the lab with $case_dir/dom0 as the script in dom0; prints its results.
case_run() {
    rm -rf "$case_out"
    local seconds=$((${CASE_SECONDS:-900} * ${TEST_TIMEOUT_SCALE:-1}))
    tests/lab/run xen --dm "$DM" --dom0-script "$case_dir/dom0" --logs "$case_out" --timeout $seconds "$@" 2>"$case_dir/log"
    local status=$?
    mkdir -p "$case_out"
    cp "$case_dir/log" "$case_out/lab.log"
    [ ! -e "$case_out/results" ] || cat "$case_out/results"
    if [ $status != 0 ]; then
        echo "not ok - $case_name came to its end: status $status, logs in ${case_out#"$PWD/"}"
        tail -n 15 "$case_dir/log" | sed 's/^/    /'
    fi
}
