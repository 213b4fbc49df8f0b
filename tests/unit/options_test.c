/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: what is taken, and that what is not is refused with one line that helps. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/opts.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"
#include "tests/lib/wait.h"

/* ---- suboptions, by themselves ---- */

static const char *const keys[] = {"file", "server", "wait", "nodelay", "id", NULL};

static void a_value_is_split_at_commas_and_double_commas_stay(void **state)
{
    struct error err = {.text = ""};
    struct opts *opts = opts_parse("-x", "file=a,,b,,,id=c=d", NULL, keys, &err);

    assert_non_null(opts);
    assert_string_equal(opts_get(opts, "file"), "a,b,");
    assert_string_equal(opts_get(opts, "id"), "c=d");
    assert_null(opts_get(opts, "wait"));
    opts_free(opts);
}

static void flags_are_on_and_no_takes_them_back(void **state)
{
    struct error err = {.text = ""};
    struct opts *opts = opts_parse("-x", "f,server,nowait,nodelay,server=off", "file", keys, &err);
    bool server = true, wait = true, nodelay = false;

    assert_non_null(opts);
    assert_string_equal(opts_get(opts, "file"), "f");
    assert_true(opts_bool(opts, "server", &server, &err) && opts_bool(opts, "wait", &wait, &err) &&
                opts_bool(opts, "nodelay", &nodelay, &err));
    assert_false(server); /* the last one counts */
    assert_false(wait);
    assert_true(nodelay); /* a key of its own, not "no" + "delay" */
    opts_free(opts);
}

static void unknown_suboptions_name_the_nearest(void **state)
{
    struct error err = {.text = ""};

    assert_null(opts_parse("-x", "sever=on", NULL, keys, &err));
    assert_non_null(strstr(err.text, "did you mean 'server'?"));
    assert_null(opts_parse("-x", "file=x,,y,=3", NULL, keys, &err));
    assert_null(opts_parse("-x", "", NULL, keys, &err));
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t unit, bytes;
    } good[] = {{"128", 1 << 20, 128 << 20}, {"1G", 1 << 20, 1 << 30}, {"64m", 1, 64 << 20},
                {"0x1000", 1, 4096},         {"3k", 1, 3072},          {"1GB", 1, 1 << 30},
                {"7b", 1 << 20, 7}};
    static const char *const bad[] = {"",   "x", "-1", "1x", "1Gx", "20000000000G", "99999999999999999999",
                                      " 1", NULL};
    uint64_t bytes;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(parse_size(good[i].text, good[i].unit, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; bad[i]; i++)
        assert_false(parse_size(bad[i], 1, &bytes));
}

/* ---- what the program refuses ---- */

/* Status 1, and one line "hvm-dm: ..." in which every given word occurs. */
static bool refuses(const char *args, const char *word, const char *word2)
{
    char *text;
    int status = qtest_start_failing(args, &text);
    const char *newline = text ? strchr(text, '\n') : NULL;

    if (status != 1 || !newline || newline[1] || strncmp(text, "hvm-dm: ", 8) || !strstr(text, word) ||
        (word2 && !strstr(text, word2))) {
        print_error("%s: status %d, said: %s\n", args, status, text ? text : "");
        free(text);
        return false;
    }
    free(text);
    return true;
}

static void assert_refuses(const char *args, const char *word, const char *word2)
{
    assert_true(refuses(args, word, word2));
}

