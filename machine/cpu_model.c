/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/cpu_model.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LEAF_KVM_SIGNATURE 0x40000000u
#define LEAF_KVM_FEATURES  0x40000001u

enum word {
    W_1_EDX,
    W_1_ECX,
    W_6_EAX,
    W_7_EBX,
    W_7_ECX,
    W_7_EDX,
    W_7_1_EAX,
    W_D_1_EAX,
    W_KVM,
    W_80000001_EDX,
    W_80000001_ECX,
    W_80000007_EDX,
    W_80000008_EBX,
    W_8000000A_EDX,
};
_Static_assert(W_8000000A_EDX + 1 == CPU_FLAG_WORDS, "a row for each word");

static const struct flag_word {
    uint32_t function, index;
    uint8_t reg;
    const char *names[32];
} words[CPU_FLAG_WORDS] = {
    [W_1_EDX] = {1, 0, CPUID_EDX, {"fpu",  "vme",   "de",   "pse",     "tsc",  "msr", "pae",  "mce",
                                   "cx8",  "apic",  NULL,   "sep",     "mtrr", "pge", "mca",  "cmov",
                                   "pat",  "pse36", "pn",   "clflush", NULL,   "ds",  "acpi", "mmx",
                                   "fxsr", "sse",   "sse2", "ss",      "ht",   "tm",  "ia64", "pbe"}},
    [W_1_ECX] = {1, 0, CPUID_ECX, {"pni",          "pclmulqdq", "dtes64", "monitor", "ds-cpl", "vmx",
                                   "smx",          "est",       "tm2",    "ssse3",   "cid",    NULL,
                                   "fma",          "cx16",      "xtpr",   "pdcm",    NULL,     "pcid",
                                   "dca",          "sse4.1",    "sse4.2", "x2apic",  "movbe",  "popcnt",
                                   "tsc-deadline", "aes",       "xsave",  "osxsave", "avx",    "f16c",
                                   "rdrand",       "hypervisor"}},
    [W_6_EAX] = {6, 0, CPUID_EAX, {[2] = "arat"}},
    [W_7_EBX] =
        {7,
         0,
         CPUID_EBX,
         {"fsgsbase",   "tsc-adjust", "sgx",        "bmi1",     "hle",      "avx2",     "fdp-excptn-only",
          "smep",       "bmi2",       "erms",       "invpcid",  "rtm",      NULL,       "zero-fcs-fds",
          "mpx",        NULL,         "avx512f",    "avx512dq", "rdseed",   "adx",      "smap",
          "avx512ifma", "pcommit",    "clflushopt", "clwb",     "intel-pt", "avx512pf", "avx512er",
          "avx512cd",   "sha-ni",     "avx512bw",   "avx512vl"}},
    [W_7_ECX] = {7,
                 0,
                 CPUID_ECX,
                 {[1] = "avx512vbmi",
                  "umip",
                  "pku",
                  [5] = "waitpkg",
                  "avx512vbmi2",
                  [8] = "gfni",
                  "vaes",
                  "vpclmulqdq",
                  "avx512vnni",
                  "avx512bitalg",
                  [14] = "avx512-vpopcntdq",
                  [16] = "la57",
                  [22] = "rdpid",
                  [24] = "bus-lock-detect",
                  "cldemote",
                  [27] = "movdiri",
                  "movdir64b",
                  [30] = "sgxlc",
                  "pks"}},
    [W_7_EDX] = {7,
                 0,
                 CPUID_EDX,
                 {[2] = "avx512-4vnniw",
                  "avx512-4fmaps",
                  "fsrm",
                  [8] = "avx512-vp2intersect",
                  [10] = "md-clear",
                  [14] = "serialize",
                  [16] = "tsx-ldtrk",
                  [22] = "amx-bf16",
                  "avx512-fp16",
                  "amx-tile",
                  "amx-int8",
                  "spec-ctrl",
                  "stibp",
                  "flush-l1d",
                  "arch-capabilities",
                  "core-capability",
                  "ssbd"}},
    [W_7_1_EAX] = {7,
                   1,
                   CPUID_EAX,
                   {[4] = "avx-vnni",
                    "avx512-bf16",
                    [7] = "cmpccxadd",
                    [10] = "fzrm",
                    "fsrs",
                    "fsrc",
                    [21] = "amx-fp16",
                    [23] = "avx-ifma"}},
    [W_D_1_EAX] = {0xD, 1, CPUID_EAX, {"xsaveopt", "xsavec", "xgetbv1", "xsaves", "xfd"}},
    [W_KVM] = {LEAF_KVM_FEATURES,
               0,
               CPUID_EAX,
               {"kvmclock-old", "kvm-nopiodelay", "kvm-mmu", "kvmclock", "kvm-asyncpf", "kvm-steal-time",
                "kvm-pv-eoi", "kvm-pv-unhalt", [9] = "kvm-pv-tlb-flush", "kvm-asyncpf-vmexit", "kvm-pv-ipi",
                "kvm-poll-control", "kvm-pv-sched-yield", "kvm-asyncpf-int", "kvm-msi-ext-dest-id",
                "kvm-hypercall-map-gpa-range", "kvm-migration-control", [24] = "kvmclock-stable-bit"}},
    [W_80000001_EDX] = {0x80000001,
                        0,
                        CPUID_EDX,
                        {[11] = "syscall",
                         [19] = "mp",
                         "nx",
                         [22] = "mmxext",
                         [25] = "fxsr-opt",
                         "pdpe1gb",
                         "rdtscp",
                         [29] = "lm",
                         "3dnowext",
                         "3dnow"}},
    [W_80000001_ECX] = {0x80000001,
                        0,
                        CPUID_ECX,
                        {"lahf-lm",
                         "cmp-legacy",
                         "svm",
                         "extapic",
                         "cr8legacy",
                         "abm",
                         "sse4a",
                         "misalignsse",
                         "3dnowprefetch",
                         "osvw",
                         "ibs",
                         "xop",
                         "skinit",
                         "wdt",
                         NULL,
                         "lwp",
                         "fma4",
                         "tce",
                         [19] = "nodeid-msr",
                         [21] = "tbm",
                         "topoext",
                         "perfctr-core",
                         "perfctr-nb"}},
    [W_80000007_EDX] = {0x80000007, 0, CPUID_EDX, {[8] = "invtsc"}},
    [W_80000008_EBX] =
        {0x80000008,
         0,
         CPUID_EBX,
         {"clzero", [2] = "xsaveerptr", [4] = "rdpru", [9] = "wbnoinvd", [12] = "ibpb", [14] = "ibrs",
          "amd-stibp", [17] = "stibp-always-on", [24] = "amd-ssbd", "virt-ssbd",
          "amd-no-ssb", [28] = "amd-psfd"}},
    [W_8000000A_EDX] = {0x8000000A,
                        0,
                        CPUID_EDX,
                        {"npt", "lbrv", "svm-lock", "nrip-save", "tsc-scale", "vmcb-clean", "flushbyasid",
                         "decodeassists", [10] = "pause-filter", [12] = "pfthreshold",
                         "avic", [15] = "v-vmsave-vmload", "vgif"}},
};

