/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -cpu and -smp make of a host's CPUID. */
#include "machine/cpu_model.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/cmocka.h"

#define BIT(n)        (1u << (n))
#define ALL           0xFFFFFFFFu
#define XSAVE_SIZE(t) (cpuid_find(t, 0xD, 0)->regs[CPUID_ECX])

static void add(struct cpuid_table *t, uint32_t function, uint32_t index, bool indexed, uint32_t eax,
                uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    t->leaves[t->count++] = (struct cpuid_leaf){
        .function = function, .index = index, .indexed = indexed, .regs = {eax, ebx, ecx, edx}};
}

/* A host that has everything of the first words, AVX-512 and svm with it. */
static struct cpuid_table host(const char *vendor)
{
    struct cpuid_table t = {.count = 0};
    uint32_t v[3];

    memcpy(v, vendor, 12);
    add(&t, 0, 0, false, 0x1F, v[0], v[2], v[1]);
    add(&t, 1, 0, false, 0x00A20F12, 0x0010 << 16 | 8 << 8, ALL & ~BIT(5) & ~BIT(31), 0xBFEBFBFF);
    add(&t, 4, 0, true, 0x21 | 7 << 26 | 1 << 14, 0, 0, 0);
    add(&t, 4, 3, true, 0x63 | 7 << 26 | 15 << 14, 0, 0, 0);
    add(&t, 6, 0, false, BIT(2), 0, 0, 0);
    add(&t, 7, 0, true, 1, ALL, ALL, ALL);
    add(&t, 7, 1, true, BIT(4), 0, 0, 0);
    add(&t, 0xA, 0, false, 0x07300402, 0, 0, 0);
    add(&t, 0xD, 0, true, 0x2E7, 2696, 2696, 0);
    add(&t, 0xD, 1, true, 0xF, 0, 0, 0);
    add(&t, 0xD, 2, true, 256, 576, 0, 0);
    add(&t, 0xD, 5, true, 64, 1088, 0, 0);
    add(&t, 0xD, 6, true, 512, 1152, 0, 0);
    add(&t, 0xD, 7, true, 1024, 1664, 0, 0);
    add(&t, 0xD, 9, true, 8, 2688, 0, 0);
    add(&t, 0x40000000, 0, false, 0x40000001, 0x4B4D564B, 0x564B4D56, 0x4D);
    add(&t, 0x40000001, 0, false, 0x01007EFB, 0, 0, 0);
    add(&t, 0x80000000, 0, false, 0x80000021, v[0], v[2], v[1]);
    add(&t, 0x80000001, 0, false, 0x00A20F12, 0, ALL, 0x0183F3FF | BIT(11) | BIT(20) | BIT(27) | BIT(29));
    add(&t, 0x80000007, 0, false, 0, 0, 0, BIT(8));
    add(&t, 0x80000008, 0, false, 0x3030, ALL, 0x0F, 0);
    add(&t, 0x8000000A, 0, false, 1, 8, 0, 0xFF);
    add(&t, 0x8000001E, 0, false, 0, 0, 0, 0);
    add(&t, 0x80000021, 0, false, 1, 0, 0, 0);
    return t;
}

static struct cpuid_table guest_of(struct cpuid_table t, const char *cpu, unsigned cores, unsigned threads,
                                   unsigned index, char missing[256])
{
    const struct cpu_topology topology = {.cores = cores, .threads = threads};
    struct cpu_model model;
    struct error err;

    if (!cpu_model_parse(&model, cpu, &err) || !cpu_model_apply(&model, &topology, index, &t, missing, &err))
        fail_msg("%s: %s", cpu, err.text);
    return t;
}

static struct cpuid_table guest(const char *cpu)
{
    return guest_of(host("AuthenticAMD"), cpu, 1, 1, 0, NULL);
}

static uint32_t reg(struct cpuid_table t, uint32_t function, uint32_t index, unsigned r)
{
    struct cpuid_leaf *leaf = cpuid_find(&t, function, index);

    return leaf ? leaf->regs[r] : 0;
}