static void mistakes_are_one_clear_line(void **state)
{
    static const struct {
        const char *args, *word, *word2;
    } refused[] = {
        {"-devcie x", "'-devcie'", "'-device'"},
        {"-frobnicate", "'-frobnicate'", "-help"},
        {"disk.img", "disk.img", "-hda"},
        {"-m 0", "-m 0", NULL},
        {"-m 1X", "-m 1X", NULL},
        {"-m 2000000000G", "-m", NULL},
        {"-m size=64,slots=2", "slots", NULL},
        {"-smp 0", "cpus", "'0'"},
        {"-smp 33", "32", NULL},
        {"-smp 129", "128", NULL},
        {"-smp 4,maxcpus=2", "maxcpus", NULL},
        {"-smp cpus=4,sockets=1,cores=3", "sockets", NULL},
        {"-smp two", "'two'", NULL},
        {"-accel kvn", "'kvn'", "'kvm'"},
        {"-machine q35", "q35", NULL},
        {"-machine pc,acel=kvm", "'acel'", "'accel'"},
        {"-machine pc,max-ram-below-4g=1", "max-ram-below-4g", NULL},
        {"-machine pc,igd-passthru=on", "passthrough", NULL},
        {"-cpu qemu46", "'qemu46'", "'qemu64'"},
        {"-cpu host,+avx3", "'avx3'", "'avx'"},
        {"-cpu host,avx=maybe", "avx=maybe", "on nor off"},
        {"-cpu host,vendor=Intel", "vendor=Intel", "twelve"},
        {"-cpu host,level=x", "level=x", NULL},
        {"-smp 128,cores=3,threads=3", "maxcpus", NULL},
        {"-smp 4,dies=2", "dies", NULL},
        {"-boot order=z", "'z'", NULL},
        {"-boot cdc", "'c' twice", NULL},
        {"-boot menu=maybe", "menu", "'maybe'"},
        {"-boot once=x", "once", NULL},
        {"-rtc base=yesterday", "base", "yesterday"},
        {"-rtc clock=sun", "'sun'", NULL},
        {"-bios /no/such/file", "/no/such/file", NULL},
        {"-vga cirus", "'cirus'", "'cirrus'"},
        {"-display gtk", "gtk", NULL},
        {"-vnc localhost", "localhost", NULL},
        {"-vnc :0,tp=3", "'tp'", "'to'"},
        {"-vnc :0,to=x", "to", "'x'"},
        {"-vnc :70000", ":70000", NULL},
        {"-vnc :0,share=all", "'all'", NULL},
        {"-vnc 127.0.0.1:77,to=99,password-secret=p", "secret", "p"},
        {"-object secret,id=p,file=/no/such/file", "/no/such/file", NULL},
        {"-object secret,file=/dev/null", "id= is missing", NULL},
        {"-vnc :70000", "-vnc: :70000:", NULL}, /* the option named once */
        {"-k klingon", "klingon", NULL},
        {"-serial stdoi", "'stdoi'", "'stdio'"},
        {"-serial tcp:nowhere", "nowhere", NULL},
        {"-serial file:/no/such/dir/x", "/no/such/dir/x", NULL},
        {"-serial unix:/no/such/socket", "/no/such/socket", NULL},
        {"-serial chardev:nope", "nope", NULL},
        {"-serial null -serial null -serial null -serial null -serial null", "4", NULL},
        {"-chardev sockt,id=a", "'sockt'", "'socket'"},
        {"-chardev socket,path=/x", "id", NULL},
        {"-chardev socket,id=a", "path=", NULL},
        {"-chardev null,id=a -chardev null,id=a", "'a' is taken", NULL},
        {"-chardev socket,id=a,fd=99,server=on,wait=off", "fd=99", NULL},
        {"-chardev file,id=a", "path", NULL},
        {"-mon chardev=nope", "'nope'", NULL},
        {"-chardev null,id=a -mon a,mode=contrl", "'contrl'", "'control'"},
        {"-chardev null,id=a -mon a -mon a", "in use", NULL},
        {"-parallel lp0", "-parallel", NULL},
        {"-hda /no/such/file", "/no/such/file", NULL},
        {"-cdrom /no/such/file", "/no/such/file", NULL},
        {"-fda /no/such/file", "/no/such/file", NULL},
        {"-drive file=x,fromat=raw", "'fromat'", "'format'"},
        {"-drive file=x,if=scsi", "'scsi'", NULL},
        {"-drive file=x,media=tape", "'tape'", NULL},
        {"-drive file=x,index=4", "index", "'4'"},
        {"-drive file=x,index=0,unit=1", "exclude", NULL},
        {"-drive media=disk", "file=", NULL},
        {"-drive media=cdrom,cache=warm", "cache", "'warm'"},
        {"-drive media=cdrom,readonly=perhaps", "readonly", NULL},
        {"-drive index=1,media=cdrom -drive index=1,media=cdrom", "index 1", NULL},
        {"-drive if=none,id=a -drive if=none,id=a", "'a' is taken", NULL},
        {"-blockdev driver=file,filename=x", "node-name", NULL},
        {"-blockdev driver=qcow3,node-name=a,filename=x", "qcow3", NULL},
        {"-blockdev driver=raw,node-name=a,file=b", "'b'", NULL},
        {"-blockdev driver=raw,node-name=a,file=a", "no file", NULL},
        {"-blockdev '{\"driver\": }'", "JSON", NULL},
        {"-device ide-hdd", "'ide-hdd'", "'ide-hd'"},
        {"-device VGA,vgamem=16", "'vgamem'", "'vgamem_mb'"},
        {"-device ide-cd,drive=nope", "'nope'", NULL},
        {"-device ide-cd,bus=ide.7", "'ide.7'", NULL},
        {"-device piix3", "board", NULL},
        {"-vga std -device cirrus-vga", "cirrus-vga", "taken"},
        {"-device isa-serial,index=0 -serial null", "isa-serial", "taken"},
        {"-device isa-fdc", "isa-fdc", "taken"},
        {"-device VGA,addr=1", "addr=1 is taken by piix3", NULL},
        {"-device VGA,id=a -device isa-serial,id=a", "'a' is taken", NULL},
        {"-serial stdio -monitor stdio", "mon:stdio", NULL},
        {"-global VGAA.vgamem_mb=4", "'VGAA'", "'VGA'"},
        {"-global VGA.vgamen_mb=4", "'vgamen_mb'", "'vgamem_mb'"},
        {"-global nonsense", "DEVICE.PROPERTY=VALUE", NULL},
        {"-usbdevice toaster", "toaster", NULL},
        {"-append quiet", "without -kernel", NULL},
        {"-dtb board.dtb", "-dtb", NULL},
        {"-initrd x", "-initrd", NULL},
        {"-append x", "-append", NULL},
        {"-spice port=1", "-spice", NULL},
        {"-sandbox on", "-sandbox", NULL},
        {"-incoming fd:77", "-incoming fd:77: there is no such descriptor", NULL},
        {"-incoming exec:cat", "programs are not run for it", NULL},
        {"-incoming here", "fd:N, file:PATH", NULL},
        {"-d 3", "traditional", NULL},
        {"-xen-domid 0", "domain", NULL},
        {"-xen-domid 3", "-xen-domid", "qtest"},
        {"-xen-domid-restrict", "-xen-domid", NULL},
        {"-qtest tcp:x", "unix:PATH", NULL},
        {"-pidfile /no/such/dir/pid", "/no/such/dir/pid", NULL},
        {"-runas nobody-at-all", "nobody-at-all", NULL},
        {"-chroot /no/such/dir", "/no/such/dir", NULL},
        {"-vnc 127.0.0.1:3300,to=3399 -mon nope", "'nope'", NULL}, /* one line, and no port told before it */
        {"-object sceret,id=a", "'sceret'", "'secret'"},
    };
    unsigned wrong = 0;

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        wrong += !refuses(refused[i].args, refused[i].word, refused[i].word2);
    assert_int_equal(wrong, 0);
}