/* What a flag is called besides. */
static const struct {
    const char *alias, *name;
} aliases[] = {
    {"sse3", "pni"},   {"sse4-1", "sse4.1"},  {"sse4-2", "sse4.2"}, {"i64", "lm"},
    {"xd", "nx"},      {"ffxsr", "fxsr-opt"}, {"lzcnt", "abm"},     {"tsc-deadline-timer", "tsc-deadline"},
    {"sha", "sha-ni"},
};

/* Without the first flag a processor has none of the others. */
static const struct {
    const char *flag, *needed_by;
} needs[] = {
    {"xsave", "xsaveopt xsavec xgetbv1 xsaves xfd avx pku mpx amx-tile"},
    {"avx", "avx2 fma f16c xop fma4 vaes vpclmulqdq avx-vnni avx512f"},
    {"avx512f",
     "avx512dq avx512ifma avx512pf avx512er avx512cd avx512bw avx512vl avx512vbmi avx512vbmi2 avx512vnni "
     "avx512bitalg avx512-vpopcntdq avx512-4vnniw avx512-4fmaps avx512-vp2intersect avx512-fp16 avx512-bf16"},
    {"amx-tile", "amx-bf16 amx-int8 amx-fp16"},
    {"svm", "npt lbrv svm-lock nrip-save tsc-scale vmcb-clean flushbyasid decodeassists pause-filter "
            "pfthreshold avic "
            "v-vmsave-vmload vgif"},
    {"lm", "lahf-lm"},
};

#define FLAGS_PLATFORM                                                                                       \
    "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 "
#define FLAGS_KVM64 FLAGS_PLATFORM "vme pni cx16 syscall nx lm x2apic hypervisor arat "
#define FLAGS_V1    FLAGS_PLATFORM "vme syscall nx lm x2apic hypervisor arat "
#define FLAGS_V2    FLAGS_V1 "cx16 lahf-lm popcnt pni sse4.1 sse4.2 ssse3 "
#define FLAGS_V3    FLAGS_V2 "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave xsaveopt "
#define FLAGS_V4    FLAGS_V3 "avx512f avx512bw avx512cd avx512dq avx512vl "

