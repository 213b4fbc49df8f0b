/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command lines that libxl makes of guests' configurations, from Xen 4.14 to 4.20: each one starts a
 * domain with what it says, starts it with a word about what is missing, or is refused with one line that
 * says why. Xen is a stand-in (tests/fakexen).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fakexen/host.h"
#include "tests/lib/cmocka.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What every line begins with; of 4.14; with dm_restrict=1. @ is the run directory. */
#define LINE                                                                                                 \
    "-xen-domid 1 -no-shutdown -chardev socket,id=libxl-cmd,path=@/qmp-libxl-1,server=on,wait=off "          \
    "-mon chardev=libxl-cmd,mode=control -chardev socket,id=libxenstat-cmd,path=@/qmp-libxenstat-1,"         \
    "server=on,wait=off -mon chardev=libxenstat-cmd,mode=control -nodefaults -no-user-config "
#define LINE_4_14                                                                                            \
    "-xen-domid 1 -chardev socket,id=libxl-cmd,path=@/qmp-libxl-1,server,nowait -no-shutdown "               \
    "-mon chardev=libxl-cmd,mode=control -chardev socket,id=libxenstat-cmd,path=@/qmp-libxenstat-1,"         \
    "server,nowait -mon chardev=libxenstat-cmd,mode=control -nodefaults -no-user-config "
#define LINE_RESTRICT                                                                                        \
    "-xen-domid 1 -no-shutdown -chardev socket,id=libxl-cmd,fd=14,server=on,wait=off -S "                    \
    "-mon chardev=libxl-cmd,mode=control -chardev socket,id=libxenstat-cmd,path=@/qmp-libxenstat-1,"         \
    "server=on,wait=off -mon chardev=libxenstat-cmd,mode=control -nodefaults -no-user-config "

#define VNC        "-vnc 127.0.0.1:0,to=99 -display none "
#define CIRRUS     "-device cirrus-vga,vgamem_mb=8 -boot order=cda "
#define XENFV      "-machine xenfv,suppress-vmdesc=on -m 248 "
#define NO_NETWORK "-net none "
#define PLAIN      VNC CIRRUS NO_NETWORK XENFV

/* %d, %h, %q: an image of its own, the same as another one, one that is no qcow2. %c: a CD. %v: a free VNC
 * display. %t: a name for a tap. */
#define NIC(model, mac)                                                                                      \
    "-device " model ",id=nic0,netdev=net0,mac=00:16:3e:00:00:" mac                                          \
    " -netdev type=tap,id=net0,ifname=%t,br=xenbr0,script=no,downscript=no "
#define CD                                                                                                   \
    "-drive if=none,readonly=on,id=ide-5632,file=%c,format=raw "                                             \
    "-device ide-cd,id=ide-5632,drive=ide-5632,bus=ide.1,unit=0 "
#define DISK(index, file) "-drive file=" file ",if=ide,index=" index ",media=disk,format=raw,cache=writeback "

/* XCP-ng 8.x's line of a public report, word for word but for the domain's number and the sockets' directory.
 */
#define XCP_NG(sandbox)                                                                                      \
    "-machine pc-0.10,accel=xen,max-ram-below-4g=4026531840,suppress-vmdesc=on,allow-unassigned=true,"       \
    "trad_compat=True -vnc unix:@/vnc-1,lock-key-sync=off -monitor null -xen-domid 1 -m size=504 "           \
    "-boot order=cdn -usb -device usb-tablet,port=2 -smp 1,maxcpus=1 -serial pty -display none -nodefaults " \
    "-trace enable=xen_platform_log " sandbox                                                                \
    " -S -global PIIX4_PM.revision_id=0x1 -global ide-hd.ver=0.10.2 "                                        \
    "-global piix3-ide-xen.subvendor_id=0x5853 -qmp unix:@/qmp-libxl-1,server,nowait "                       \
    "-qmp unix:@/qmp-event-1,server,nowait -device xen-platform,addr=3,device-id=0x0001,revision=0x2,"       \
    "class-id=0x0100,subvendor_id=0x5853,subsystem_id=0x0001 -drive file=,if=none,id=ide1-cd1,read-only=on " \
    "-device ide-cd,drive=ide1-cd1,bus=ide.1,unit=1 "

enum { WORDS = 5 };

/* A monitor command and a word of its answer; "!" before the word: it must not be there. */
struct seen {
    const char *command, *word;
};