/* ---- what it takes ---- */

static struct qtest *start(void **state, const char *args)
{
    return *state = qtest_start(args);
}

static char *hmp(struct qtest *q, const char *line)
{
    json_t *text =
        qtest_qmp_ok(q, "{'execute': 'human-monitor-command', 'arguments': {'command-line': '%s'}}", line);
    char *copy = strdup(json_string_value(text));

    json_decref(text);
    return copy;
}

static void assert_hmp_has(struct qtest *q, const char *line, const char *word)
{
    char *text = hmp(q, line);

    if (!strstr(text, word))
        fail_msg("%s: no '%s' in: %s", line, word, text);
    free(text);
}

static void assert_hmp_lacks(struct qtest *q, const char *line, const char *word)
{
    char *text = hmp(q, line);

    if (strstr(text, word))
        fail_msg("%s: '%s' in: %s", line, word, text);
    free(text);
}

static void every_form_that_libxl_passes(void **state)
{
    struct qtest *q;
    char args[1024];
    const char *disk = qtest_temp_file(".raw", 1 << 20), *cd = qtest_temp_file(".iso", 1 << 20);

    snprintf(
        args, sizeof(args),
        "-no-shutdown -nodefaults -no-user-config -name v02-stdvga -vnc none -display none -serial pty -k de "
        "-device VGA,vgamem_mb=16 -boot order=cda -smp 2,maxcpus=4 -net none "
        "-machine pc,suppress-vmdesc=on -m 240 "
        "-drive file=%s,if=ide,index=0,media=disk,format=raw,cache=writeback "
        "-drive if=none,readonly=on,id=ide-5632,file=%s,format=raw "
        "-device ide-cd,id=ide-5632,drive=ide-5632,bus=ide.1,unit=0",
        disk, cd);
    q = start(state, args);
    assert_hmp_has(q, "info block", "ide0-hd0: ");
    assert_hmp_has(q, "info block", "ide-5632: ");
    assert_hmp_has(q, "info block", "Attached to:      ide-5632");
    assert_hmp_has(q, "info chardev", "serial0: filename=pty:/dev/pts/");
    assert_hmp_has(q, "info name", "v02-stdvga");
    assert_hmp_has(q, "info pci", "1234:1111");
}