static const struct cpu_model_row {
    const char *name, *help;
    bool host; /* what this host has, as it is */
    uint8_t family, model, stepping;
    const char *flags, *model_id;
} rows[] = {
    {.name = "host", .help = "this host's processor, all that KVM can pass on (default)", .host = true},
    {.name = "max", .help = "the same", .host = true},
    {.name = "base",
     .help = "no flags at all: add each with +FLAG",
     .family = 6,
     .flags = "",
     .model_id = ""},
    {.name = "qemu64",
     .help = "a small 64-bit processor",
     .family = 15,
     .model = 107,
     .stepping = 1,
     .flags = FLAGS_PLATFORM "pni cx16 syscall nx lm lahf-lm svm x2apic hypervisor arat",
     .model_id = "QEMU Virtual CPU version 2.5+"},
    {.name = "kvm64",
     .help = "a small 64-bit processor without svm",
     .family = 15,
     .model = 6,
     .stepping = 1,
     .flags = FLAGS_KVM64,
     .model_id = "Common KVM processor"},
    {.name = "x86-64-v1",
     .help = "the psABI's baseline",
     .family = 15,
     .model = 6,
     .stepping = 1,
     .flags = FLAGS_V1,
     .model_id = "x86-64-v1 processor"},
    {.name = "x86-64-v2",
     .help = "and SSE4.2, POPCNT, CMPXCHG16B",
     .family = 15,
     .model = 6,
     .stepping = 1,
     .flags = FLAGS_V2,
     .model_id = "x86-64-v2 processor"},
    {.name = "x86-64-v3",
     .help = "and AVX2, BMI2, FMA, MOVBE",
     .family = 15,
     .model = 6,
     .stepping = 1,
     .flags = FLAGS_V3,
     .model_id = "x86-64-v3 processor"},
    {.name = "x86-64-v4",
     .help = "and AVX-512",
     .family = 15,
     .model = 6,
     .stepping = 1,
     .flags = FLAGS_V4,
     .model_id = "x86-64-v4 processor"},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]), NAMED_LEVEL = 0xD, NAMED_PHYS_BITS = 40 };

struct cpuid_leaf *cpuid_find(struct cpuid_table *table, uint32_t function, uint32_t index)
{
    for (unsigned i = 0; i < table->count; i++) {
        struct cpuid_leaf *leaf = &table->leaves[i];

        if (leaf->function == function && (!leaf->indexed || leaf->index == index))
            return leaf;
    }
    return NULL;
}

/* ---- flags by name ---- */

static bool cpu_model_find_flag(const char *name, unsigned *word, uint32_t *bit)
{
    char plain[64];
    size_t n = strlen(name);

    if (n >= sizeof(plain))
        return false;
    for (size_t i = 0; i <= n; i++)
        plain[i] = name[i] == '_' ? '-' : name[i];
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        if (!strcmp(plain, aliases[i].alias))
            strcpy(plain, aliases[i].name);
    for (*word = 0; *word < CPU_FLAG_WORDS; ++*word)
        for (unsigned i = 0; i < 32; i++)
            if (words[*word].names[i] && !strcmp(plain, words[*word].names[i])) {
                *bit = 1u << i;
                return true;
            }
    return false;
}

/* Sets (or clears) the flags of a list of ours, names separated by blanks. */
static void cpu_model_set_flags(uint32_t flags[CPU_FLAG_WORDS], const char *list, bool on)
{
    char name[64];
    int used;

    for (; sscanf(list, " %63s%n", name, &used) == 1; list += used) {
        unsigned word;
        uint32_t bit;

        if (!cpu_model_find_flag(name, &word, &bit))
            continue;
        flags[word] = on ? flags[word] | bit : flags[word] & ~bit;
    }
}

static bool cpu_model_has(const uint32_t flags[CPU_FLAG_WORDS], const char *name)
{
    unsigned word;
    uint32_t bit;

    return cpu_model_find_flag(name, &word, &bit) && (flags[word] & bit);
}

static bool cpu_model_ask_flag(struct cpu_model *model, const char *name, bool on)
{
    unsigned word;
    uint32_t bit;

    if (!cpu_model_find_flag(name, &word, &bit))
        return false;
    model->on[word] = on ? model->on[word] | bit : model->on[word] & ~bit;
    model->off[word] = on ? model->off[word] & ~bit : model->off[word] | bit;
    return true;
}

/* ---- -cpu ---- */

enum key_kind { KEY_NUMBER, KEY_BOOL, KEY_TEXT, KEY_HOST_PHYS_BITS, KEY_ACCEPTED };

static const struct cpu_key {
    const char *name, *help;
    enum key_kind kind;
    size_t offset;
    uint64_t max; /* numbers; of texts the length */
} keys[] = {
    {"vendor", "twelve characters, as GenuineIntel", KEY_TEXT, offsetof(struct cpu_model, vendor), 12},
    {"model-id", "the name, at most 48 characters", KEY_TEXT, offsetof(struct cpu_model, model_id), 48},
    {"level", "the highest leaf", KEY_NUMBER, offsetof(struct cpu_model, level), 0x1F},
    {"xlevel", "the highest leaf from 0x80000000 on", KEY_NUMBER, offsetof(struct cpu_model, xlevel),
     0x8000001F},
    {"family", "as in leaf 1, with the extended part added", KEY_NUMBER, offsetof(struct cpu_model, family),
     0x10E},
    {"model", "likewise", KEY_NUMBER, offsetof(struct cpu_model, model), 0xFF},
    {"stepping", "0 to 15", KEY_NUMBER, offsetof(struct cpu_model, stepping), 0xF},
    {"phys-bits", "bits of a physical address; 0: the host's", KEY_NUMBER,
     offsetof(struct cpu_model, phys_bits), 52},
    {"host-phys-bits", "on: phys-bits=0", KEY_HOST_PHYS_BITS, 0, 0},
    {"kvm", "off: KVM is not seen", KEY_BOOL, offsetof(struct cpu_model, kvm), 0},
    {"check", "say which flags this host cannot give (default on)", KEY_BOOL,
     offsetof(struct cpu_model, check), 0},
    {"enforce", "and do not start without them", KEY_BOOL, offsetof(struct cpu_model, enforce), 0},
    {"migratable", "taken: what cannot move to another host (invtsc) is off unless named", KEY_ACCEPTED, 0,
     0},
};
enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

