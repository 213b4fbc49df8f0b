# SPDX-License-Identifier: GPL-2.0-or-later
# The Xen lab: QEMU emulates a machine with SVM, Debian's Xen boots there with Debian's kernel as dom0, and xl creates an HVM
# domain whose device model is ours (or the stock one: --dm stock). Sourced by `run` after common.sh, which says what each
# function is for. Programs in dom0 are in xen-init and xen-dom0/.
#
# The initramfs of dom0 is three archives one after another, each cached for itself: Xen's tools; the stock device model, where
# it is wanted; the device model under test. CD and disk are disks of the outer machine.

xen_dm_path=/usr/lib/hvm-dm/hvm-dm
xen_stock_path=/usr/libexec/xen-qemu-system-i386
xen_dom0_modules=(xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-blkback xen-netback tun bridge veth 8021q loop
    virtio_pci virtio_blk virtio_net virtio_console 9p 9pnet_virtio)

# xen_deb_program ROOT PACKAGE PATH...: programs of a package that is not installed, with the libraries they need.
xen_deb_program() {
    local root=$1 deb file
    deb=$(lab_deb "$2") || exit 2
    shift 2
    for file; do
        mkdir -p "$root$(dirname "$file")"
        cp "$deb$file" "$root$file" || lab_die "no $file in its package"
        if ldd "$root$file" 2>/dev/null | grep 'not found'; then
            lab_die "$file lacks libraries; ./install-packages check brings them"
        fi
        lab_add_libraries "$root" "$root$file"
    done
}

# xen_archive NAME KEY FUNCTION: $LAB_CACHE/xen-NAME-KEY.cpio, filled by FUNCTION TREE when it is not there; sets xen_cpio.
xen_archive() {
    xen_cpio=$LAB_CACHE/xen-$1-$2.cpio
    mkdir -p "$LAB_CACHE"
    (
        flock 7
        [ -e "$xen_cpio" ] && exit 0
        lab_say "making the Xen lab's initramfs: $1"
        # Older ones stay for a while: another run may be about to read them.
        find "$LAB_CACHE" -maxdepth 1 -name "xen-$1-*.cpio" -mmin +60 -delete
        tree=$(mktemp -d "$LAB_CACHE/xen-tree.XXXXXX")
        "$3" "$tree"
        lab_cpio "$tree" "$xen_cpio"
        rm -rf "$tree"
    ) 7>"$LAB_CACHE/xen-lab.lock" || exit 2
}

xen_fill_tools() {
    local tree=$1 scripts name
    lab_add_busybox "$tree"
    lab_add_modules "$tree" "${xen_dom0_modules[@]}"
    # busybox's own lack options that the hotplug scripts use.
    for name in bash losetup flock stat ip socat; do
        lab_add_program "$tree" "$(command -v $name || lab_die "$name is missing; ./install-packages run brings it")"
        ln -sf "$(command -v $name)" "$tree/bin/$name"
    done
    xen_deb_program "$tree" xen-utils-4.17 /usr/lib/xen-4.17/bin/{xl,xenstored,xenconsoled,xenconsole,xen-init-dom0,libxl-save-helper}
    xen_deb_program "$tree" xenstore-utils /usr/bin/xenstore
    for name in read write list ls rm exists watch chmod; do
        ln -s xenstore "$tree/usr/bin/xenstore-$name"
    done
    mkdir -p "$tree/usr/lib/xen-4.17/boot" "$tree"/{lab,proc/xen,root} "$tree/usr/lib/lab" "$tree/var/run"
    cp "$(lab_deb xen-utils-4.17)/usr/lib/xen-4.17/boot/hvmloader" "$tree/usr/lib/xen-4.17/boot/"
    scripts=$(lab_deb xen-utils-common)/etc/xen
    mkdir -p "$tree/etc/xen"
    cp -r "$scripts/scripts" "$scripts/xl.conf" "$tree/etc/xen/"
    install -m 755 "$lab_dir"/xen-dom0/{block,vif-bridge} "$tree/etc/xen/scripts/"
    cp "$lab_dir"/xen-dom0/{serve,serve-qmp,collect,run-guest,functions} "$tree/usr/lib/lab/"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n' >"$tree/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$tree/etc/group"
    xen_copy_files "$tree" /usr/share/seabios '*.bin'
    lab_add_layouts "$tree"
    xen_copy_files "$tree" /usr/lib/ipxe/qemu '*.rom'
    xen_copy_files "$tree" /usr/share/ovmf '*.fd'
    install -m 755 "$lab_dir/xen-init" "$tree/init"
}

# xen_copy_files TREE DIR PATTERN: files of a folder of this machine, where it exists.
xen_copy_files() {
    [ -d "$2" ] || return 0
    (cd / && find "${2#/}" -name "$3" -print0 | cpio --null -o -L -H newc --quiet) 2>/dev/null |
        (cd "$1" && cpio -idmu --quiet --no-absolute-filenames)
}

