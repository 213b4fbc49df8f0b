/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine, its firmware and what it boots. */
#include "control/machine_options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "control/processors.h"
#include "ioreq/ioreq.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MIN_RAM = 1 << 20 };
#define MAX_RAM (1ull << 40)

const struct accel_ops *const accels[] = {
    &kvm_accel,
    &qtest_accel,
#ifdef HAVE_XEN
    &xen_accel,
#endif
    NULL,
};

const struct accel_ops *find_accel(const char *name)
{
    for (const struct accel_ops *const *accel = accels; *accel; accel++)
        if (!strcmp((*accel)->name, name))
            return *accel;
    return NULL;
}

/* pc-0.10, pc-1.3, pc-i440fx-7.2: boards of QEMU's versions, which differ in what no guest here sees. */
static bool is_versioned_pc(const char *type)
{
    return !strncmp(type, "pc-i440fx-", 10) || (!strncmp(type, "pc-", 3) && isdigit((unsigned char)type[3]));
}

static bool set_board(struct options *o, const char *type, const struct opts *opts, struct error *err)
{
    static const char *const known[] = {"pc", "xenfv", "none", NULL};

    if (!strcmp(type, "none"))
        o->board = BOARD_NONE;
    else if (!strncmp(type, "xenfv", 5))
        o->board = BOARD_XENFV;
    else if (!strcmp(type, "pc") || is_versioned_pc(type))
        o->board = BOARD_PC;
    else
        return unknown_name(err, "machine", type, known) || error_prefix(err, "%s", opts->option);
    return true;
}

static bool set_one_accel(struct options *o, const char *option, const char *name, struct error *err)
{
    const char *names[8];
    const struct accel_ops *accel = find_accel(name);
    size_t n = 0;

    for (const struct accel_ops *const *each = accels; *each && n < COUNT(names) - 1; each++)
        names[n++] = (*each)->name;
    names[n] = NULL;
    if (!accel && !strcmp(name, "xen"))
        return error_set(err, "%s xen: not built into this hvm-dm", option);
    if (!accel)
        return unknown_name(err, "accelerator", name, names) || error_prefix(err, "%s", option);
    o->accel = accel->name;
    return true;
}

/* kvm:tcg, xen:kvm: of several the first that is there. */
static bool set_accel(struct options *o, const char *option, const char *names, struct error *err)
{
    char name[32];

    for (const char *at = names; strchr(names, ':') && *at; at += strcspn(at, ":"), at += *at == ':') {
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, ":"), at);
        if (find_accel(name) && (strcmp(name, "kvm") || access("/dev/kvm", R_OK | W_OK) == 0))
            return set_one_accel(o, option, name, err);
    }
    return set_one_accel(o, option, names, err);
}

/* vmport=on|off|auto: VMware's port and its pointer; auto leaves it out. */
static bool set_vmport(struct options *o, const struct opts *opts, struct error *err)
{
    const char *value = opts_get(opts, "vmport");

    return !value || !strcmp(value, "auto") || opts_bool(opts, "vmport", &o->config.vmport, err);
}

static bool apply_machine(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {
        "type",         "accel",           "suppress-vmdesc",  "usb",         "acpi",     "max-ram-below-4g",
        "igd-passthru", "dump-guest-core", "kernel_irqchip",   "mem-merge",   "graphics", "hpet",
        "smm",          "vmport",          "allow-unassigned", "trad_compat", NULL};
    struct opts *opts;
    bool igd = false, on;
    const char *value;
    bool ok = true;

    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        puts("Machines:\npc       Standard PC: i440FX and PIIX (default; pc-i440fx-VERSION is the same)\n"
             "xenfv    The PC of a fully virtualised Xen guest, with the Xen platform device\n"
             "none     No board: answers QMP only");
        o->nothing_to_run = true;
        return true;
    }
    opts = opts_parse(option, arg, "type", known, err);
    if (!opts)
        return false;
    if ((value = opts_get(opts, "type"))) {
        ok = set_board(o, value, opts, err);
        if (is_versioned_pc(value))
            log_line("%s %s: taken as pc, the board of this version", option, value);
    }
    if (ok && (value = opts_get(opts, "accel")))
        ok = set_accel(o, option, value, err);
    if (ok && (value = opts_get(opts, "max-ram-below-4g")) &&
        (!parse_size(value, 1, &o->config.max_low_ram) || o->config.max_low_ram < (64 << 20) ||
         o->config.max_low_ram > 0xF0000000ull || o->config.max_low_ram % 4096))
        ok = opts_error(opts, err, "max-ram-below-4g takes a size from 64M to 0xF0000000, not '%s'", value);
    ok = ok && opts_bool(opts, "usb", &o->config.usb, err) && opts_bool(opts, "acpi", &o->config.acpi, err) &&
         opts_bool(opts, "dump-guest-core", &o->config.dump_guest_core, err) &&
         opts_bool(opts, "igd-passthru", &igd, err) && opts_bool(opts, "suppress-vmdesc", &on, err) &&
         set_vmport(o, opts, err);
    if (ok && igd)
        ok = opts_error(opts, err, "graphics passthrough is not supported");
    opts_free(opts);
    return ok;
}

