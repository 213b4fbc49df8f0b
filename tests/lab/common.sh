# SPDX-License-Identifier: GPL-2.0-or-later
# What the KVM lab and the Xen lab share: options, the cache of unpacked Debian packages, initramfs parts, timed actions,
# and the wait for the end. Sourced by `run`, after which kvm.sh or xen.sh gives:
#
#   lab_prepare       build what the outer machine boots (cached in $LAB_CACHE); called once
#   lab_start         start the outer machine in the background, set lab_pid; it must create the marks below in $lab_share
#   lab_qmp JSON      run one QMP command in the lab, print the reply
#   lab_xl COMMAND    (Xen lab only) run one xl command in dom0, print its output
#   lab_dom0 COMMAND  (Xen lab only) run one shell command in dom0, print its output
#   lab_end           ask the device model to end, so that disks are written back; optional, may fail
#
# $lab_share is a folder of this machine that the lab mounts by 9p as /lab. Marks the lab's init leaves there:
#   up        the outer kernel (dom0) runs and has mounted the share
#   started   the device model was started (second 0 of all times)
#   exit      the device model has ended; the file holds its exit status
#   dm.log    what the device model printed
#   out/      optional: a folder of further logs
# The guest's serial line is to be written live to $lab_serial, VNC is to answer at 127.0.0.1:$lab_vnc_port.

lab_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_top=$(cd "$lab_dir/../.." && pwd)
LAB_CACHE=${LAB_CACHE:-$lab_top/build/cache}
VNCDO=${VNCDO:-$lab_top/build/tools/vncdo}

lab_say() {
    printf 'lab: %s\n' "$*" >&2
}

lab_die() {
    lab_say "$@"
    exit 2
}

lab_usage() {
    cat <<'END'
tests/lab/run kvm|xen|here [OPTION]... [-- MORE OPTIONS OF THE DEVICE MODEL]
Boots a guest with our device model in a lab (a machine emulated by QEMU, with the hypervisor inside) or on the KVM here.

  --iso FILE            CD image            --disk FILE    raw disk image      --floppy FILE  raw floppy image
  --memory MIB          guest memory (256)  --smp N        virtual CPUs (1)    --vga cirrus|std (cirrus)
  --cpu MODEL[,+-FLAG]  the processor that the lab's machine emulates (EPYC), or, without a model, flags beside the lab's own
  --dm PROGRAM          device model (build/hvm-dm; qemu-system-x86_64 for comparison,
                        in the Xen lab the word stock)
  --put FILE            copy FILE to /lab/NAME, where the device model finds it; the file "setup" is run there first (sh)
  --vnc PORT            forward the guest's VNC to 127.0.0.1:PORT of this machine
  --serial FILE         write the guest's serial line to FILE, live
  --keys WHEN:TEXT      type TEXT (\n is Return)
  --vncdo WHEN:COMMANDS run vncdo with these commands
  --screenshot WHEN:FILE.png
  --qmp WHEN:JSON       run a QMP command; the reply is printed
  --xl WHEN:COMMAND     run an xl command (Xen lab)
  --dom0 WHEN:COMMAND   run a shell command in dom0 (Xen lab)
  --cfg LINE            a further line for xl.cfg (Xen lab)
  --backend phy|qdisk   who serves the PV disk (Xen lab; qdisk, the device model)
  --dom0-script FILE    run this (bash) in dom0 instead of creating the domain; its status counts as the device model's
  --with-stock          have Debian's device model in dom0, too (Xen lab)
  --with-libvirt        have libvirtd and virsh in dom0 (Xen lab)
  --more-memory MIB     for further domains (Xen lab)
  --host WHEN:COMMAND   run this as part of the script: $VNC_PORT, lab_qmp JSON, $lab_serial are there, and
                        $lab_share, the folder that is /lab in the lab
  --until TEXT          end well as soon as TEXT is on the serial line
  --quit WHEN           end well at that time
  --timeout SECONDS     give up (300; 0: never)
  --logs DIR            keep serial, dm.log and the lab's own console there

WHEN is a number of seconds after the start of the device model, or /TEXT/ or /TEXT/+SECONDS: after TEXT was on the serial line.
Status: 0 as wanted (--until, --quit, or without those the device model ended with 0), 1 the device model failed or an
action did, 2 wrong options or nothing to boot, 3 the lab did not come up, 124 timeout.
END
}