xen_fill_stock() {
    xen_deb_program "$1" qemu-system-xen "$xen_stock_path"
    xen_copy_files "$1" /usr/share/qemu '*.bin'
    xen_copy_files "$1" /usr/share/qemu/keymaps '*'
}

# Debian's libvirt with its libxl driver, alone: no other driver, no D-Bus, nobody to ask for a password.
xen_fill_libvirt() {
    local tree=$1 package libraries=/usr/lib/x86_64-linux-gnu
    for package in libvirt0 libvirt-daemon libvirt-daemon-driver-xen libvirt-clients; do
        lab_deb "$package" >/dev/null || exit 2
    done
    mkdir -p "$tree$libraries/libvirt/connection-driver" "$tree/etc/libvirt/libxl" "$tree"/var/{lib,log,cache}/libvirt "$tree"/{run/libvirt,var/run}
    ln -s /run/libvirt "$tree/var/run/libvirt"
    cp -a "$(lab_deb libvirt0)$libraries"/libvirt*.so.* "$tree$libraries/"
    mkdir -p "$tree/usr/share"
    cp -r "$(lab_deb libvirt0)/usr/share/libvirt" "$tree/usr/share/"
    # The emulated processor lacks virtual 8086 mode extensions, which each model that libvirt knows has.
    sed -i "/name=.vme./d" "$tree/usr/share/libvirt/cpu_map/x86_486.xml"
    export LD_LIBRARY_PATH=$tree$libraries
    xen_deb_program "$tree" libvirt-daemon /usr/sbin/libvirtd
    xen_deb_program "$tree" libvirt-daemon-driver-xen $libraries/libvirt/connection-driver/libvirt_driver_libxl.so
    xen_deb_program "$tree" libvirt-clients /usr/bin/virsh
    unset LD_LIBRARY_PATH
    rm -rf "${tree:?}$LAB_CACHE" # libvirt.so.0 once more, by the path at which it was found
    printf 'auth_unix_ro = "none"\nauth_unix_rw = "none"\nhost_uuid = "00000000-0000-4000-8000-0000000000aa"\n' \
        >"$tree/etc/libvirt/libvirtd.conf"
    echo 'autoballoon = 0' >"$tree/etc/libvirt/libxl.conf"
    ln -s /usr/lib/xen-4.17 "$tree/usr/lib/xen"
}

xen_fill_dm() {
    local tool
    if [ "$opt_dm" != stock ]; then
        mkdir -p "$1$(dirname $xen_dm_path)"
        cp "$opt_dm" "$1$xen_dm_path"
        lab_add_libraries "$1" "$opt_dm"
    fi
    # VNC clients, for scripts in dom0.
    for tool in "$VNCDO" "$(command -v vncsnapshot)"; do
        [ -x "$tool" ] || continue
        mkdir -p "$1/usr/bin"
        cp "$tool" "$1/usr/bin/"
        lab_add_libraries "$1" "$tool"
    done
}