struct line {
    const char *name, *args;
    const char *device;      /* needs this device: otherwise the line is refused with its name */
    const char *said[WORDS]; /* words that standard error has; none: it is empty */
    struct seen seen[WORDS + 3];
    bool refused;
};

#ifdef HAVE_SDL
#define NO_WINDOW "-display sdl: there is no X server to open a window on: DISPLAY is not set"
#else
#define NO_WINDOW "-display sdl: this hvm-dm was built without windows"
#endif

static const struct line lines[] = {
    {"minimal", LINE "-name v01-minimal " PLAIN,
     .seen = {{"info name", "v01-minimal"},
              {"info pci", "1013:00b8"},
              {"info pci", "5853:0001"},
              {"info pci", "8086:7113"},
              {"info pci", "!8139"},
              {"info vnc", "127.0.0.1:59"},
              {"info block", "!hd0"}}},
    {"XCP-ng, word for word",
     XCP_NG("-sandbox on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny"),
     .said = {"-sandbox on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny: there is "
              "no filter "
              "of system calls"},
     .refused = true},
    {"XCP-ng, but for the sandbox", XCP_NG(""), .said = {"-machine pc-0.10: taken as pc"},
     .seen = {{"info pci", "5853:0001"},
              {"info pci", "Bus  0, device   3, function 0"},
              {"info usb", "Port 2, Speed 12 Mb/s, Product hvm-dm USB Tablet"},
              {"info block", "ide1-cd1: [not inserted]"},
              {"info vnc", "vnc-1"},
              {"info chardev", "serial0: filename=pty:/dev/pts/"}}},
    {"standard VGA, disk, CD, serial line, tablet",
     LINE
     "-name v02 -vnc 127.0.0.1:%v -display none -serial pty -device VGA,vgamem_mb=16 -boot order=cd -usb "
     "-usbdevice tablet -net none -machine xenfv,suppress-vmdesc=on -m 240 " DISK("0", "%d") CD,
     .seen = {{"info pci", "1234:1111"},
              {"info pci", "8086:7020"},
              {"info usb", "Port 1, Speed 12 Mb/s, Product hvm-dm USB Tablet"},
              {"info chardev", "serial0: filename=pty:/dev/pts/"},
              {"info block", "ide0-hd0: "},
              {"info block", "ide-5632: "}}},
    {"network card of the default model", LINE "-name v13 " VNC CIRRUS NIC("rtl8139", "01") XENFV,
     .device = "rtl8139", .seen = {{"info pci", "10ec:8139"}, {"info network", "nic0"}}},
    {"pcnet", LINE "-name v02 " VNC CIRRUS NIC("pcnet", "03") XENFV, .device = "pcnet",
     .seen = {{"info pci", "1022:2000"}}},
    {"e1000", LINE "-name v03 " VNC CIRRUS NIC("e1000", "04") XENFV, .device = "e1000",
     .seen = {{"info pci", "8086:100e"}}},
    {"ne2k_pci", LINE "-name v03 " VNC CIRRUS NIC("ne2k_pci", "05") XENFV, .device = "ne2k_pci",
     .seen = {{"info pci", "10ec:8029"}}},
    {"virtio", LINE "-name v " VNC CIRRUS NIC("virtio-net-pci", "06") XENFV, .device = "virtio-net-pci",
     .seen = {{"info pci", "1af4:"}}},
    {"no such card", LINE "-name v " VNC CIRRUS NIC("rtl8193", "06") XENFV,
     .said = {"there is no device 'rtl8193'; did you mean 'rtl8139'?"}, .refused = true},
    {"processors", LINE "-name v03 " VNC "-serial pty " CIRRUS "-smp 2,maxcpus=4 " NO_NETWORK XENFV,
     .seen = {{"info cpus", "CPU #1"}, {"info cpus", "!CPU #2"}}},
    {"all processors at once", LINE "-name v03 " VNC CIRRUS "-smp 4 " NO_NETWORK XENFV,
     .seen = {{"info cpus", "CPU #3"}}},
    {"four disks and a CD's place",
     LINE "-name v03 " PLAIN DISK("0", "%d") DISK("1", "%h") CD DISK("3", "%e"),
     .seen = {{"info block", "ide0-hd1: "}, {"info block", "ide1-hd1: "}, {"info block", "ide-5632: "}}},
    {"an empty CD drive",
     LINE "-name v05 " PLAIN "-drive if=none,readonly=on,id=ide-5632 "
          "-device ide-cd,id=ide-5632,drive=ide-5632,bus=ide.1,unit=0",
     .seen = {{"info block", "ide-5632: [not inserted]"}}},
    {"a disk that is no qcow2",
     LINE "-name v05 " PLAIN "-drive file=%d,if=ide,index=0,media=disk,format=qcow2,cache=writeback",
     .said = {"qcow2"}, .refused = true},
    {"a disk that is not there", LINE "-name v05 " PLAIN DISK("0", "/no/such/disk"),
     .said = {"/no/such/disk"}, .refused = true},
    {"SCSI disk",
     LINE "-name v05 " VNC "-device lsi53c895a " CIRRUS NO_NETWORK XENFV
          "-drive file=%d,id=scsi0-hd0,format=raw,if=none,readonly=off,cache=writeback "
          "-device scsi-hd,drive=scsi0-hd0,scsi-id=0",
     .said = {"lsi53c895a: SCSI disks (vdev=sd*) are not supported"}, .refused = true},
    {"AHCI",
     LINE "-name v " PLAIN "-device ahci,id=ahci0 -drive file=%d,if=none,id=ahcidisk-0,format=raw,"
          "cache=writeback -device ide-hd,bus=ahci0.0,unit=0,drive=ahcidisk-0",
     .said = {"ahci: AHCI (hdtype=\"ahci\") is not supported"}, .refused = true},
    {"direct kernel boot",
     LINE "-name v07 " VNC
          "-kernel /root/vmlinuz -initrd /root/initrd.img -append console=ttyS0 " CIRRUS NO_NETWORK XENFV,
     .said = {"-kernel: /root/vmlinuz: No such file or directory"}, .refused = true},
    {"USB devices, a keymap",
     LINE "-name v08 " VNC "-k de " CIRRUS
          "-usb -usbdevice tablet -usbdevice mouse -usbdevice keyboard " NO_NETWORK XENFV,
     .seen = {{"info usb", "Port 1, Speed 12 Mb/s, Product hvm-dm USB Tablet"},
              {"info usb", "Port 2, Speed 12 Mb/s, Product hvm-dm USB Mouse"},
              {"info usb", "Device 1.0, Port 1, Speed 12 Mb/s, Product hvm-dm USB Keyboard"}}},
    {"a USB device of the host",
     LINE "-name v08 " VNC CIRRUS "-usb -usbdevice host:046d:c016 " NO_NETWORK XENFV,
     .said = {"-usbdevice host:046d:c016: no USB device of the host"}, .refused = true},
    {"a USB device that does not exist",
     LINE "-name v08 " VNC CIRRUS "-usb -usbdevice tabled " NO_NETWORK XENFV,
     .said = {"'tabled'; did you mean 'tablet'?"}, .refused = true},
    {"usbversion=1", LINE "-name v " VNC CIRRUS "-device piix3-usb-uhci,id=usb " NO_NETWORK XENFV,
     .seen = {{"info pci", "8086:7020"}}},
    {"usbversion=2",
     LINE
     "-name v " VNC CIRRUS "-device ich9-usb-ehci1,id=usb,addr=0x1d.0x7,multifunction=on "
     "-device ich9-usb-uhci1,masterbus=usb.0,firstport=0,addr=0x1d.0,multifunction=on "
     "-device ich9-usb-uhci2,masterbus=usb.0,firstport=2,addr=0x1d.0x1,multifunction=on "
     "-device ich9-usb-uhci3,masterbus=usb.0,firstport=4,addr=0x1d.0x2,multifunction=on " NO_NETWORK XENFV,
     .said = {"-device ich9-usb-ehci1, ",
              "-device ich9-usb-uhci3: the only USB controller is piix3-usb-uhci"}},
    {"usbversion=3", LINE "-name v " VNC CIRRUS "-device nec-usb-xhci,id=usb " NO_NETWORK XENFV,
     .said = {"-device nec-usb-xhci: the only USB controller is piix3-usb-uhci"}},
    {"USB redirection",
     LINE "-name v " VNC CIRRUS "-chardev spicevmc,name=usbredir,id=usbrc1 "
          "-device usb-redir,chardev=usbrc1,id=usbrc1 " NO_NETWORK XENFV,
     .said = {"-chardev spicevmc,name=usbredir,id=usbrc1: SPICE is not supported"}, .refused = true},
    {"words of the administrator's that are wrong", LINE "-name v08 " VNC CIRRUS NO_NETWORK "-d int " XENFV,
     .said = {"-d"}, .refused = true},
    {"a -global of nothing", LINE "-name v08 " VNC CIRRUS NO_NETWORK XENFV "-global x=y",
     .said = {"-global x=y"}, .refused = true},
    {"a typing error among the extra arguments", LINE "-name v08 " PLAIN "-devcie VGA",
     .said = {"'-devcie'; did you mean '-device'?"}, .refused = true},
    {"a security option that is not here", LINE "-name v08 " PLAIN "-sandbox on",
     .said = {"-sandbox on: there is no filter of system calls"}, .refused = true},
    {"SDL without an X server",
     LINE "-name v15 -vnc none -display none -display sdl " CIRRUS NO_NETWORK XENFV, .said = {NO_WINDOW},
     .refused = true},
    {"SDL of 4.14", LINE_4_14 "-name v15 -vnc none -sdl " CIRRUS NO_NETWORK "-machine xenfv -m 248",
     .said = {NO_WINDOW}, .refused = true},
    {"SPICE",
     LINE "-name v10 -vnc none -display none -spice port=6000,tls-port=0,addr=127.0.0.1,disable-ticketing=on,"
          "agent-mouse=on " CIRRUS NO_NETWORK XENFV,
     .said = {"-spice port=6000", "SPICE is not supported; VNC is"}, .refused = true},
    {"QXL", LINE "-name v " VNC "-device qxl-vga,vram_size_mb=64,ram_size_mb=64 " NO_NETWORK XENFV,
     .said = {"qxl-vga: SPICE is not supported"}, .refused = true},
    {"sound", LINE "-name v03 " VNC CIRRUS "-device sb16 " NO_NETWORK XENFV,
     .said = {"sb16: sound is not supported"}, .refused = true},
    {"sound, high definition",
     LINE "-name v " VNC CIRRUS "-device intel-hda -device hda-duplex " NO_NETWORK XENFV,
     .said = {"intel-hda: sound is not supported"}, .refused = true},
    {"sound of 4.14", LINE_4_14 "-name v03 " VNC CIRRUS "-soundhw ac97 " NO_NETWORK "-machine xenfv -m 248",
     .said = {"-soundhw ac97: sound is not supported"}, .refused = true},
    {"no graphics adapter, no viewers",
     LINE "-name v -vnc none -display none -boot order=c " NO_NETWORK XENFV,
     .seen = {{"info pci", "!1234:1111"}, {"info pci", "!1013:00b8"}, {"info vnc", "None"}}},
    {"nographic", LINE "-name v -vnc none -display none -serial pty -nographic " CIRRUS NO_NETWORK XENFV,
     .seen = {{"info chardev", "serial0: filename=pty:"}}},
    {"viewers anywhere, with a password",
     LINE "-name v -vnc 0.0.0.0:0,password=on,to=99 -display none " CIRRUS NO_NETWORK XENFV,
     .seen = {{"info vnc", "0.0.0.0:59"}, {"info vnc", "vnc"}}},
    {"viewers by IPv6's loopback", LINE "-name v -vnc [::1]:0,to=99 -display none " CIRRUS NO_NETWORK XENFV,
     .seen = {{"info vnc", "::1"}}},
    {"serial lines of every kind",
     LINE
     "-name v " VNC
     "-serial pty -serial file:@/log -serial unix:@/line,server=on,wait=off -serial null " CIRRUS NO_NETWORK
         XENFV,
     .seen = {{"info chardev", "serial0: filename=pty:"},
              {"info chardev", "serial1: filename=file"},
              {"info chardev", "serial2: filename=disconnected:unix:"},
              {"info chardev", "serial3: filename=null"}}},
    {"serial line: none", LINE "-name v " VNC "-serial none " CIRRUS NO_NETWORK XENFV,
     .seen = {{"info chardev", "!serial0"}}},
    {"serial line: a TCP port",
     LINE "-name v " VNC "-serial tcp:127.0.0.1:0,server=on,wait=off " CIRRUS NO_NETWORK XENFV,
     .seen = {{"info chardev", "serial0: filename=disconnected:tcp:127.0.0.1:"}}},
    {"channels",
     "-xen-domid 1 -no-shutdown -chardev socket,id=libxl-cmd,path=@/qmp-libxl-1,server=on,wait=off "
     "-mon chardev=libxl-cmd,mode=control -chardev pty,id=libxl-channel0 "
     "-chardev socket,id=libxl-channel1,path=@/channel,server=on,wait=off -nodefaults -no-user-config -name "
     "v " PLAIN,
     .seen = {{"info chardev", "libxl-channel1: filename=disconnected:unix:"}}},
    {"acpi=0", LINE "-name v " VNC CIRRUS "-no-acpi " NO_NETWORK XENFV, .seen = {{"info pci", "!8086:7113"}}},
    {"no platform device",
     LINE "-name v " VNC CIRRUS NO_NETWORK "-machine pc,accel=xen,suppress-vmdesc=on -m 248",
     .seen = {{"info pci", "!5853:0001"}, {"info pci", "1013:00b8"}}},
    {"mmio_hole",
     LINE "-name v " VNC CIRRUS NO_NETWORK
          "-machine xenfv,suppress-vmdesc=on,max-ram-below-4g=2147483648 -m 4088",
     .seen = {{"info pci", "5853:0001"}}},
    {"graphics passthrough",
     LINE "-name v " VNC CIRRUS NO_NETWORK "-machine xenfv,suppress-vmdesc=on,igd-passthru=on -m 248",
     .said = {"graphics passthrough is not supported"}, .refused = true},
    {"boot from the network first",
     LINE "-name v13 " VNC "-device VGA,vgamem_mb=16 -boot order=ncd " NO_NETWORK XENFV,
     .seen = {{"info pci", "1234:1111"}}},
    {"restore, from a descriptor that is not there",
     LINE "-name v " VNC CIRRUS NO_NETWORK "-incoming fd:20 " XENFV,
     .said = {"-incoming fd:20: there is no such descriptor"}, .refused = true},
    {"4.14's wording",
     LINE_4_14 "-name v -vnc 127.0.0.1:0,password,to=99 -display none " CIRRUS
               "-net none -machine xenfv -m 248 " DISK(
                   "0", "%d") "-drive if=ide,index=2,readonly=on,media=cdrom,id=ide-5632,file=%c,format=raw",
     .seen = {{"info block", "ide-5632: "}, {"info vnc", "vnc"}}},
    {"4.14's empty CD drive, network card without a bridge",
     LINE_4_14 "-name v " VNC CIRRUS "-device rtl8139,id=nic0,netdev=net0,mac=00:16:3e:00:00:01 "
               "-netdev type=tap,id=net0,ifname=%t,script=no,downscript=no -machine xenfv -m 248 "
               "-drive if=ide,index=2,readonly=on,media=cdrom,id=ide-5632",
     .device = "rtl8139", .seen = {{"info block", "ide-5632: [not inserted]"}, {"info pci", "10ec:8139"}}},
    {"a floppy among the extra arguments", LINE "-name v " PLAIN "-fda %d",
     .seen = {{"info block", "floppy0: "}}},
    {"a user to become, without restriction", LINE "-name v " PLAIN "-runas 12345:54321",
     .seen = {{"info name", "v"}}},
    {"vendor_device=\"xenserver\"", LINE "-name v " PLAIN "-device xen-pvdevice,device-id=0xc000",
     .seen = {{"info pci", "5853:c000"}}},
    {"COLO",
     LINE "-name v " PLAIN "-drive if=ide,index=0,media=disk,cache=writeback,driver=quorum,id=colo-disk1,"
          "vote-threshold=1,children.0.file.filename=%d,children.0.driver=raw,read-pattern=fifo",
     .said = {"vote-threshold"}, .refused = true},
    {"a PV domain",
     "-xen-domid 1 -xen-attach -name domain-1 -nographic -M xenpv -monitor /dev/null "
     "-serial /dev/null -parallel /dev/null",
     .said = {"-xen-attach: hvm-dm serves HVM domains"}, .refused = true},
    {"the traditional protocol", "-d 1 -domain-name v -vnc 127.0.0.1:0 -boot c -M xenfv",
     .said = {"-d belongs to the protocol of device_model_version=\"qemu-xen-traditional\""},
     .refused = true},
};