# lab_add_layouts TREE: the keyboard layouts, without which a viewer's characters are no keys.
lab_add_layouts() {
    [ -d /usr/share/X11/xkb ] || lab_die "/usr/share/X11/xkb is missing; install the Debian package xkb-data"
    mkdir -p "$1/usr/share/X11/xkb"
    cp -rL /usr/share/X11/xkb/{rules,keycodes,types,compat,symbols} "$1/usr/share/X11/xkb/"
}

# need_value OPTION COUNT: an option at the end of the line has no value.
lab_need_value() {
    [ "$2" -ge 2 ] || lab_die "$1 wants a value; see tests/lab/run --help"
}

lab_need_number() {
    [[ $2 =~ ^[0-9]+$ ]] || lab_die "$1: '$2' is not a number"
}

lab_need_file() {
    [ -r "$2" ] || lab_die "$1: cannot read $2"
}

lab_when_form='^([0-9]+(\.[0-9]+)?|/[^/]+/(\+[0-9]+(\.[0-9]+)?)?)$'

# lab_add_action KIND WHEN:ARGUMENT
lab_add_action() {
    local when argument
    if [[ $2 =~ ^(/[^/]+/[^:]*):(.*)$ || $2 =~ ^([0-9.]+):(.*)$ ]]; then
        when=${BASH_REMATCH[1]} argument=${BASH_REMATCH[2]}
    else
        lab_die "--$1: '$2' is not WHEN:ARGUMENT"
    fi
    [[ $when =~ $lab_when_form ]] || lab_die "--$1: '$when' is not SECONDS, /TEXT/ or /TEXT/+SECONDS"
    action_kind+=("$1")
    action_when+=("$when")
    action_argument+=("$argument")
}

# lab_parse OPTION...: sets opt_*, the arrays action_*, opt_put and dm_options. Paths become absolute.
lab_parse() {
    opt_iso='' opt_disk='' opt_floppy='' opt_memory=256 opt_smp=1 opt_vga=cirrus opt_cpu='' opt_vnc='' opt_serial='' opt_timeout=300
    opt_dm=$lab_top/build/hvm-dm opt_until='' opt_quit='' opt_logs=''
    opt_backend=qdisk opt_dom0_script='' opt_with_stock='' opt_with_libvirt='' opt_more_memory=0 opt_cfg=()
    opt_put=() dm_options=() action_kind=() action_when=() action_argument=()
    while [ $# -gt 0 ]; do
        case "$1" in
        --) shift; dm_options=("$@"); break ;;
        -h | --help) lab_usage; exit 0 ;;
        --with-stock) opt_with_stock=1; shift; continue ;;
        --with-libvirt) opt_with_libvirt=1; shift; continue ;;
        --*) lab_need_value "$1" $# ;;&
        --iso | --disk | --floppy) lab_need_file "$1" "$2"; printf -v "opt_${1#--}" %s "$(realpath "$2")" ;;
        --put) lab_need_file "$1" "$2"; opt_put+=("$(realpath "$2")") ;;
        --memory | --smp | --vnc | --timeout) lab_need_number "$1" "$2"; printf -v "opt_${1#--}" %s "$2" ;;
        --more-memory) lab_need_number "$1" "$2"; opt_more_memory=$2 ;;
        --backend) case "$2" in phy | qdisk) opt_backend=$2 ;; *) lab_die "--backend takes phy or qdisk, not '$2'" ;; esac ;;
        --dom0-script) lab_need_file "$1" "$2"; opt_dom0_script=$(realpath "$2") ;;
        --cfg) opt_cfg+=("$2") ;;
        --vga) case "$2" in cirrus | std | none) opt_vga=$2 ;; *) lab_die "--vga takes cirrus, std or none, not '$2'" ;; esac ;;
        --dm | --until | --cpu) printf -v "opt_${1#--}" %s "$2" ;;
        --serial) opt_serial=$(realpath -m "$2") ;;
        --logs) opt_logs=$(realpath -m "$2") ;;
        --quit) [[ $2 =~ $lab_when_form ]] || lab_die "--quit: '$2' is not SECONDS, /TEXT/ or /TEXT/+SECONDS"; opt_quit=$2 ;;
        --screenshot) lab_add_action screenshot "$2" ;;
        --keys | --vncdo | --qmp | --xl | --dom0 | --host) lab_add_action "${1#--}" "$2" ;;
        *) lab_die "unknown option '$1'; see tests/lab/run --help" ;;
        esac
        shift 2
    done
    [ "$opt_dm" != stock ] || return 0
    opt_dm=$(command -v "$opt_dm") || lab_die "--dm: no such program; build it with make, or name another"
    opt_dm=$(realpath "$opt_dm")
}

