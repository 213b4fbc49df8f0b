#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Linux' 8139cp drives the RTL8139C+.
# long
set -uo pipefail
. "$(dirname "$0")/../net-case.sh"
net_case 8139cp rtl8139 revision=0x20