/* ---- a line with its files ---- */

struct place {
    char dir[32];
    const char *files[4]; /* %c %d %e %h */
};

static int make_place(void **state)
{
    struct place *place = *state = calloc(1, sizeof(*place));

    assert_non_null(place);
    strcpy(place->dir, "/tmp/libxl-test-XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    for (size_t i = 0; i < COUNT(place->files); i++)
        place->files[i] = strdup(qtest_temp_file(".raw", 1 << 20));
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    char command[64];

    snprintf(command, sizeof(command), "rm -rf %s", place->dir);
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < COUNT(place->files); i++)
        free((char *)place->files[i]);
    free(place);
    return 0;
}

static const char *replacement(const struct place *place, char what, char number[32])
{
    static const char files[] = "cdeh";
    const char *file = strchr(files, what);

    if (file)
        return place->files[file - files];
    snprintf(number, 32, what == 'v' ? "%d" : "vif%d-emu", 2000 + (int)getpid() % 10000);
    return number;
}

/* The table's line with the names filled in; caller frees. */
static char *fill_in(const struct place *place, const char *args)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (; *args; args++) {
        char number[32];

        if (*args == '@')
            fputs(place->dir, out);
        else if (*args == '%')
            fputs(replacement(place, *++args, number), out);
        else
            fputc(*args, out);
    }
    fclose(out);
    return text;
}

