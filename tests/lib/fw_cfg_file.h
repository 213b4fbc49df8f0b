/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The firmware configuration device as firmware reads it: items by key, files by name, both by DMA. */
#ifndef TESTS_LIB_FW_CFG_FILE_H
#define TESTS_LIB_FW_CFG_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/qtest.h"

/* size bytes from the start of an item; what is beyond its end is zero. Uses memory from 2 MiB on. */
void fw_cfg_read_item(struct qtest *q, uint16_t key, void *data, uint32_t size);
/* The file's bytes with a NUL behind them, the caller's to free; NULL: there is none. key, size: or NULL. */
uint8_t *fw_cfg_read_file(struct qtest *q, const char *name, uint16_t *key, uint32_t *size);

#endif