# lab_prepare: $xen_kernel, $kernel_image and $xen_archives.
lab_prepare() {
    local hypervisor key
    lab_kernel
    hypervisor=$(lab_deb xen-hypervisor-4.17-amd64) || exit 2
    # QEMU cannot load the compressed file.
    xen_kernel=$LAB_CACHE/xen-4.17
    if [ ! -e "$xen_kernel" ]; then
        gunzip -c "$hypervisor/boot/xen-4.17-amd64.gz" >"$xen_kernel.$$" && mv "$xen_kernel.$$" "$xen_kernel"
    fi
    key=$( (cat "$lab_dir/xen.sh" "$lab_dir/xen-init" "$lab_dir"/xen-dom0/* "$lab_dir/common.sh"; echo "$kernel_version") |
        sha256sum | cut -c 1-16)
    xen_archive tools "$key" xen_fill_tools
    xen_archives=("$xen_cpio")
    if [ "$opt_dm" = stock ] || [ -n "$opt_with_stock" ]; then
        xen_archive stock "$(dpkg-query -W -f '${Version}' qemu-system-data 2>/dev/null | tr -c 'a-z0-9\n' -)" xen_fill_stock
        xen_archives+=("$xen_cpio")
    fi
    if [ -n "$opt_with_libvirt" ]; then
        xen_archive libvirt "$(sha256sum <"$lab_dir/xen.sh" | cut -c 1-16)" xen_fill_libvirt
        xen_archives+=("$xen_cpio")
    fi
    key=$( (cat "$lab_dir/xen.sh"; [ "$opt_dm" = stock ] || cat "$opt_dm"; cat "$VNCDO" 2>/dev/null) | sha256sum | cut -c 1-16)
    xen_archive dm "$key" xen_fill_dm
    xen_archives+=("$xen_cpio")
}

# xen_config: the domain's xl.cfg. Its disks are the outer machine's, in the order in which lab_start gives them.
xen_config() {
    local unit=a disks=() vga option arguments=()
    case "$opt_vga" in std) vga=stdvga ;; *) vga=$opt_vga ;; esac
    if [ -n "$opt_iso" ]; then
        disks+=("'format=raw,vdev=hdc,access=ro,devtype=cdrom,target=/dev/vd$unit'")
        unit=b
    fi
    if [ -n "$opt_disk" ]; then
        disks+=("'format=raw,vdev=hda,access=rw,backendtype=$opt_backend,target=/dev/vd$unit'")
        unit=$(tr ab bc <<<"$unit")
    fi
    if [ -n "$opt_floppy" ]; then arguments+=("'-fda'" "'/dev/vd$unit'"); fi
    for option in "${dm_options[@]}"; do arguments+=("'$option'"); done
    # tsc_mode: with an exit for each reading of the clock, the ticks of several processors leave an emulated machine no time.
    cat <<CFG
name = "guest"
type = "hvm"
device_model_version = "qemu-xen"
memory = $opt_memory
vcpus = $opt_smp
boot = "dca"
tsc_mode = "native"
vga = "$vga"
vnc = 1
vnclisten = "0.0.0.0"
vncunused = 0
serial = "pty"
on_poweroff = "destroy"
on_reboot = "restart"
on_crash = "destroy"
disk = [ $(xen_join "${disks[@]}") ]
device_model_args_hvm = [ $(xen_join "${arguments[@]}") ]
CFG
    [ "$opt_dm" = stock ] || printf 'device_model_override = "%s"\n' "$xen_dm_path"
    [ ${#opt_cfg[@]} -eq 0 ] || printf '%s\n' "${opt_cfg[@]}"
}

xen_join() {
    local IFS=,
    printf '%s' "$*"
}

lab_start() {
    local options=()
    cat "${xen_archives[@]}" >"$lab_work/dom0.cpio" || exit 2
    xen_config >"$lab_share/guest.cfg"
    [ -z "$opt_dom0_script" ] || cp "$opt_dom0_script" "$lab_share/dom0-script"
    : >"$lab_work/console"
    if [ -n "$opt_iso" ]; then options+=(-drive "file=$opt_iso,if=virtio,format=raw,readonly=on"); fi
    if [ -n "$opt_disk" ]; then options+=(-drive "file=$opt_disk,if=virtio,format=raw,cache=unsafe,discard=unmap"); fi
    if [ -n "$opt_floppy" ]; then options+=(-drive "file=$opt_floppy,if=virtio,format=raw,cache=unsafe"); fi
    xen_qmp_port=$(lab_free_port)
    xen_shell_port=$(lab_free_port)
    # Without these flags Xen, dom0 or the guest meets instructions that the emulation or nested paging gets wrong.
    qemu-system-x86_64 -accel tcg,thread=multi,tb-size=1024 -machine q35 \
        -cpu "$(lab_cpu EPYC ,-smap,-smep,-monitor,-rdtscp,-xsave,-avx,-avx2,-f16c,-fma,-xsaveopt,-xgetbv1,-xsavec)" \
        -smp "${LAB_CPUS:-1}" -m $((1536 + 1024 + opt_memory + opt_more_memory)) -kernel "$xen_kernel" \
        -append "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all conring_size=4M console_timestamps=boot dom0_mem=1536M,max:1536M cpuidle=0 cpufreq=none spec-ctrl=no xpti=0 bootscrub=0" \
        -initrd "$kernel_image console=hvc0 quiet rdinit=/init mitigations=off panic=5 rodata=off cryptomgr.notests apparmor=0 audit=0,$lab_work/dom0.cpio" \
        -nodefaults -display none -no-reboot -serial "file:$lab_work/console" \
        -fsdev "local,id=share,path=$lab_share,security_model=none" -device virtio-9p-pci,fsdev=share,mount_tag=lab \
        -device virtio-serial-pci -chardev "file,id=serial,path=$lab_serial" -device virtserialport,chardev=serial,name=serial \
        -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$lab_vnc_port-:5900,hostfwd=tcp:127.0.0.1:$xen_qmp_port-:4444,hostfwd=tcp:127.0.0.1:$xen_shell_port-:4445" \
        -device virtio-net-pci,netdev=net,romfile= "${options[@]}" >>"$lab_work/console" 2>&1 </dev/null &
    lab_pid=$!
}

lab_qmp() {
    lab_qmp_tcp "$xen_qmp_port" "$1"
}

# lab_dom0 COMMAND: one shell command in dom0; prints its output, fails when it does.
lab_dom0() {
    local reply
    reply=$(
        exec 3<>"/dev/tcp/127.0.0.1/$xen_shell_port" || exit 1
        printf '%s\n' "$1" >&3
        cat <&3
    ) 2>/dev/null
    # The last line is the exit status.
    printf '%s\n' "${reply%$'\n'*}"
    [ "${reply##*$'\n'}" = "status 0" ]
}

lab_xl() {
    lab_dom0 "xl $1"
}

# lab_end: the logs, and the disk's last writes.
lab_end() {
    local i
    [ -n "$opt_logs$opt_disk" ] || return 0
    lab_dom0 "bash /usr/lib/lab/collect running; xl destroy guest; sync" >/dev/null
    for ((i = 0; i < 50; i++)); do
        [ -s "$lab_share/exit" ] && return 0
        sleep 0.2
    done
}
