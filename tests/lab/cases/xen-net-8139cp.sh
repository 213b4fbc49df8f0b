#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Under xl, Linux' 8139cp drives the RTL8139C+ of model=rtl8139.
# long
set -uo pipefail
. "$(dirname "$0")/../xen-case.sh"
. tests/lab/net-case.sh
net_case 8139cp rtl8139