/* ---- what it says and does ---- */

static char *text_of(int fd)
{
    char *text = calloc(1, 16384);

    assert_non_null(text);
    assert_true(pread(fd, text, 16383, 0) >= 0);
    return text;
}

static unsigned wrong; /* lines of the table that went wrong so far */

static void fail_line(const struct line *line, const char *why, const char *text)
{
    print_error("%s: %s: %s\n", line->name, why, text);
    wrong++;
}

static void check_said(const struct line *line, int fd)
{
    char *text = text_of(fd);

    for (unsigned i = 0; i < WORDS && line->said[i]; i++)
        if (!strstr(text, line->said[i]))
            fail_line(line, line->said[i], text);
    if (!line->said[0])
        for (char *at = text; *at; at += strcspn(at, "\n") + 1)
            if (strncmp(at, "hvm-dm: VNC server running on ", 30) &&
                strncmp(at, "hvm-dm: char device redirected to ", 34)) {
                fail_line(line, "says something", at);
                break;
            }
    free(text);
}

/* The socket's file is there a moment before somebody listens at it. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), rc;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    while ((rc = connect(fd, (struct sockaddr *)&address, sizeof(address))) < 0 && errno == ECONNREFUSED)
        usleep(500);
    assert_int_equal(rc, 0);
    return fd;
}

static int libxl_socket(const struct place *place)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/qmp-libxl-1", place->dir);
    return connect_to(path);
}

/* The next message; it ends with CR LF. */
static json_t *message(int fd)
{
    static char text[65536];
    size_t length = 0;
    json_t *value;

    do
        assert_int_equal(read(fd, text + length, 1), 1);
    while (text[length++] != '\n' && length < sizeof(text) - 1);
    text[length] = '\0';
    value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static json_t *qmp(int fd, const char *command)
{
    json_t *answer;

    assert_int_equal(send(fd, command, strlen(command), 0), strlen(command));
    do
        answer = message(fd);
    while (json_object_get(answer, "event") && (json_decref(answer), true));
    return answer;
}

static void greet(int fd)
{
    json_decref(message(fd));
    json_decref(qmp(fd, "{\"execute\":\"qmp_capabilities\",\"id\":1}\r\n"));
}

static void check_seen(const struct line *line, int fd)
{
    for (const struct seen *seen = line->seen; seen->command; seen++) {
        bool wanted = seen->word[0] != '!';
        char command[256];
        const char *text;
        json_t *answer;

        snprintf(
            command, sizeof(command),
            "{\"execute\":\"human-monitor-command\",\"id\":2,\"arguments\":{\"command-line\":\"%s\"}}\r\n",
            seen->command);
        answer = qmp(fd, command);
        text = json_string_value(json_object_get(answer, "return"));
        if (!text || !strstr(text, seen->word + !wanted) == wanted)
            fail_line(line, seen->word, text ? text : "no answer");
        json_decref(answer);
    }
}

/* What libxl asks before it takes the start for done. */
static void check_start(int fd)
{
    static const char *const commands[] = {"query-chardev", "query-vnc", "query-cpus-fast", "cont"};

    for (size_t i = 0; i < COUNT(commands); i++) {
        char command[128];
        json_t *answer;

        snprintf(command, sizeof(command), "{\"execute\":\"%s\",\"id\":%zu}\r\n", commands[i], 10 + i);
        answer = qmp(fd, command);
        if (!json_object_get(answer, "return"))
            fail_msg("%s fails", commands[i]);
        assert_int_equal(json_integer_value(json_object_get(answer, "id")), 10 + i);
        json_decref(answer);
    }
}

/* ---- the table ---- */

static bool has_device(const char *name)
{
    char command[256];

    snprintf(command, sizeof(command), "%s -device help | grep -qw '^  %s'",
             getenv("HVM_DM") ?: "build/hvm-dm-system-x86_64", name);
    return system(command) == 0;
}

static bool can_make_taps(void)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0 && geteuid() == 0;
}