static bool cpu_model_unknown(struct error *err, const char *what, const char *name, const char *const *known)
{
    const char *nearest = error_nearest(name, known);

    return error_set(err, "there is no %s '%s'%s%s%s", what, name, nearest ? "; did you mean '" : "",
                     nearest ? nearest : "", nearest ? "'?" : "");
}

static bool cpu_model_unknown_key(struct error *err, const char *name)
{
    const char *known[CPU_FLAG_WORDS * 32 + KEYS + 1];
    unsigned n = 0;

    for (unsigned w = 0; w < CPU_FLAG_WORDS; w++)
        for (unsigned i = 0; i < 32; i++)
            if (words[w].names[i])
                known[n++] = words[w].names[i];
    for (unsigned i = 0; i < KEYS; i++)
        known[n++] = keys[i].name;
    known[n] = NULL;
    return cpu_model_unknown(err, "processor flag", name, known);
}

static bool cpu_model_on_off(const char *text, bool *value)
{
    *value = !strcmp(text, "on") || !strcmp(text, "yes") || !strcmp(text, "true");
    return *value || !strcmp(text, "off") || !strcmp(text, "no") || !strcmp(text, "false");
}

static bool cpu_model_set_key(struct cpu_model *model, const struct cpu_key *key, const char *text,
                              struct error *err)
{
    void *field = (char *)model + key->offset;
    unsigned long long number;
    char *end;
    bool flag;

    switch (key->kind) {
    case KEY_NUMBER:
        number = strtoull(text, &end, 0);
        if (!isdigit((unsigned char)text[0]) || *end || number > key->max)
            return error_set(err, "%s=%s: not a number up to %#llx", key->name, text,
                             (unsigned long long)key->max);
        *(int64_t *)field = number;
        return true;
    case KEY_TEXT:
        if (strlen(text) > key->max || (key->max == 12 && strlen(text) != 12))
            return error_set(err, "%s=%s: %s", key->name, text, key->help);
        strcpy(field, text);
        return true;
    default:
        if (!cpu_model_on_off(text, &flag))
            return error_set(err, "%s=%s: neither on nor off", key->name, text);
        if (key->kind == KEY_BOOL)
            *(bool *)field = flag;
        else if (key->kind == KEY_HOST_PHYS_BITS && flag)
            model->phys_bits = 0;
        return true;
    }
}

static bool cpu_model_set_word(struct cpu_model *model, char *word, struct error *err)
{
    char *value = strchr(word, '=');
    bool on = true;

    if (!value && (word[0] == '+' || word[0] == '-'))
        return cpu_model_ask_flag(model, word + 1, word[0] == '+') || cpu_model_unknown_key(err, word + 1);
    if (value)
        *value++ = 0;
    for (unsigned i = 0; i < KEYS; i++)
        if (!strcmp(word, keys[i].name))
            return cpu_model_set_key(model, &keys[i], value ? value : "on", err);
    if (value && !cpu_model_on_off(value, &on))
        return error_set(err, "%s=%s: neither on nor off", word, value);
    return cpu_model_ask_flag(model, word, on) || cpu_model_unknown_key(err, word);
}

static bool cpu_model_find_row(struct cpu_model *model, const char *name, struct error *err)
{
    const char *known[ROWS + 1];

    for (unsigned i = 0; i < ROWS; i++) {
        known[i] = rows[i].name;
        if (!strcmp(name, rows[i].name)) {
            model->row = &rows[i];
            return true;
        }
    }
    known[ROWS] = NULL;
    return cpu_model_unknown(err, "processor model", name, known);
}

bool cpu_model_parse(struct cpu_model *model, const char *text, struct error *err)
{
    char buffer[1024], *next, *word = buffer;
    bool ok;

    *model = (struct cpu_model){.level = -1,
                                .xlevel = -1,
                                .family = -1,
                                .model = -1,
                                .stepping = -1,
                                .phys_bits = -1,
                                .kvm = true,
                                .check = true};
    if (strlen(text) >= sizeof(buffer))
        return error_set(err, "longer than %zu characters", sizeof(buffer) - 1);
    strcpy(buffer, *text ? text : "host");
    next = strchr(buffer, ',');
    if (next)
        *next++ = 0;
    ok = cpu_model_find_row(model, word, err);
    while (ok && next) {
        word = next;
        next = strchr(word, ',');
        if (next)
            *next++ = 0;
        ok = cpu_model_set_word(model, word, err);
    }
    return ok;
}

