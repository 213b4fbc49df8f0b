#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Under xl, Linux' e1000 drives the 82540EM of model=e1000.
# long
set -uo pipefail
. "$(dirname "$0")/../xen-case.sh"
. tests/lab/net-case.sh
net_case e1000 e1000
