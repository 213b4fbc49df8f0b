#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Under xl, the emulated card is unplugged, and Linux' xen-netfront goes on with netback on the same bridge.
# long
set -uo pipefail
. "$(dirname "$0")/../xen-case.sh"
. tests/lab/net-case.sh
net_case xen_netfront ''
