/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/harness.h"

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "isa-serial", .properties = {"chardev", "line"}}},
};
