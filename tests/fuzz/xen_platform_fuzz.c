/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/harness.h"

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "piix3-ide"},
                {.name = "ide-hd", .properties = {"drive", "disk"}, .bus = "ide.0"},
                {.name = "xen-platform"}},
};