static void the_old_wording_of_4_14(void **state)
{
    struct qtest *q =
        start(state, "-nodefaults -vnc none -chardev socket,id=s,path=/tmp/options-test.sock,server,nowait "
                     "-drive if=ide,index=2,readonly=on,media=cdrom,id=ide-5632");

    assert_hmp_has(q, "info chardev", "s: filename=disconnected:unix:/tmp/options-test.sock,server=on");
    assert_hmp_has(q, "info block", "ide-5632: [not inserted]");
}

static void options_name_each_other_forwards(void **state)
{
    const char *disk = qtest_temp_file(".raw", 1 << 20);
    char args[512];

    snprintf(args, sizeof(args),
             "-nodefaults -device isa-serial,chardev=line -device ide-hd,drive=d,bus=ide.1,unit=1 -serial "
             "chardev:other "
             "-chardev null,id=other -chardev null,id=line -blockdev driver=raw,node-name=d,file=f "
             "-blockdev '{\"driver\": \"file\", \"node-name\": \"f\", \"filename\": \"%s\"}'",
             disk);
    assert_hmp_has(start(state, args), "info block", "d: ");
}

static void defaults_and_none(void **state)
{
    struct qtest *q = start(state, "-m 16");

    assert_hmp_has(q, "info block", "ide1-cd0: [not inserted]");
    assert_hmp_has(q, "info block", "floppy0: [not inserted]");
    assert_hmp_has(q, "info pci", "1234:1111");
    assert_hmp_has(q, "info qtree", "dev: isa-serial, id \"\", at isa.0/isa-serial\r\n");
    assert_hmp_has(q, "info qtree", "at pci.0/01.1\r\n");
    qtest_stop(q);
    q = start(state, "-nodefaults");
    assert_hmp_lacks(q, "info block", "cd0");
    assert_hmp_lacks(q, "info pci", "1234:1111");
    assert_hmp_lacks(q, "info qtree", "isa-serial");
}

static void a_graphics_device_replaces_the_default_one(void **state)
{
    struct qtest *q = start(state, "-device cirrus-vga");

    assert_hmp_has(q, "info pci", "1013:00b8");
    assert_hmp_lacks(q, "info pci", "1234:1111");
}

static void drives_without_a_place_find_one(void **state)
{
    struct qtest *q;
    char args[512];
    const char *a = qtest_temp_file(".a", 1 << 20), *b = qtest_temp_file(".b", 1 << 20);

    snprintf(args, sizeof(args), "-nodefaults -drive file=%s,format=raw -drive media=cdrom -hda %s", a, b);
    q = start(state, args);
    assert_hmp_has(q, "info block", "ide0-hd0: ");
    assert_hmp_has(q, "info block", "ide0-hd1: ");
    assert_hmp_has(q, "info block", "ide1-cd0: [not inserted]");
}

static void an_image_in_use_is_refused(void **state)
{
    const char *disk = qtest_temp_file(".raw", 1 << 20);
    char args[256];

    snprintf(args, sizeof(args), "-nodefaults -hda %s", disk);
    start(state, args);
    assert_refuses(args, disk, NULL);
    snprintf(args, sizeof(args), "-nodefaults -hda %s -hdb %s", disk, disk);
    assert_refuses(args, disk, NULL);
}

static void an_image_whose_format_is_not_said_is_raw(void **state)
{
    const char *disk = qtest_temp_file(".qcow2", 1 << 20);
    char args[256];
    int fd = open(disk, O_WRONLY);

    assert_int_equal(write(fd, "QFI\xfb\0\0\0\3", 8), 8);
    close(fd);
    snprintf(args, sizeof(args), "-nodefaults -hda %s", disk);
    assert_hmp_has(start(state, args), "info block", "(raw)");
}

/* The value of a line "Name:\tvalue" of /proc/PID/status. */
static unsigned status_number(pid_t pid, const char *name)
{
    char path[64], line[256];
    unsigned value = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        if (!strncmp(line, name, strlen(name)))
            value = strtoul(line + strlen(name) + 1, NULL, 10);
    fclose(file);
    return value;
}