void cpu_model_help(FILE *out)
{
    unsigned column = 0;

    fprintf(out, "Processor models:\n");
    for (unsigned i = 0; i < ROWS; i++)
        fprintf(out, "  %-12s %s\n", rows[i].name, rows[i].help);
    fprintf(out, "\nBehind them: +FLAG, -FLAG, FLAG=on|off, and\n");
    for (unsigned i = 0; i < KEYS; i++)
        fprintf(out, "  %-16s %s\n", keys[i].name, keys[i].help);
    fprintf(out, "\nFlags:\n");
    for (unsigned w = 0; w < CPU_FLAG_WORDS; w++)
        for (unsigned i = 0; i < 32; i++)
            if (words[w].names[i]) {
                if (column + strlen(words[w].names[i]) > 76) {
                    fprintf(out, "\n");
                    column = 0;
                }
                column += fprintf(out, " %s", words[w].names[i]);
            }
    fprintf(out, "\n");
}

/* ---- the guest's table ---- */

static void cpu_model_drop_leaf(struct cpuid_table *table, struct cpuid_leaf *leaf)
{
    *leaf = table->leaves[--table->count];
}

static struct cpuid_leaf *cpu_model_add_leaf(struct cpuid_table *table, uint32_t function, uint32_t index,
                                             bool indexed)
{
    struct cpuid_leaf *leaf = cpuid_find(table, function, index);

    if (!leaf && table->count < CPUID_LEAVES)
        leaf = &table->leaves[table->count++];
    if (leaf)
        *leaf = (struct cpuid_leaf){.function = function, .index = index, .indexed = indexed};
    return leaf;
}

static void cpu_model_host_flags(struct cpuid_table *table, uint32_t flags[CPU_FLAG_WORDS])
{
    for (unsigned w = 0; w < CPU_FLAG_WORDS; w++) {
        struct cpuid_leaf *leaf = cpuid_find(table, words[w].function, words[w].index);

        flags[w] = leaf ? leaf->regs[words[w].reg] : 0;
    }
    flags[W_1_ECX] |= 1u << 31; /* a hypervisor is always there to be told of */
}

/* The flags that the model would have, before the host is asked. */
static void cpu_model_wanted_flags(const struct cpu_model *model, const uint32_t host[CPU_FLAG_WORDS],
                                   uint32_t flags[CPU_FLAG_WORDS])
{
    memset(flags, 0, CPU_FLAG_WORDS * sizeof(flags[0]));
    if (model->row->host) {
        memcpy(flags, host, CPU_FLAG_WORDS * sizeof(flags[0]));
        cpu_model_set_flags(flags, "invtsc", false);
    } else {
        cpu_model_set_flags(flags, model->row->flags, true);
        /* svm is a wish: a host without nested virtualisation is no poorer qemu64 */
        if (!cpu_model_has(host, "svm"))
            cpu_model_set_flags(flags, "svm", false);
        flags[W_KVM] = host[W_KVM];
    }
    for (unsigned w = 0; w < CPU_FLAG_WORDS; w++)
        flags[w] = (flags[w] | model->on[w]) & ~model->off[w];
    if (cpu_model_has(flags, "svm") && !model->row->host)
        flags[W_8000000A_EDX] |= host[W_8000000A_EDX] & 1; /* npt */
    if (!model->kvm)
        flags[W_KVM] = 0;
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
        if (!cpu_model_has(flags, needs[i].flag))
            cpu_model_set_flags(flags, needs[i].needed_by, false);
}

/* Leaves out what the host lacks; names it. Bits without a name are no business of the user's. */
static void cpu_model_leave_out(const uint32_t host[CPU_FLAG_WORDS], uint32_t flags[CPU_FLAG_WORDS],
                                char missing[256])
{
    size_t used = 0;

    missing[0] = 0;
    for (unsigned w = 0; w < CPU_FLAG_WORDS; w++) {
        for (unsigned i = 0; i < 32; i++)
            if (flags[w] & ~host[w] & 1u << i && words[w].names[i] && used < 200)
                used += snprintf(missing + used, 256 - used, "%s%s", used ? ", " : "", words[w].names[i]);
        flags[w] &= host[w];
    }
}

static void cpu_model_store_flags(struct cpuid_table *table, const uint32_t flags[CPU_FLAG_WORDS])
{
    for (unsigned w = 0; w < CPU_FLAG_WORDS; w++) {
        struct cpuid_leaf *leaf = cpuid_find(table, words[w].function, words[w].index);

        if (leaf)
            leaf->regs[words[w].reg] = flags[w];
    }
}

/* AMD repeats most of leaf 1's EDX (APM volume 3, 80000001h). */
static void cpu_model_repeat_flags(struct cpuid_table *table)
{
    const uint32_t repeated = 0x0183F3FF;
    struct cpuid_leaf *leaf = cpuid_find(table, 1, 0), *extended = cpuid_find(table, 0x80000001, 0);

    if (leaf && extended)
        extended->regs[CPUID_EDX] =
            (extended->regs[CPUID_EDX] & ~repeated) | (leaf->regs[CPUID_EDX] & repeated);
}