static bool apply_accel(struct options *o, const char *option, const char *arg, struct error *err)
{
    char name[32];

    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        puts("Accelerators:");
        for (const struct accel_ops *const *accel = accels; *accel; accel++)
            puts((*accel)->name);
        o->nothing_to_run = true;
        return true;
    }
    arg += strncmp(arg, "accel=", 6) ? 0 : 6;
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, ","), arg);
    return set_accel(o, option, name, err);
}

static bool apply_enable_kvm(struct options *o, const char *option, const char *arg, struct error *err)
{
    o->accel = "kvm";
    return true;
}

static bool apply_memory(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"size", NULL};
    struct opts *opts = opts_parse(option, arg, "size", known, err);
    bool ok;

    if (!opts)
        return false;
    ok = parse_size(opts_get(opts, "size"), 1 << 20, &o->config.ram_size) && o->config.ram_size >= MIN_RAM &&
         o->config.ram_size <= MAX_RAM;
    if (!ok)
        opts_error(opts, err, "takes a size from 1M to 1024G; a plain number is MiB");
    o->config.ram_size &= ~0xFFFull;
    opts_free(opts);
    return ok;
}

static bool apply_name(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"guest", "process", "debug-threads", NULL};
    struct opts *opts = opts_parse(option, arg, "guest", known, err);
    const char *value;

    if (!opts)
        return false;
    if ((value = opts_get(opts, "guest")))
        o->config.name = options_keep(o, value);
    if ((value = opts_get(opts, "process")))
        o->process_name = options_keep(o, value);
    opts_free(opts);
    return true;
}

/* The guest's clock runs ahead of UTC by this many seconds. */
static bool rtc_base(const struct opts *opts, const char *base, int64_t *offset, struct error *err)
{
    time_t now = time(NULL);
    struct tm tm = {.tm_isdst = -1};
    const char *end;

    if (!strcmp(base, "utc"))
        *offset = 0;
    else if (!strcmp(base, "localtime"))
        *offset = localtime_r(&now, &tm) ? tm.tm_gmtoff : 0;
    else if (((end = strptime(base, "%Y-%m-%dT%H:%M:%S", &tm)) || (end = strptime(base, "%Y-%m-%d", &tm))) &&
             !*end)
        *offset = timegm(&tm) - now;
    else
        return opts_error(opts, err, "base takes utc, localtime or a date like 2024-02-29T12:00:00, not '%s'",
                          base);
    return true;
}

static bool apply_rtc(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"base", "clock", "driftfix", NULL};
    static const char *const clocks[] = {"host", "rt", "vm", NULL};
    struct opts *opts = opts_parse(option, arg, NULL, known, err);
    const char *value;
    bool ok = true;

    if (!opts)
        return false;
    if ((value = opts_get(opts, "base")))
        ok = rtc_base(opts, value, &o->config.rtc_offset, err);
    if (ok && (value = opts_get(opts, "clock")) && strcmp(value, "host") && strcmp(value, "rt") &&
        strcmp(value, "vm"))
        ok = unknown_name(err, "clock", value, clocks) || error_prefix(err, "%s %s", option, arg);
    opts_free(opts);
    return ok;
}

/* Hexadecimal digits in groups of 8, 4, 4, 4 and 12. */
static bool parse_uuid(const char *text, uint8_t uuid[16])
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    unsigned n = 0, byte;

    if (strlen(text) != strlen(form))
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    for (size_t i = 0; form[i]; i += 2) {
        i += form[i] == '-';
        sscanf(text + i, "%2x", &byte);
        uuid[n++] = byte;
    }
    return true;
}

static bool apply_uuid(struct options *o, const char *option, const char *arg, struct error *err)
{
    return parse_uuid(arg, o->config.uuid) ||
           error_set(err, "%s %s: not of the form 12345678-9abc-def0-1234-56789abcdef0", option, arg);
}

static bool apply_no_acpi(struct options *o, const char *option, const char *arg, struct error *err)
{
    o->config.acpi = false;
    return true;
}

static bool boot_letters(const struct opts *opts, const char *key, char order[5], struct error *err)
{
    const char *text = opts_get(opts, key);

    if (!text)
        return true;
    for (size_t i = 0; text[i]; i++) {
        if (!strchr("acdn", text[i]))
            return opts_error(opts, err,
                              "%s takes the letters a (floppy), c (disk), d (CD), n (network), not '%c'", key,
                              text[i]);
        if (strchr(text, text[i]) != text + i)
            return opts_error(opts, err, "%s has '%c' twice", key, text[i]);
        order[i] = text[i];
        order[i + 1] = '\0';
    }
    return true;
}