static void rights_are_given_up(void **state)
{
    char dir[] = "/tmp/options-test-XXXXXX", args[256], link[64], root[256] = "";
    struct qtest *q;

    if (getuid() != 0)
        skip();
    assert_non_null(mkdtemp(dir));
    snprintf(args, sizeof(args), "-nodefaults -drive media=cdrom,id=cd -chroot %s -runas 12345:54321", dir);
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* the search for leaks needs /proc, which it gave up */
    q = start(state, args);
    unsetenv("ASAN_OPTIONS");
    snprintf(link, sizeof(link), "/proc/%d/root", (int)qtest_pid(q));
    assert_true(readlink(link, root, sizeof(root) - 1) > 0);
    assert_string_equal(root, dir);
    assert_int_equal(status_number(qtest_pid(q), "Uid:"), 12345);
    assert_int_equal(status_number(qtest_pid(q), "Gid:"), 54321);
    assert_int_equal(status_number(qtest_pid(q), "Groups:"), 54321);
    assert_int_equal(status_number(qtest_pid(q), "CapEff:"), 0);
    assert_hmp_has(q, "change cd /etc/passwd", "Error: ");
    kill(qtest_pid(q), SIGKILL); /* a leak check at its end would want /proc */
    qtest_wait_exit(q);
    qtest_stop(q);
    *state = NULL;
    assert_int_equal(rmdir(dir), 0);
}

static void a_taken_socket_is_refused_and_a_stale_one_is_not(void **state)
{
    char path[64], args[256];
    struct qtest *q;

    snprintf(path, sizeof(path), "/tmp/options-test-%d.sock", (int)getpid());
    snprintf(args, sizeof(args), "-nodefaults -serial unix:%s,server=on,wait=off", path);
    q = start(state, args);
    assert_refuses(args, path, "in use");
    kill(qtest_pid(q), SIGKILL);
    qtest_wait_exit(q);
    qtest_stop(q);
    assert_int_equal(access(path, F_OK), 0); /* left behind */
    q = start(state, args);
    qtest_stop(q);
    assert_int_not_equal(access(path, F_OK), 0); /* and removed by a good end */
    q = start(state, args);
}

/* Of the command line that XCP-ng gives, and of QEMU's scripts: boards of versions, lists, words of no
 * effect. */
static void words_that_change_nothing_are_taken(void **state)
{
    struct qtest *q =
        qtest_start("-machine pc-0.10,max-ram-below-4g=4026531840,suppress-vmdesc=on,allow-unassigned=true,"
                    "trad_compat=True -trace enable=xen_platform_log -no-fd-bootchk -msg timestamp=on "
                    "-D /dev/null -nodefaults -accel nothere:qtest");

    (void)state;
    json_decref(qtest_qmp_ok(q, "{'execute': 'query-status'}"));
    qtest_stop(q);
}

static void a_taken_vnc_port_is_refused_unless_others_may_be_taken(void **state)
{
    struct qtest *q = start(state, "-nodefaults -vnc 127.0.0.1:3177,to=3190");
    json_t *vnc = qtest_qmp_ok(q, "{'execute': 'query-vnc'}");
    int display = atoi(json_string_value(json_object_get(vnc, "service"))) - 5900;
    char args[64];

    json_decref(vnc);
    assert_in_range(display, 3177, 3190);
    snprintf(args, sizeof(args), "-nodefaults -vnc 127.0.0.1:%d", display);
    assert_refuses(args, "127.0.0.1", NULL);
}

static void machine_none_answers_and_has_no_board(void **state)
{
    struct qtest *q = start(state, "-S -no-user-config -nodefaults -nographic "
#ifdef HAVE_XEN
                                   "-machine none,accel=xen -accel qtest"
#else
                                   "-machine none,accel=kvm -accel qtest"
#endif
    );
    json_t *answer = qtest_qmp_ok(q, "{'execute': 'query-command-line-options'}");

    assert_int_equal(json_array_size(answer), 0);
    json_decref(answer);
    assert_hmp_lacks(q, "info pci", "8086");
    json_decref(qtest_qmp(q, "{'execute': 'quit'}"));
    assert_int_equal(qtest_wait_exit(q), 0);
}

static void the_pidfile_is_there_while_it_runs(void **state)
{
    char path[64], args[128];
    struct qtest *q;
    FILE *file;
    int pid = 0;

    snprintf(path, sizeof(path), "/tmp/options-test-%d.pid", (int)getpid());
    snprintf(args, sizeof(args), "-nodefaults -pidfile %s", path);
    q = start(state, args);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    assert_int_equal(pid, qtest_pid(q));
    qtest_stop(q);
    assert_int_not_equal(access(path, F_OK), 0);
    *state = NULL;
}