static void host_is_passed_on_but_for_what_cannot_move(void **state)
{
    struct cpuid_table t = guest("host");

    assert_int_equal(reg(t, 1, 0, CPUID_ECX), ALL & ~BIT(5));
    assert_int_equal(reg(t, 7, 0, CPUID_ECX), ALL);
    assert_int_equal(reg(t, 0x80000007, 0, CPUID_EDX), 0);
    assert_int_equal(reg(guest("host,+invtsc"), 0x80000007, 0, CPUID_EDX), BIT(8));
    assert_int_equal(reg(guest("max,migratable=off,invtsc"), 0x80000007, 0, CPUID_EDX), BIT(8));
    assert_int_equal(reg(t, 0x80000021, 0, CPUID_EAX), 1);
    assert_int_equal(reg(t, 0x80000008, 0, CPUID_EAX), 0x3030);
}

static void each_flag_can_be_masked(void **state)
{
    static const struct {
        const char *flag;
        uint32_t function, index;
        unsigned reg, bit;
    } flags[] = {
        {"sse3", 1, 0, CPUID_ECX, 0},
        {"sse4_2", 1, 0, CPUID_ECX, 20},
        {"aes", 1, 0, CPUID_ECX, 25},
        {"hypervisor", 1, 0, CPUID_ECX, 31},
        {"pse36", 1, 0, CPUID_EDX, 17},
        {"smep", 7, 0, CPUID_EBX, 7},
        {"la57", 7, 0, CPUID_ECX, 16},
        {"ssbd", 7, 0, CPUID_EDX, 31},
        {"avx-vnni", 7, 1, CPUID_EAX, 4},
        {"xsavec", 0xD, 1, CPUID_EAX, 1},
        {"kvmclock", 0x40000001, 0, CPUID_EAX, 3},
        {"nx", 0x80000001, 0, CPUID_EDX, 20},
        {"svm", 0x80000001, 0, CPUID_ECX, 2},
        {"ibpb", 0x80000008, 0, CPUID_EBX, 12},
        {"npt", 0x8000000A, 0, CPUID_EDX, 0},
    };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        char minus[64], off[64];

        snprintf(minus, sizeof(minus), "host,-%s", flags[i].flag);
        snprintf(off, sizeof(off), "host,%s=off", flags[i].flag);
        assert_true(reg(guest("host"), flags[i].function, flags[i].index, flags[i].reg) & BIT(flags[i].bit));
        assert_false(reg(guest(minus), flags[i].function, flags[i].index, flags[i].reg) & BIT(flags[i].bit));
        assert_false(reg(guest(off), flags[i].function, flags[i].index, flags[i].reg) & BIT(flags[i].bit));
    }
}

static void what_needs_a_flag_goes_with_it(void **state)
{
    struct cpuid_table t = guest("host,-xsave");

    assert_false(reg(t, 1, 0, CPUID_ECX) & (BIT(26) | BIT(28) | BIT(12) | BIT(29)));
    assert_false(reg(t, 7, 0, CPUID_EBX) & (BIT(5) | BIT(16)));
    assert_null(cpuid_find(&t, 0xD, 0));
    t = guest("host,-avx");
    assert_true(reg(t, 1, 0, CPUID_ECX) & BIT(26));
    assert_false(reg(t, 7, 0, CPUID_EBX) & (BIT(5) | BIT(16)));
    assert_int_equal(reg(t, 0xD, 0, CPUID_EAX), 0x203);
    assert_null(cpuid_find(&t, 0xD, 2));
    t = guest("host,-avx512f,-pku");
    assert_int_equal(reg(t, 0xD, 0, CPUID_EAX), 7);
    assert_int_equal(XSAVE_SIZE(&t), 832);
    t = guest("host,-svm");
    assert_int_equal(reg(t, 0x8000000A, 0, CPUID_EDX), 0);
}