/* XSAVE's components follow the flags (Intel SDM volume 1, 13.2; AMD APM volume 3, leaf 0Dh). */
static void cpu_model_fit_xsave(struct cpuid_table *table, const uint32_t flags[CPU_FLAG_WORDS])
{
    static const struct {
        const char *flag;
        uint32_t components;
    } rows_of[] = {
        {"avx", 1 << 2}, {"mpx", 3 << 3}, {"avx512f", 7 << 5}, {"pku", 1 << 9}, {"amx-tile", 3 << 17}};
    struct cpuid_leaf *main = cpuid_find(table, 0xD, 0);
    uint32_t size = 576; /* the legacy area and the header */

    for (unsigned i = table->count; i-- > 0;) {
        struct cpuid_leaf *leaf = &table->leaves[i];

        if (leaf->function == 0xD && !cpu_model_has(flags, "xsave"))
            cpu_model_drop_leaf(table, leaf);
    }
    if (!main || !cpu_model_has(flags, "xsave"))
        return;
    for (size_t i = 0; i < sizeof(rows_of) / sizeof(rows_of[0]); i++)
        if (!cpu_model_has(flags, rows_of[i].flag))
            main->regs[CPUID_EAX] &= ~rows_of[i].components;
    for (unsigned i = table->count; i-- > 0;) {
        struct cpuid_leaf *leaf = &table->leaves[i];

        if (leaf->function != 0xD || leaf->index < 2)
            continue;
        main = cpuid_find(table, 0xD, 0);
        if (leaf->regs[CPUID_ECX] & 1 ? !cpu_model_has(flags, "xsaves")
                                      : leaf->index < 32 && !(main->regs[CPUID_EAX] & 1u << leaf->index))
            cpu_model_drop_leaf(table, leaf);
        else if (leaf->regs[CPUID_EAX] + leaf->regs[CPUID_EBX] > size)
            size = leaf->regs[CPUID_EAX] + leaf->regs[CPUID_EBX];
    }
    cpuid_find(table, 0xD, 0)->regs[CPUID_ECX] = size;
}

static void cpu_model_store_text(struct cpuid_leaf *leaf, const char *text, const uint8_t order[],
                                 unsigned count)
{
    for (unsigned i = 0; leaf && i < count; i++)
        memcpy(&leaf->regs[order[i]], text + 4 * i, 4);
}

static void cpu_model_set_vendor(struct cpuid_table *table, const char *vendor)
{
    static const uint8_t order[] = {CPUID_EBX, CPUID_EDX, CPUID_ECX};

    cpu_model_store_text(cpuid_find(table, 0, 0), vendor, order, 3);
    if (!strcmp(vendor, "AuthenticAMD") || !strcmp(vendor, "HygonGenuine"))
        cpu_model_store_text(cpuid_find(table, 0x80000000, 0), vendor, order, 3);
}

static void cpu_model_set_model_id(struct cpuid_table *table, const char *name)
{
    static const uint8_t order[] = {CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX};
    char text[49] = "";

    memcpy(text, name, strlen(name));
    for (unsigned i = 0; i < 3; i++)
        cpu_model_store_text(cpu_model_add_leaf(table, 0x80000002 + i, 0, false), text + 16 * i, order, 4);
}

static bool cpu_model_is_amd(struct cpuid_table *table)
{
    struct cpuid_leaf *leaf = cpuid_find(table, 0, 0);

    return leaf &&
           (leaf->regs[CPUID_EBX] == 0x68747541 /* Auth */ || leaf->regs[CPUID_EBX] == 0x6F677948 /* Hygo */);
}

/* Leaf 1's EAX: families above 15 and models above 15 have extension fields (SDM 2A, figure 3-6). */
static void cpu_model_set_signature(const struct cpu_model *m, struct cpuid_table *table)
{
    struct cpuid_leaf *leaf = cpuid_find(table, 1, 0), *extended = cpuid_find(table, 0x80000001, 0);
    uint32_t eax, family, model, stepping;

    if (!leaf)
        return;
    eax = leaf->regs[CPUID_EAX];
    family = (eax >> 8 & 0xF) == 0xF ? 0xF + (eax >> 20 & 0xFF) : eax >> 8 & 0xF;
    model = (eax >> 4 & 0xF) | (eax >> 12 & 0xF0);
    stepping = eax & 0xF;
    if (!m->row->host) {
        family = m->row->family;
        model = m->row->model;
        stepping = m->row->stepping;
    }
    family = m->family >= 0 ? m->family : family;
    model = m->model >= 0 ? m->model : model;
    stepping = m->stepping >= 0 ? m->stepping : stepping;
    eax = stepping | (model & 0xF) << 4 | (model & 0xF0) << 12;
    eax |= family > 0xF ? 0xF << 8 | (family - 0xF) << 20 : family << 8;
    leaf->regs[CPUID_EAX] = eax;
    if (extended && cpu_model_is_amd(table))
        extended->regs[CPUID_EAX] = eax;
}

/* A named model is the same on every host: leaves that tell of this one (performance counters, power, RDT,
 * traces) go. */