static void in_the_background_it_ends_by_its_pidfile(void **state)
{
    const char *program = getenv("HVM_DM");
    char path[64], command[256];
    FILE *file;
    int pid = 0;

    snprintf(path, sizeof(path), "/tmp/options-test-%d-daemon.pid", (int)getpid());
    snprintf(command, sizeof(command),
             "%s -accel qtest -display none -nodefaults -daemonize -pidfile %s </dev/null >/dev/null 2>&1",
             program ? program : "build/hvm-dm", path);
    assert_int_equal(system(command), 0);
    file = fopen(path, "r"); /* it is ready once the command is done */
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_true(SOON(access(path, F_OK) != 0));
    snprintf(command, sizeof(command),
             "%s -accel qtest -display none -hda /no/such -daemonize >/dev/null 2>&1",
             program ? program : "build/hvm-dm");
    assert_int_equal(WEXITSTATUS(system(command)), 1);
}

static void passwords_of_viewers_come_from_files(void **state)
{
    char path[64], args[256];
    FILE *file;
    struct qtest *q;
    json_t *vnc;

    snprintf(path, sizeof(path), "/tmp/options-test-%d.pass", (int)getpid());
    file = fopen(path, "w");
    fputs("secret\n", file);
    fclose(file);
    snprintf(args, sizeof(args),
             "-nodefaults -vnc 127.0.0.1:3201,to=3230,password-secret=p -object secret,id=p,file=%s", path);
    q = start(state, args);
    unlink(path);
    vnc = qtest_qmp_ok(q, "{'execute': 'query-vnc'}");
    assert_string_equal(json_string_value(json_object_get(vnc, "auth")), "vnc");
    json_decref(vnc);
}

/* ---- help ---- */

/* What the program says on standard output; caller frees. */
static char *output_of(const char *args)
{
    char command[256], *text = calloc(1, 65536);
    const char *program = getenv("HVM_DM");
    FILE *pipe;

    snprintf(command, sizeof(command), "%s %s", program ? program : "build/hvm-dm", args);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_true(fread(text, 1, 65535, pipe) > 0);
    assert_int_equal(pclose(pipe), 0);
    return text;
}

static void help_and_version(void **state)
{
    static const struct {
        const char *args, *word;
    } asked[] = {{"-version", "hvm-dm version"},    {"--version", "hvm-dm version"},
                 {"-help", "  -cdrom FILE"},        {"-h", "  -smp "},
                 {"-machine help", "xenfv"},        {"-accel help", "qtest"},
                 {"-vga help", "cirrus"},           {"-device help", "ide-hd"},
                 {"-device VGA,help", "vgamem_mb"}, {"-help-troff", ".TP\n\\fB\\-cdrom\\fR"}};

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        char *text = output_of(asked[i].args);

        if (!strstr(text, asked[i].word))
            fail_msg("%s: no '%s' in: %s", asked[i].args, asked[i].word, text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_split_at_commas_and_double_commas_stay),
        cmocka_unit_test(flags_are_on_and_no_takes_them_back),
        cmocka_unit_test(unknown_suboptions_name_the_nearest),
        cmocka_unit_test(sizes),
        cmocka_unit_test(mistakes_are_one_clear_line),
        qtest_unit_test(every_form_that_libxl_passes),
        qtest_unit_test(the_old_wording_of_4_14),
        qtest_unit_test(options_name_each_other_forwards),
        qtest_unit_test(defaults_and_none),
        qtest_unit_test(a_graphics_device_replaces_the_default_one),
        qtest_unit_test(drives_without_a_place_find_one),
        qtest_unit_test(an_image_in_use_is_refused),
        qtest_unit_test(an_image_whose_format_is_not_said_is_raw),
        qtest_unit_test(rights_are_given_up),
        qtest_unit_test(a_taken_socket_is_refused_and_a_stale_one_is_not),
        cmocka_unit_test(words_that_change_nothing_are_taken),
        qtest_unit_test(a_taken_vnc_port_is_refused_unless_others_may_be_taken),
        qtest_unit_test(machine_none_answers_and_has_no_board),
        qtest_unit_test(the_pidfile_is_there_while_it_runs),
        cmocka_unit_test(in_the_background_it_ends_by_its_pidfile),
        qtest_unit_test(passwords_of_viewers_come_from_files),
        cmocka_unit_test(help_and_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