static void named_models_are_the_same_everywhere(void **state)
{
    struct cpuid_table amd = guest("qemu64"), intel = guest_of(host("GenuineIntel"), "qemu64", 1, 1, 0, NULL);

    assert_int_equal(reg(amd, 0, 0, CPUID_EAX), 0xD);
    assert_int_equal(reg(amd, 1, 0, CPUID_EAX), 0x00060FB1); /* family 15, model 107, stepping 1 */
    assert_int_equal(reg(amd, 0x80000001, 0, CPUID_EAX), 0x00060FB1);
    assert_int_equal(reg(amd, 1, 0, CPUID_ECX), BIT(0) | BIT(13) | BIT(21) | BIT(31));
    assert_int_equal(reg(amd, 1, 0, CPUID_EDX), 0x078BFBFD);
    assert_int_equal(reg(amd, 7, 0, CPUID_EBX), 0);
    assert_null(cpuid_find(&amd, 0xD, 0));
    assert_null(cpuid_find(&amd, 0xA, 0));
    assert_int_equal(reg(amd, 0x80000001, 0, CPUID_EDX),
                     (0x0183F3FF & 0x078BFBFD) | BIT(11) | BIT(20) | BIT(29));
    assert_int_equal(reg(amd, 0x80000001, 0, CPUID_ECX), BIT(0) | BIT(2));
    assert_int_equal(reg(amd, 0x8000000A, 0, CPUID_EDX), BIT(0));
    assert_int_equal(reg(amd, 0x80000008, 0, CPUID_EAX) & 0xFF, 40);
    assert_int_equal(reg(amd, 0x80000000, 0, CPUID_EAX), 0x8000000A);
    assert_int_equal(reg(intel, 0x80000001, 0, CPUID_EDX), BIT(11) | BIT(20) | BIT(29));
    assert_memory_equal(cpuid_find(&amd, 0x80000002, 0)->regs, "QEMU Virtual CPU", 16);
    assert_memory_equal(cpuid_find(&amd, 0x80000003, 0)->regs, " version 2.5+\0\0", 16);
    assert_int_equal(reg(guest("base"), 1, 0, CPUID_EDX), 0);
    assert_int_equal(reg(guest("base,+fpu"), 1, 0, CPUID_EDX), 1);
    assert_int_equal(reg(guest("kvm64"), 0x80000001, 0, CPUID_ECX), 0);
    assert_true(reg(guest("x86-64-v2"), 1, 0, CPUID_ECX) & BIT(20));
    assert_false(reg(guest("x86-64-v2"), 1, 0, CPUID_ECX) & BIT(28));
    assert_true(reg(guest("x86-64-v3"), 7, 0, CPUID_EBX) & BIT(5));
    assert_int_equal(reg(guest("x86-64-v3"), 0xD, 0, CPUID_EAX), 7);
    assert_true(reg(guest("x86-64-v4"), 7, 0, CPUID_EBX) & BIT(16));
    assert_int_equal(reg(guest("x86-64-v4"), 0xD, 0, CPUID_EAX), 0xE7);
}

static void what_the_host_lacks_is_said_and_enforce_refuses(void **state)
{
    const struct cpu_topology one = {1, 1};
    struct cpuid_table poor = host("GenuineIntel"), t;
    struct cpu_model model;
    struct error err;
    char missing[256];

    cpuid_find(&poor, 7, 0)->regs[CPUID_EBX] &= ~(BIT(5) | BIT(8));
    t = guest_of(poor, "x86-64-v3", 1, 1, 0, missing);
    assert_string_equal(missing, "avx2, bmi2");
    assert_false(reg(t, 7, 0, CPUID_EBX) & BIT(5));
    guest_of(poor, "host", 1, 1, 0, missing);
    assert_string_equal(missing, "");
    assert_true(cpu_model_parse(&model, "x86-64-v3,enforce", &err));
    t = poor;
    assert_false(cpu_model_apply(&model, &one, 0, &t, missing, &err));
    assert_non_null(strstr(err.text, "avx2, bmi2"));
    assert_true(cpu_model_parse(&model, "x86-64-v3,enforce,-avx2,-bmi2", &err));
    assert_true(cpu_model_apply(&model, &one, 0, &t, missing, &err));
}