static bool cpu_model_named_leaf(const uint32_t flags[CPU_FLAG_WORDS], uint32_t function)
{
    switch (function) {
    case 0x0:
    case 0x1:
    case 0x2:
    case 0x4:
    case 0x6:
    case 0x7:
    case 0xB:
    case 0xD:
    case LEAF_KVM_SIGNATURE:
    case LEAF_KVM_FEATURES:
    case 0x80000005:
    case 0x80000006:
    case 0x80000007:
    case 0x80000008:
        return true;
    case 0x8000000A:
        return cpu_model_has(flags, "svm");
    case 0x8000001D:
    case 0x8000001E:
        return cpu_model_has(flags, "topoext");
    default:
        return function >= 0x80000000 && function <= 0x80000004;
    }
}

static void cpu_model_limit(struct cpuid_table *table, uint32_t base, int64_t level)
{
    struct cpuid_leaf *leaf = cpuid_find(table, base, 0);

    if (!leaf || level < 0)
        return;
    leaf->regs[CPUID_EAX] = level;
    for (unsigned i = table->count; i-- > 0;)
        if (table->leaves[i].function >= base && table->leaves[i].function < base + 0x10000 &&
            table->leaves[i].function > (uint64_t)level)
            cpu_model_drop_leaf(table, &table->leaves[i]);
}

static void cpu_model_choose_leaves(const struct cpu_model *model, const uint32_t flags[CPU_FLAG_WORDS],
                                    struct cpuid_table *table)
{
    int64_t level = model->level, xlevel = model->xlevel;

    for (unsigned i = table->count; i-- > 0;) {
        uint32_t function = table->leaves[i].function;

        if (!model->row->host && !cpu_model_named_leaf(flags, function))
            cpu_model_drop_leaf(table, &table->leaves[i]);
        else if (!model->kvm && function >= 0x40000000 && function < 0x40010000)
            cpu_model_drop_leaf(table, &table->leaves[i]);
    }
    if (!model->row->host && level < 0)
        level = NAMED_LEVEL;
    if (!model->row->host && xlevel < 0)
        xlevel = cpu_model_has(flags, "topoext") ? 0x8000001E
                 : cpu_model_has(flags, "svm")   ? 0x8000000A
                                                 : 0x80000008;
    cpu_model_limit(table, 0, level);
    cpu_model_limit(table, 0x80000000, xlevel);
}

static void cpu_model_set_phys_bits(const struct cpu_model *model, struct cpuid_table *table)
{
    struct cpuid_leaf *leaf = cpuid_find(table, 0x80000008, 0);
    uint32_t host, bits;

    if (!leaf)
        return;
    host = leaf->regs[CPUID_EAX] & 0xFF;
    bits = model->phys_bits > 0                        ? model->phys_bits
           : model->phys_bits == 0 || model->row->host ? host
           : host < NAMED_PHYS_BITS                    ? host
                                                       : NAMED_PHYS_BITS;
    leaf->regs[CPUID_EAX] = (leaf->regs[CPUID_EAX] & 0xFF00) | bits;
}

/* ---- topology ---- */

static unsigned cpu_model_width(unsigned count)
{
    unsigned bits = 0;

    while (1u << bits < count)
        bits++;
    return bits;
}

/* A topology that nobody set is one of single processors. */
static struct cpu_topology cpu_model_whole(const struct cpu_topology *t)
{
    return (struct cpu_topology){.cores = t->cores ? t->cores : 1, .threads = t->threads ? t->threads : 1};
}

unsigned cpu_apic_id(const struct cpu_topology *topology, unsigned index)
{
    const struct cpu_topology t = cpu_model_whole(topology);
    unsigned thread_bits = cpu_model_width(t.threads), core_bits = cpu_model_width(t.cores);
    unsigned thread = index % t.threads, core = index / t.threads % t.cores;
    unsigned package = index / t.threads / t.cores;

    return package << (core_bits + thread_bits) | core << thread_bits | thread;
}

/* Leaves 4 (Intel) and 8000001D (AMD): who shares a cache. The first two levels are a core's, the third a
 * package's. */
static void cpu_model_share_cache(struct cpuid_leaf *leaf, const struct cpu_topology *t)
{
    unsigned level = leaf->regs[CPUID_EAX] >> 5 & 7, package = 1u << cpu_model_width(t->cores * t->threads);
    unsigned sharing = level < 3 ? 1u << cpu_model_width(t->threads) : package;
    unsigned cores = 1u << cpu_model_width(t->cores);

    if (!(leaf->regs[CPUID_EAX] & 0x1F))
        return;
    leaf->regs[CPUID_EAX] = (leaf->regs[CPUID_EAX] & 0x3FFF) | (sharing - 1) << 14;
    if (leaf->function == 4)
        leaf->regs[CPUID_EAX] |= (cores - 1) << 26;
}

/* Leaf 0Bh and its successor 1Fh: a level of threads, a level of cores, and the end. */
static void cpu_model_set_levels(struct cpuid_table *table, uint32_t function, const struct cpu_topology *t,
                                 unsigned apic_id)
{
    unsigned thread_bits = cpu_model_width(t->threads),
             package_bits = thread_bits + cpu_model_width(t->cores);
    const uint32_t levels[3][3] = {
        {thread_bits, t->threads, 1 << 8}, {package_bits, t->cores * t->threads, 2 << 8 | 1}, {0, 0, 2}};

    for (unsigned i = table->count; i-- > 0;)
        if (table->leaves[i].function == function)
            cpu_model_drop_leaf(table, &table->leaves[i]);
    for (unsigned i = 0; i < 3; i++) {
        struct cpuid_leaf *leaf = cpu_model_add_leaf(table, function, i, true);

        if (!leaf)
            return;
        memcpy(leaf->regs, levels[i], sizeof(levels[i]));
        leaf->regs[CPUID_EDX] = apic_id;
    }
}