static void check_refused(const struct line *line, struct host *host, int log)
{
    int status;
    char *text;

    waitpid(host->pid, &status, 0);
    host->pid = 0;
    text = text_of(log);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
        fail_line(line, "not refused in good order", text);
    if (line->device && !strstr(text, line->device))
        fail_line(line, line->device, text);
    free(text);
    if (line->refused)
        check_said(line, log);
}

/* The guest runs; or, of a program that was told to wait with that, somebody may tell it so. */
static bool is_up(const struct place *place, const struct line *line, struct host *host)
{
    char value[FAKEXEN_TEXT], path[64];

    snprintf(path, sizeof(path), "%s/qmp-libxl-1", place->dir);
    return strstr(line->args, " -S ") ? access(path, F_OK) == 0
                                      : fakexen_store_read(host->fx, "device-model/1/state", value);
}

/* Until the program works; false: it ended. */
static bool works(const struct place *place, const struct line *line, struct host *host)
{
    while (!is_up(place, line, host)) {
        if (waitpid(host->pid, NULL, WNOHANG) == host->pid) {
            host->pid = 0;
            return false;
        }
        usleep(500);
    }
    return true;
}

static void check_line(const struct place *place, const struct line *line)
{
    bool refused = line->refused || (line->device && !has_device(line->device));
    struct host *host = host_new(4);
    char *args = fill_in(place, line->args);
    int log = host->log_fd, fd;

    host_run_line(host, args);
    if (refused) {
        check_refused(line, host, log);
    } else if (!works(place, line, host)) {
        char *text = text_of(log);

        fail_line(line, "ended", text);
        free(text);
    } else {
        fd = libxl_socket(place);
        greet(fd);
        check_start(fd);
        check_seen(line, fd);
        close(fd);
        check_said(line, log);
    }
    host_stop(host);
    free(args);
}

