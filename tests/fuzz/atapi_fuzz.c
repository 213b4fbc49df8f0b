/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/harness.h"

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "piix3-ide"}, {.name = "ide-cd", .properties = {"drive", "cd"}, .bus = "ide.0"}},
};
