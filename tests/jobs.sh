# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the scripts that run many tests: several at a time, each one's words kept together.

# run_jobs FUNCTION ARGUMENT...: FUNCTION ARGUMENT for each, JOBS (default: one a processor) at a time; what each prints comes whole,
# in the order in which they end. The function runs in a shell of its own: what it finds out it leaves in files.
run_jobs() {
    local function=$1 running=0 argument lock
    shift
    lock=$(mktemp)
    for argument; do
        if [ "$running" -ge "${JOBS:-$(nproc)}" ]; then
            wait -n
            running=$((running - 1))
        fi
        (
            trap - EXIT
            said=$("$function" "$argument" 2>&1)
            exec 8>"$lock"
            flock 8
            printf '%s\n' "$said"
        ) &
        running=$((running + 1))
    done
    wait
    rm -f "$lock"
}