static void each_line_is_honoured_ignored_knowingly_or_refused(void **state)
{
    for (size_t i = 0; i < COUNT(lines); i++) {
        bool needs_root = strstr(lines[i].args, "-runas");

        if ((strstr(lines[i].args, "%t") && !can_make_taps()) || (needs_root && geteuid() != 0)) {
            print_message("%s: not tried without rights or /dev/net/tun\n", lines[i].name);
            continue;
        }
        check_line(*state, &lines[i]);
    }
    assert_int_equal(wrong, 0);
}

/* ---- what is more than a line ---- */

/* A listening socket at descriptor 14, as libxl leaves it. */
static void listen_at_14(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(dup2(fd, 14), 14);
    close(fd);
}

static void assert_status(int fd, const char *status)
{
    json_t *answer = qmp(fd, "{\"execute\":\"query-status\",\"id\":7}\r\n");

    assert_string_equal(json_string_value(json_object_get(json_object_get(answer, "return"), "status")),
                        status);
    json_decref(answer);
}

/* dm_restrict=1: the socket is libxl's, the state is told by query-status, and the rights are gone. */
static void the_restricted_start(void **state)
{
    const struct place *place = *state;
    struct host *host = host_new(1);
    char path[64], root[64], value[FAKEXEN_TEXT], *args;
    int fd;

    if (geteuid() != 0)
        skip();
    snprintf(path, sizeof(path), "%s/qmp-libxl-1", place->dir);
    snprintf(root, sizeof(root), "%s/root", place->dir);
    assert_int_equal(mkdir(root, 0), 0);
    listen_at_14(path);
    fd = connect_to(path); /* libxl does so before it starts the device model */
    args = fill_in(place, LINE_RESTRICT "-name v12-dm_restrict " VNC CIRRUS NO_NETWORK
                                        "-xen-domid-restrict -chroot @/root " XENFV "-runas nobody");
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* the search for leaks needs /proc */
    host_run_line(host, args);
    unsetenv("ASAN_OPTIONS");
    close(14);
    greet(fd);
    assert_status(fd, "prelaunch");
    assert_int_equal(host_calls(host, 0, FX_RESTRICT, NULL), 1);
    check_start(fd);
    assert_status(fd, "running");
    assert_false(fakexen_store_read(host->fx, "device-model/1/state", value));
    close(fd);
    free(args);
    kill(host->pid, SIGKILL);
    waitpid(host->pid, NULL, 0);
    host->pid = 0;
    host_stop(host);
}

