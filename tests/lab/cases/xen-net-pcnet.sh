#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Under xl, Linux' pcnet32 drives the Am79C970A of model=pcnet.
# long
set -uo pipefail
. "$(dirname "$0")/../xen-case.sh"
. tests/lab/net-case.sh
net_case pcnet32 pcnet
