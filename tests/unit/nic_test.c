/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is the same for all network cards: how they are asked for, their addresses, and mistakes in that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"

static const struct card {
    const char *model;
    uint16_t vendor, device;
    uint16_t address; /* where in BAR 0 the station address is */
} cards[] = {{"rtl8139", 0x10EC, 0x8139, 0}, {"pcnet", 0x1022, 0x2000, 0}, {"e1000", 0x8086, 0x100E, 0x5400}};
enum { CARDS = sizeof(cards) / sizeof(cards[0]) };

static uint64_t address_of(struct qpci *pci, const struct card *card)
{
    uint64_t base = qpci_map(pci, 0) + card->address;
    uint64_t low, high;

    qpci_enable(pci);
    if (qpci_bar_is_io(pci, 0)) {
        low = qtest_inl(pci->q, base);
        high = qtest_inw(pci->q, base + 4);
    } else {
        low = qtest_readl(pci->q, base);
        high = qtest_readl(pci->q, base + 4) & 0xFFFF;
    }
    return low | high << 32;
}

/* The address of the only card in a machine made with these options. */
static uint64_t made(void **state, const struct card *card, const char *options)
{
    struct qpci pci;
    uint64_t address;

    *state = qtest_startf("-nodefaults -vga none %s", options);
    pci = qpci_get(*state, card->vendor, card->device);
    address = address_of(&pci, card);
    qtest_stop(*state);
    *state = NULL;
    return address;
}

static void every_way_to_ask_for_one(void **state)
{
    static const char *const ways[][2] = {
        {"-device ", ",mac=02:11:22:33:44:55"},
        {"-nic user,model=", ",mac=02:11:22:33:44:55"},
        {"-net nic,model=", ",macaddr=02:11:22:33:44:55 -net user"},
        {"-netdev user,id=w -device ", ",netdev=w,mac=02:11:22:33:44:55"},
    };
    char options[200];

    for (int i = 0; i < CARDS; i++)
        for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
            snprintf(options, sizeof(options), "%s%s%s", ways[k][0], cards[i].model, ways[k][1]);
            assert_int_equal(made(state, &cards[i], options), 0x554433221102);
        }
}

/* Made from the guest's name: the same each time, never that of a group. */
static void addresses_of_their_own(void **state)
{
    char options[200], other[200];
    uint64_t address;

    for (int i = 0; i < CARDS; i++) {
        snprintf(options, sizeof(options), "-name one -device %s,addr=5", cards[i].model);
        snprintf(other, sizeof(other), "-name two -device %s,addr=5", cards[i].model);
        address = made(state, &cards[i], options);
        assert_int_equal(address & 0xFFFFFF, 0x005452);
        assert_int_equal(made(state, &cards[i], options), address);
        assert_int_not_equal(made(state, &cards[i], other), address);
        snprintf(other, sizeof(other), "-name one -device %s,addr=6", cards[i].model);
        assert_int_not_equal(made(state, &cards[i], other), address);
    }
}

static void refused(const char *words, const char *options)
{
    char *said;

    assert_int_equal(qtest_start_failing(options, &said), 1);
    assert_non_null(strstr(said, words));
    free(said);
}

static void mistakes_are_told(void **state)
{
    char options[200];

    for (int i = 0; i < CARDS; i++) {
        snprintf(options, sizeof(options), "-accel qtest -device %s,netdev=x", cards[i].model);
        refused("there is no network 'x'", options);
        snprintf(options, sizeof(options), "-accel qtest -device %s,mac=01:00:00:00:00:00", cards[i].model);
        refused("multicast", options);
        snprintf(options, sizeof(options), "-accel qtest -device %s,mac=52:54:00:12:34", cards[i].model);
        refused("mac", options);
        snprintf(options, sizeof(options),
                 "-accel qtest -netdev user,id=w -device %s,netdev=w,id=a -device %s,netdev=w",
                 cards[i].model, cards[i].model);
        refused("has a card already: a", options);
    }
    refused("network card 'pcnets'", "-accel qtest -nic user,model=pcnets");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(every_way_to_ask_for_one),
        qtest_unit_test(addresses_of_their_own),
        cmocka_unit_test(mistakes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