static bool apply_boot(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"order",       "once",           "menu",   "splash",
                                        "splash-time", "reboot-timeout", "strict", NULL};
    struct opts *opts = opts_parse(option, arg, "order", known, err);
    uint64_t timeout = 0, retry = 0;
    bool ok;

    if (!opts)
        return false;
    ok = boot_letters(opts, "order", o->config.boot_order, err) &&
         boot_letters(opts, "once", o->config.boot_once, err) &&
         opts_bool(opts, "menu", &o->config.boot_menu, err) &&
         opts_bool(opts, "strict", &o->config.boot_strict, err) &&
         opts_number(opts, "splash-time", 0, 0xFFFF, &timeout, err);
    if (ok && opts_get(opts, "splash"))
        ok = opts_error(opts, err, "a splash picture is not supported");
    if (ok && opts_get(opts, "reboot-timeout") && strcmp(opts_get(opts, "reboot-timeout"), "-1")) {
        ok = opts_number(opts, "reboot-timeout", 0, 0xFFFF, &retry, err);
        o->config.boot_retry = retry;
    }
    if (ok && opts_get(opts, "splash-time"))
        o->config.boot_menu_timeout = timeout;
    opts_free(opts);
    return ok;
}

static bool apply_firmware_dir(struct options *o, const char *option, const char *arg, struct error *err)
{
    options_add_string(&o->firmware_dirs, arg);
    return true;
}

const struct option machine_option_rows[] = {
    HEADING("Machine"),
    FUNCTION("accel", "kvm|qtest|xen", apply_accel, "who runs the guest: KVM (default), a test program, Xen"),
    FUNCTION("machine",
             "pc|xenfv|none[,accel=A][,max-ram-below-4g=SIZE][,usb=on][,vmport=on][,acpi=off][,dump-guest-"
             "core=on]",
             apply_machine,
             "the board: a standard PC (default), the same with the Xen platform device, or none"),
    FUNCTION("M", "MACHINE", apply_machine, NULL),
    FUNCTION("enable-kvm", NULL, apply_enable_kvm, "the same as -accel kvm"),
    FUNCTION("cpu", "MODEL[,+FLAG][,-FLAG][,KEY=VALUE]", processors_cpu,
             "what the guest's processors are; -cpu help lists models, flags and keys (default host; KVM)"),
    FUNCTION("m", "[size=]SIZE", apply_memory, "memory; a plain number is MiB, 1G a GiB (default 128)"),
    FUNCTION("smp", "[cpus=]N[,maxcpus=N][,sockets=N][,cores=N][,threads=N]", processors_smp,
             "processors, up to 32 (Xen: 128; default 1)"),
    FUNCTION("name", "NAME[,process=NAME]", apply_name,
             "the guest's name, shown to viewers; the process's name"),
    FUNCTION("uuid", "UUID", apply_uuid, "the machine's number, as SMBIOS tells it to the guest"),
    FUNCTION("rtc", "base=utc|localtime|DATE[,clock=host]", apply_rtc,
             "what the guest's clock says at start; a date is like 2024-02-29T12:00:00"),
    FUNCTION("no-acpi", NULL, apply_no_acpi, "no ACPI"),
    FLAG("no-reboot", config.no_reboot, "end instead of starting over when the guest resets"),
    FLAG("no-shutdown", config.no_shutdown, "stay, stopped, when the guest powers off"),
    FLAG("nodefaults", config.no_defaults,
         "only what is asked for: no graphics, CD drive or serial line by default"),
    FLAG("no-user-config", no_user_config, "accepted: there are no configuration files"),
    IGNORED("no-hpet", NULL),
    IGNORED("no-fd-bootchk", NULL),
    HEADING("Firmware and boot"),
    FUNCTION("boot",
             "[order=]LETTERS[,once=LETTERS][,menu=on][,strict=on][,splash-time=MS][,reboot-timeout=MS]",
             apply_boot,
             "what to boot from, in this order: a floppy, c disk, d CD, n network; once: the first time "
             "only; what has a bootindex= goes before, strict: nothing else"),
    TEXT("bios", "FILE", config.bios, "the firmware (default: SeaBIOS, from Debian's package seabios)"),
    TEXT("kernel", "FILE", config.kernel, "boot this kernel: Linux' bzImage or multiboot"),
    TEXT("initrd", "FILE", config.initrd,
         "with this initial RAM disk (multiboot: \"FILE ARGUMENTS,...\", its modules)"),
    TEXT("append", "TEXT", config.append, "and this command line"),
    FUNCTION("L", "DIRECTORY", apply_firmware_dir, "look for firmware there first; may be repeated"),
    OPTIONS_END};
