#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Under xl, Linux' 8139too drives the RTL8139, by -global rtl8139.revision.
# long
set -uo pipefail
. "$(dirname "$0")/../xen-case.sh"
. tests/lab/net-case.sh
net_case 8139too rtl8139 revision=0x10
