/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows of each room, in the order of printing. */
#ifndef BENCH_TABLES_H
#define BENCH_TABLES_H

#include "bench/row.h"

extern const struct row_table board_rows, hold_rows, ide_rows, net_rows, screen_rows, usb_rows;

#endif