static void words_of_the_model_can_be_set(void **state)
{
    struct cpuid_table t = guest(
        "host,vendor=GenuineIntel,level=4,xlevel=0x80000004,family=6,model=0x1a,stepping=3,model-id=Old one");

    assert_memory_equal(&cpuid_find(&t, 0, 0)->regs[CPUID_EBX], "Genu", 4);
    assert_int_equal(reg(t, 0, 0, CPUID_EAX), 4);
    assert_int_equal(reg(t, 1, 0, CPUID_EAX), 0x000106A3);
    assert_null(cpuid_find(&t, 7, 0));
    assert_null(cpuid_find(&t, 0xB, 0));
    assert_null(cpuid_find(&t, 0x80000008, 0));
    assert_string_equal((const char *)cpuid_find(&t, 0x80000002, 0)->regs, "Old one");
    assert_int_equal(reg(guest("host,phys-bits=36"), 0x80000008, 0, CPUID_EAX) & 0xFF, 36);
    assert_int_equal(reg(guest("qemu64,host-phys-bits=on"), 0x80000008, 0, CPUID_EAX) & 0xFF, 0x30);
    assert_int_equal(reg(guest("host"), 0x40000000, 0, CPUID_EBX), 0x4B4D564B);
    assert_int_equal(reg(guest("host,kvm=off"), 0x40000000, 0, CPUID_EBX), 0);
    assert_int_equal(reg(guest("host,kvm=off"), 0x40000001, 0, CPUID_EAX), 0);
}

static void apic_ids_have_a_field_for_each_level(void **state)
{
    static const struct {
        unsigned cores, threads, index, id;
    } ids[] = {{0, 0, 5, 5}, {1, 1, 3, 3}, {4, 1, 5, 5}, {2, 2, 3, 3}, {3, 1, 2, 2},  {3, 1, 3, 4},
               {3, 2, 5, 5}, {3, 2, 6, 8}, {1, 3, 2, 2}, {1, 3, 3, 4}, {5, 3, 14, 18}};

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct cpu_topology t = {ids[i].cores, ids[i].threads};

        assert_int_equal(cpu_apic_id(&t, ids[i].index), ids[i].id);
    }
}

static void topology_is_told_in_each_leaf(void **state)
{
    struct cpuid_table t =
        guest_of(host("AuthenticAMD"), "host", 3, 2, 9, NULL); /* package 1, core 1, thread 1 */

    assert_int_equal(reg(t, 1, 0, CPUID_EBX), 11u << 24 | 8 << 16 | 8 << 8);
    assert_true(reg(t, 1, 0, CPUID_EDX) & BIT(28));
    assert_int_equal(reg(t, 4, 0, CPUID_EAX) >> 14, 3 << 12 | 1);
    assert_int_equal(reg(t, 4, 3, CPUID_EAX) >> 14, 3 << 12 | 7);
    assert_int_equal(reg(t, 0xB, 0, CPUID_EAX), 1);
    assert_int_equal(reg(t, 0xB, 0, CPUID_EBX), 2);
    assert_int_equal(reg(t, 0xB, 0, CPUID_ECX), 0x100);
    assert_int_equal(reg(t, 0xB, 0, CPUID_EDX), 11);
    assert_int_equal(reg(t, 0xB, 1, CPUID_EAX), 3);
    assert_int_equal(reg(t, 0xB, 1, CPUID_EBX), 6);
    assert_int_equal(reg(t, 0xB, 1, CPUID_ECX), 0x201);
    assert_int_equal(reg(t, 0xB, 2, CPUID_ECX), 2);
    assert_int_equal(reg(t, 0x80000008, 0, CPUID_ECX), 3 << 12 | 5);
    assert_int_equal(reg(t, 0x8000001E, 0, CPUID_EAX), 11);
    assert_int_equal(reg(t, 0x8000001E, 0, CPUID_EBX), 0x101);
    assert_int_equal(reg(t, 0x8000001E, 0, CPUID_ECX), 1);
    t = guest("host");
    assert_int_equal(reg(t, 1, 0, CPUID_EBX), 1 << 16 | 8 << 8);
    assert_false(reg(t, 1, 0, CPUID_EDX) & BIT(28));
    assert_int_equal(reg(t, 0x80000008, 0, CPUID_ECX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_is_passed_on_but_for_what_cannot_move),
        cmocka_unit_test(each_flag_can_be_masked),
        cmocka_unit_test(what_needs_a_flag_goes_with_it),
        cmocka_unit_test(named_models_are_the_same_everywhere),
        cmocka_unit_test(what_the_host_lacks_is_said_and_enforce_refuses),
        cmocka_unit_test(words_of_the_model_can_be_set),
        cmocka_unit_test(apic_ids_have_a_field_for_each_level),
        cmocka_unit_test(topology_is_told_in_each_leaf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
