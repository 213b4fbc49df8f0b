#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Linux' pcnet32 drives the PCnet-PCI II.
# long
set -uo pipefail
. "$(dirname "$0")/../net-case.sh"
net_case pcnet32 pcnet