/* 4.20 asks a process without a domain for its options first. */
static void the_probe_of_4_20(void **state)
{
    const struct place *place = *state;
    struct host *host = host_new(1);
    char path[64];
    json_t *answer;
    int fd, status;

    snprintf(path, sizeof(path), "%s/qmp-probe", place->dir);
    listen_at_14(path);
    fd = connect_to(path);
    host_run_line(
        host, "-S -no-user-config -nodefaults -nographic -machine none,accel=xen "
              "-chardev socket,id=libxl-cmd,fd=14,server=on,wait=off -mon chardev=libxl-cmd,mode=control");
    close(14);
    greet(fd);
    answer = qmp(fd, "{\"execute\":\"query-command-line-options\",\"id\":2}\r\n");
    assert_true(json_is_array(json_object_get(answer, "return")));
    json_decref(answer);
    json_decref(qmp(fd, "{\"execute\":\"quit\",\"id\":3}\r\n"));
    assert_int_equal(waitpid(host->pid, &status, 0), host->pid);
    host->pid = 0;
    assert_int_equal(status, 0);
    assert_int_equal(atomic_load(&host->fx->calls), 0);
    close(fd);
    host_stop(host);
}

/* What comes later is refused with words that say so, and the domain goes on. */
static void what_is_not_there_is_refused_clearly(void **state)
{
    static const struct {
        const char *command, *word;
    } refused[] = {
        {"\"xen-save-devices-state\",\"arguments\":{\"live\":false,\"filename\":\"/dev/fdset/1\"}",
         "/dev/fdset/1: there is no such set"},
        {"\"device_add\",\"arguments\":{\"driver\":\"xen-pci-passthrough\",\"id\":\"pci-pt-01_00.0\","
         "\"hostaddr\":\"0000:01:00.0\"}",
         "passing host devices through is not supported"},
        {"\"device_add\",\"arguments\":{\"driver\":\"piix3-usb-uhci\",\"id\":\"xenusb-0\"}",
         "this board supports no hot-plug"},
        {"\"device_add\",\"arguments\":{\"driver\":\"usb-host\",\"id\":\"xenusb-0-1\",\"bus\":\"xenusb-0.0\","
         "\"port\":\"1\",\"hostbus\":\"1\",\"hostaddr\":\"2\"}",
         "USB devices of the host cannot be passed through"},
    };
    const struct place *place = *state;
    struct host *host = host_new(1);
    char *args = fill_in(place, LINE "-name v " PLAIN), command[512];
    int fd;

    host_run_line(host, args);
    host_expect(host, "device-model/1/state", "running");
    fd = libxl_socket(place);
    greet(fd);
    for (size_t i = 0; i < COUNT(refused); i++) {
        json_t *answer;
        const char *text;

        snprintf(command, sizeof(command), "{\"execute\":%s,\"id\":9}\r\n", refused[i].command);
        answer = qmp(fd, command);
        text = json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));
        if (!text || !strstr(text, refused[i].word))
            fail_msg("%s: %s", refused[i].word, text ? text : "not refused");
        json_decref(answer);
    }
    check_start(fd);
    close(fd);
    free(args);
    host_stop(host);
}

#define place_test(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        place_test(each_line_is_honoured_ignored_knowingly_or_refused),
        place_test(the_restricted_start),
        place_test(the_probe_of_4_20),
        place_test(what_is_not_there_is_refused_clearly),
    };

    unsetenv("DISPLAY");
    return cmocka_run_group_tests_name("libxl_options", tests, NULL, NULL);
}
