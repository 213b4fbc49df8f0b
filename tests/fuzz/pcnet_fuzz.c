/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/harness.h"

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "pcnet", .properties = {"netdev", "wire", "mac", FUZZ_MAC, "romfile", ""}}},
};