static void cpu_model_set_topology(struct cpuid_table *table, const struct cpu_topology *t, unsigned index)
{
    unsigned apic_id = cpu_apic_id(t, index),
             package_bits = cpu_model_width(t->cores) + cpu_model_width(t->threads);
    unsigned logical = t->cores * t->threads, core = index / t->threads % t->cores;
    uint32_t highest = cpuid_find(table, 0, 0) ? cpuid_find(table, 0, 0)->regs[CPUID_EAX] : 0;

    for (unsigned i = 0; i < table->count; i++) {
        struct cpuid_leaf *leaf = &table->leaves[i];
        uint32_t *regs = leaf->regs;

        switch (leaf->function) {
        case 1:
            regs[CPUID_EBX] = (regs[CPUID_EBX] & 0xFF00) | 1u << package_bits << 16 | apic_id << 24;
            regs[CPUID_EDX] = (regs[CPUID_EDX] & ~(1u << 28)) | (logical > 1 ? 1u << 28 : 0); /* HTT */
            break;
        case 4:
        case 0x8000001D:
            cpu_model_share_cache(leaf, t);
            break;
        case 0x80000001:
            regs[CPUID_ECX] &= ~(1u << 1); /* CmpLegacy: cores without threads, where AMD says so */
            if (cpu_model_is_amd(table) && logical > 1 && t->threads == 1)
                regs[CPUID_ECX] |= 1u << 1;
            break;
        case 0x80000008:
            regs[CPUID_ECX] = cpu_model_is_amd(table) && logical > 1 ? package_bits << 12 | (logical - 1) : 0;
            break;
        case 0x8000001E:
            regs[CPUID_EAX] = apic_id;
            regs[CPUID_EBX] = (t->threads - 1) << 8 | core;
            regs[CPUID_ECX] = index / logical;
            break;
        }
    }
    if (highest >= 0xB)
        cpu_model_set_levels(table, 0xB, t, apic_id);
    if (highest >= 0x1F)
        cpu_model_set_levels(table, 0x1F, t, apic_id);
}

bool cpu_model_apply(const struct cpu_model *model, const struct cpu_topology *topology, unsigned index,
                     struct cpuid_table *table, char missing[256], struct error *err)
{
    const struct cpu_topology whole = cpu_model_whole(topology);
    uint32_t host[CPU_FLAG_WORDS], flags[CPU_FLAG_WORDS];
    char names[256];

    cpu_model_host_flags(table, host);
    cpu_model_wanted_flags(model, host, flags);
    cpu_model_leave_out(host, flags, names);
    if (missing)
        strcpy(missing, names);
    if (*names && model->enforce)
        return error_set(err, "-cpu %s: this host cannot give %s", model->row->name, names);
    cpu_model_choose_leaves(model, flags, table);
    cpu_model_store_flags(table, flags);
    cpu_model_fit_xsave(table, flags);
    if (*model->vendor)
        cpu_model_set_vendor(table, model->vendor);
    if (*model->model_id || !model->row->host)
        cpu_model_set_model_id(table, *model->model_id ? model->model_id : model->row->model_id);
    if (cpu_model_is_amd(table))
        cpu_model_repeat_flags(table);
    cpu_model_set_signature(model, table);
    cpu_model_set_phys_bits(model, table);
    cpu_model_set_topology(table, &whole, index);
    return true;
}

/* The first bits that have no name are told by where they stand. */
static void cpu_model_name_bits(const uint32_t lacks[CPU_FLAG_WORDS], char missing[256])
{
    static const char *const regs[] = {"eax", "ebx", "ecx", "edx"};
    size_t used = strlen(missing);

    for (unsigned w = 0; w < CPU_FLAG_WORDS; w++)
        for (unsigned i = 0; i < 32; i++)
            if (lacks[w] & 1u << i && !words[w].names[i] && used < 200)
                used += snprintf(missing + used, 256 - used, "%sbit %u of %s of leaf 0x%x", used ? ", " : "",
                                 i, regs[words[w].reg], words[w].function);
}

bool cpu_model_covers(const struct cpuid_table *given, const struct cpuid_table *wanted, char missing[256])
{
    struct cpuid_table tables[2] = {*given, *wanted};
    uint32_t host[CPU_FLAG_WORDS], flags[CPU_FLAG_WORDS], lacks[CPU_FLAG_WORDS];

    cpu_model_host_flags(&tables[0], host);
    cpu_model_host_flags(&tables[1], flags);
    for (unsigned w = 0; w < CPU_FLAG_WORDS; w++)
        lacks[w] = flags[w] & ~host[w];
    cpu_model_leave_out(host, flags, missing);
    cpu_model_name_bits(lacks, missing);
    return !missing[0];
}
