/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/harness.h"

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "i440fx", .properties = {"addr", "0.0"}},
                {.name = "piix3", .properties = {"addr", "1.0"}},
                {.name = "piix4-pm", .properties = {"addr", "1.3"}},
                {.name = "port92"},
                {.name = "pc-testdev"},
                {.name = "isa-debugcon", .properties = {"chardev", "line"}}},
};
