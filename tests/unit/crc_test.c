/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The check sequence of IEEE 802.3, which is found in large steps where it can be, against its definition. */
#include "net/net.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/wire.h"

enum { LONGEST = 1600 };

static void fill(uint8_t *data, size_t length)
{
    uint32_t x = 1;

    for (size_t i = 0; i < length; i++) {
        x = x * 1664525 + 1013904223;
        data[i] = x >> 24;
    }
}

static void each_length_has_its_sequence(void **state)
{
    uint8_t data[LONGEST];

    fill(data, sizeof(data));
    for (size_t length = 0; length <= sizeof(data); length += length < 300 ? 1 : 37)
        assert_int_equal(~net_crc(data, length), wire_crc(data, length));
}

static void it_matters_not_where_the_bytes_are(void **state)
{
    uint8_t data[LONGEST];

    for (size_t at = 0; at < 16; at++) {
        fill(data + at, 1514);
        assert_int_equal(~net_crc(data + at, 1514), wire_crc(data + at, 1514));
    }
}

static void each_bit_counts(void **state)
{
    uint8_t data[200];
    uint32_t whole;

    fill(data, sizeof(data));
    whole = net_crc(data, sizeof(data));
    for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
        data[bit / 8] ^= 1 << bit % 8;
        assert_int_not_equal(net_crc(data, sizeof(data)), whole);
        data[bit / 8] ^= 1 << bit % 8;
    }
}

static void a_check_sequence_behind_the_frame_leaves_the_known_rest(void **state)
{
    uint8_t data[1514 + 4];
    uint32_t fcs;

    fill(data, sizeof(data));
    fcs = ~net_crc(data, 1514);
    for (int i = 0; i < 4; i++)
        data[1514 + i] = fcs >> 8 * i;
    assert_int_equal(net_crc(data, sizeof(data)), 0xDEBB20E3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_length_has_its_sequence),
        cmocka_unit_test(it_matters_not_where_the_bytes_are),
        cmocka_unit_test(each_bit_counts),
        cmocka_unit_test(a_check_sequence_behind_the_frame_leaves_the_known_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