# lab_cpu MODEL FLAGS: the emulated processor, which has AMD's virtualisation whatever --cpu takes away; MODEL and FLAGS are the lab's
# own. `--cpu -avx2` changes flags of the lab's model, `--cpu Opteron_G3,-nx` takes another, with the lab's flags.
lab_cpu() {
    case "$opt_cpu" in
    '') printf '%s' "$1,+svm,+npt$2" ;;
    [-+]*) printf '%s' "$1,+svm,+npt$2,$opt_cpu" ;;
    *) printf '%s' "${opt_cpu%%,*},+svm,+npt$2${opt_cpu#"${opt_cpu%%,*}"}" ;;
    esac
}

# ---- Debian packages, unpacked in the cache and not installed

# lab_deb PACKAGE: fetch and unpack a Debian package once; prints the folder.
lab_deb() {
    local root=$LAB_CACHE/deb/$1
    if [ ! -e "$root/.done" ]; then
        mkdir -p "$LAB_CACHE/deb"
        (
            flock 9
            [ -e "$root/.done" ] && exit 0
            lab_say "fetching Debian package $1"
            fetch=$(mktemp -d "$LAB_CACHE/deb/fetch.XXXXXX")
            cd "$fetch"
            get() { apt-get -q -o APT::Sandbox::User=root download "$1" >log 2>&1; }
            get "$1" || { apt-get -q update >/dev/null 2>&1; get "$1"; } || { cat log >&2; rm -rf "$fetch"; exit 1; }
            rm -rf "$root"
            dpkg-deb -x ./*.deb "$root"
            rm -rf "$fetch"
            touch "$root/.done"
        ) 9>"$LAB_CACHE/deb/lock" || lab_die "cannot fetch the Debian package $1"
    fi
    printf '%s\n' "$root"
}

# lab_kernel: Debian's current kernel, unpacked; sets kernel_root, kernel_version, kernel_image.
lab_kernel() {
    local name
    name=$LAB_CACHE/kernel-package
    if [ ! -s "$name" ]; then
        mkdir -p "$LAB_CACHE"
        apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: //p' | head -1 >"$name.new"
        if [ ! -s "$name.new" ]; then
            apt-get -q update >/dev/null 2>&1
            apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: //p' | head -1 >"$name.new"
        fi
        [ -s "$name.new" ] || lab_die "apt-cache knows no linux-image-amd64"
        mv "$name.new" "$name"
    fi
    kernel_root=$(lab_deb "$(cat "$name")") || exit 2
    kernel_version=$(basename "$kernel_root"/lib/modules/*)
    kernel_image=$kernel_root/boot/vmlinuz-$kernel_version
    [ -e "$kernel_root/lib/modules/$kernel_version/modules.dep" ] ||
        /sbin/depmod -b "$kernel_root" "$kernel_version" || lab_die "depmod failed"
}

# lab_add_modules ROOT MODULE...: copy kernel modules and what they need to ROOT/modules, and append their names, in the order
# of loading, to ROOT/modules/order. Names that are built in or unknown to this kernel are left out. Wants lab_kernel first.
lab_add_modules() {
    local root=$1 module file
    shift
    mkdir -p "$root/modules"
    touch "$root/modules/order"
    for module; do
        /sbin/modprobe -d "$kernel_root" -S "$kernel_version" --show-depends --ignore-install "$module" 2>/dev/null |
            sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | while read -r file; do
        module=$(basename "$file")
        grep -qxF "$module" "$root/modules/order" && continue
        # Without the signature, whose check is slow under emulation.
        strip --strip-debug -o "$root/modules/$module" "$file"
        echo "$module" >>"$root/modules/order"
    done
}

# lab_add_program ROOT PROGRAM...: copy programs with all their shared libraries, each to its own path below ROOT.
lab_add_program() {
    local root=$1 program
    shift
    for program; do
        mkdir -p "$root$(dirname "$program")"
        cp -L "$program" "$root$program"
        lab_add_libraries "$root" "$program"
    done
}

# lab_add_libraries ROOT PROGRAM: the shared libraries of a program, not the program; and libslirp, if the program loads it when
# it needs it.
lab_add_libraries() {
    local root=$1 file late=
    grep -aq 'libslirp\.so\.0' "$2" && late=$(/sbin/ldconfig -p | sed -n 's/.*libslirp\.so\.0 .*=> //p' | head -1)
    for file in $late $(ldd "$2" $late 2>/dev/null | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p'); do
        [ -e "$root$file" ] && continue
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done
}

# lab_add_busybox ROOT: /bin/busybox, static, and links for its commands.
lab_add_busybox() {
    local root=$1 busybox
    busybox=$(lab_deb busybox-static)/bin/busybox
    mkdir -p "$root"/{bin,sbin,dev,proc,sys,run,tmp,mnt,etc}
    cp "$busybox" "$root/bin/busybox"
    # Where the kernel looks for it.
    ln -sf ../bin/busybox "$root/sbin/modprobe"
    local command
    for command in $("$busybox" --list); do
        [ -e "$root/bin/$command" ] || ln -s busybox "$root/bin/$command"
    done
}

# lab_cpio ROOT FILE: an initramfs of ROOT, not compressed: unpacking is slow under emulation.
lab_cpio() {
    # A folder of mktemp is for its owner alone, and it becomes the root of all.
    chmod 755 "$1"
    (cd "$1" && find . -print0 | cpio --null -o -H newc --quiet -R 0:0) >"$2.new"
    mv "$2.new" "$2"
}

# lab_free_port: a TCP port of 127.0.0.1 that nobody listens on.
lab_free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    printf '%s\n' "$port"
}

# lab_qmp_tcp PORT JSON: one QMP command to a server at 127.0.0.1:PORT, prints the reply; events are passed over.
lab_qmp_tcp() {
    local line
    # A subshell, so that a refused connection is a failure and not the end of this shell.
    (
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
        read -r -t 20 line <&3 || exit 1
        printf '{"execute":"qmp_capabilities"}\r\n' >&3
        lab_qmp_reply >/dev/null || exit 1
        printf '%s\r\n' "$2" >&3
        lab_qmp_reply
    ) 2>/dev/null
}

lab_qmp_reply() {
    local line
    while read -r -t 30 line <&3; do
        line=${line%$'\r'}
        case "$line" in
        *'"return"'* | *'"error"'*) printf '%s\n' "$line"; return 0 ;;
        esac
    done
    return 1
}

# ---- timed actions

lab_seconds() {
    local now=${EPOCHREALTIME/[.,]/}
    printf '%d.%d\n' $(((now - lab_start_time) / 1000000)) $(((now - lab_start_time) / 100000 % 10))
}

lab_serial_says() {
    grep -qaF -- "$1" "$lab_serial" 2>/dev/null
}

# lab_wait_when WHEN: sleep until then.
lab_wait_when() {
    local when=$1 text now target
    if [[ $when =~ ^/(.*)/(\+(.*))?$ ]]; then
        text=${BASH_REMATCH[1]} when=${BASH_REMATCH[3]}
        until lab_serial_says "$text"; do sleep 0.3; done
        touch "$lab_work/reached.$BASHPID"
        [ -z "$when" ] || sleep "$when"
    else
        now=${EPOCHREALTIME/[.,]/}
        target=$(awk -v s="$lab_start_time" -v w="$when" -v n="$now" 'BEGIN { d = (s - n) / 1e6 + w; if (d < 0) d = 0; print d }')
        sleep "$target"
        touch "$lab_work/reached.$BASHPID"
    fi
}

lab_vncdo() {
    timeout 90 "$VNCDO" -S 1.5 -s "127.0.0.1:$lab_vnc_port" "$@"
}

# lab_act NUMBER: wait for the action's time and do it.
lab_act() {
    local kind=${action_kind[$1]} argument=${action_argument[$1]} failed=0 reply words
    lab_wait_when "${action_when[$1]}"
    case "$kind" in
    keys) lab_vncdo type "$argument" || failed=1 ;;
    vncdo)
        # The commands are written as in a shell: xargs splits them, quotes and all.
        mapfile -t words < <(printf '%s\n' "$argument" | xargs -n 1 printf '%s\n')
        lab_vncdo "${words[@]}" || failed=1
        ;;
    screenshot) lab_vncdo capture "$argument" || failed=1 ;;
    host) (VNC_PORT=$lab_vnc_port; eval "$argument") || failed=1 ;;
    qmp) reply=$(lab_qmp "$argument") || failed=1; lab_say "qmp at $(lab_seconds) s: $argument -> $reply" ;;
    xl) reply=$(lab_xl "$argument") || failed=1; lab_say "xl at $(lab_seconds) s: $argument -> $reply" ;;
    dom0) reply=$(lab_dom0 "$argument") || failed=1; lab_say "dom0 at $(lab_seconds) s: $argument -> $reply" ;;
    esac
    [ $failed = 0 ] && { [[ $kind =~ ^(qmp|xl|dom0)$ ]] || lab_say "$kind at $(lab_seconds) s: ${argument%%$'\n'*}"; return 0; }
    lab_say "$kind at $(lab_seconds) s failed: $argument"
    # What there was to see then, beside what was wanted.
    [ -z "$opt_logs" ] || lab_vncdo -w 5 capture "$opt_logs/failed-$1.png" 2>/dev/null && lab_say "the screen then: $opt_logs/failed-$1.png"
    echo "$kind: $argument" >>"$lab_work/failed"
}

# lab_finish_actions: those whose time has come are done to the end, the others dropped.
lab_finish_actions() {
    local pid
    [ ${#lab_actions[@]} -eq 0 ] && return
    sleep 0.8
    for pid in "${lab_actions[@]}"; do
        [ -e "$lab_work/reached.$pid" ] || lab_kill_tree "$pid"
    done
    wait "${lab_actions[@]}" 2>/dev/null
}

lab_kill_tree() {
    local child
    for child in $(ps -o pid= --ppid "$1" 2>/dev/null); do
        lab_kill_tree "$child"
    done
    kill "$1" 2>/dev/null
}

# ---- the run

# lab_wait_mark NAME SECONDS: until the lab has left that mark; fails when the outer machine ended or time is up.
lab_wait_mark() {
    local i
    for ((i = 0; i < $2 * 5; i++)); do
        [ -e "$lab_share/$1" ] && return 0
        kill -0 "$lab_pid" 2>/dev/null || { [ -e "$lab_share/$1" ]; return; }
        sleep 0.2
    done
    return 1
}

lab_stop() {
    [ -n "${lab_pid:-}" ] || return 0
    kill "$lab_pid" 2>/dev/null
    wait "$lab_pid" 2>/dev/null
    lab_pid=''
}

lab_cleanup() {
    local pid status=$?
    trap - EXIT INT TERM
    for pid in "${lab_actions[@]}" ${lab_quit_pid:-}; do lab_kill_tree "$pid"; done
    lab_stop
    if [ -n "$opt_logs" ]; then
        mkdir -p "$opt_logs"
        cp "$lab_share/dm.log" "$lab_work/console" "$opt_logs/" 2>/dev/null
        cp "$lab_serial" "$opt_logs/serial" 2>/dev/null
        cp -r "$lab_share"/out/. "$opt_logs/" 2>/dev/null
    fi
    rm -rf "$lab_work"
    exit $status
}

# lab_report_log: the end of what the device model printed, and for a lab that never came up its console.
lab_report_log() {
    if [ -s "$lab_share/dm.log" ]; then
        tail -n 12 "$lab_share/dm.log" | sed 's/^/dm: /' >&2
    fi
}

# lab_run: start the lab, once more if it does not come up, act, wait for the end; exits.
lab_run() {
    local attempt up='' i status
    local patience=$((${LAB_BOOT_SECONDS:-120} * ${TEST_TIMEOUT_SCALE:-1}))
    lab_work=$(mktemp -d "${TMPDIR:-/tmp}/hvm-dm-lab.XXXXXX")
    lab_actions=()
    lab_serial=${opt_serial:-$lab_work/serial}
    lab_share=$lab_work/share
    trap lab_cleanup EXIT
    trap 'lab_say interrupted; [ -z "$up" ] || lab_end; exit 130' INT TERM
    mkdir -p "$(dirname "$lab_serial")"
    lab_prepare
    for attempt in 1 2; do
        rm -rf "$lab_share"
        mkdir -p "$lab_share"
        for i in "${opt_put[@]}"; do cp --sparse=always "$i" "$lab_share/"; done
        : >"$lab_serial"
        lab_vnc_port=${opt_vnc:-$(lab_free_port)}
        lab_start
        if lab_wait_mark up "$patience" && lab_wait_mark started "$patience"; then
            up=1
            break
        fi
        lab_say "the lab did not come up (attempt $attempt); the end of its console:"
        tail -n 8 "$lab_work/console" 2>/dev/null | sed 's/^/console: /' >&2
        lab_stop
    done
    [ -n "$up" ] || exit 3
    opt_timeout=$((opt_timeout * ${TEST_TIMEOUT_SCALE:-1}))
    lab_start_time=${EPOCHREALTIME/[.,]/}
    lab_say "$(basename "$opt_dm") started in the lab; VNC at 127.0.0.1:$lab_vnc_port"

    for i in "${!action_kind[@]}"; do
        lab_act "$i" &
        lab_actions+=($!)
    done
    if [ -n "$opt_quit" ]; then
        (lab_wait_when "$opt_quit"; touch "$lab_work/quit") &
        lab_quit_pid=$!
    fi

    status=''
    while [ -z "$status" ]; do
        sleep 0.2
        if [ -n "$opt_until" ] && lab_serial_says "$opt_until"; then
            lab_finish_actions
            lab_say "the guest's serial line said '$opt_until' at $(lab_seconds) s"
            status=0
        elif [ -e "$lab_work/quit" ]; then
            lab_finish_actions
            lab_say "ended as asked at $(lab_seconds) s"
            status=0
        elif [ -s "$lab_share/exit" ]; then
            lab_ended
        elif ! kill -0 "$lab_pid" 2>/dev/null; then
            # The mark may have come between the two looks.
            if [ -s "$lab_share/exit" ]; then
                lab_ended
            else
                lab_say "the lab's machine ended at $(lab_seconds) s without saying why; the end of its console:"
                tail -n 8 "$lab_work/console" | sed 's/^/console: /' >&2
                status=1
            fi
        elif [ "$opt_timeout" != 0 ] && [ $((${EPOCHREALTIME/[.,]/} - lab_start_time)) -gt $((opt_timeout * 1000000)) ]; then
            lab_say "timeout after $opt_timeout s${opt_until:+: '$opt_until' never came on the serial line}"
            lab_report_log
            tail -c 600 "$lab_serial" | tr -d '\r' | tail -n 6 | sed 's/^/serial: /' >&2
            status=124
        fi
    done
    if [ -s "$lab_work/failed" ] && [ "$status" = 0 ]; then
        lab_say "$(wc -l <"$lab_work/failed") timed actions failed"
        status=1
    fi
    [ -s "$lab_share/exit" ] || lab_end || true
    exit "$status"
}

# lab_ended: the device model has ended by itself; sets the caller's status.
lab_ended() {
    local code
    code=$(cat "$lab_share/exit")
    lab_say "$(basename "$opt_dm") ended with status $code at $(lab_seconds) s"
    if [ -n "$opt_until" ] && lab_serial_says "$opt_until"; then
        status=0
    elif [ -n "$opt_until$opt_quit" ] || [ "$code" != 0 ]; then
        [ -z "$opt_until" ] || lab_say "'$opt_until' never came on the serial line"
        lab_report_log
        status=1
    else
        status=0
    fi
}
