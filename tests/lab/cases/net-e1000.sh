#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Linux' e1000 drives the 82540EM.
# long
set -uo pipefail
. "$(dirname "$0")/../net-case.sh"
net_case e1000 e1000
