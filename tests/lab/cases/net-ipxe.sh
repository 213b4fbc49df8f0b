#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Network boot from the BIOS; see net-boot.sh.
# long
set -uo pipefail
. "$(dirname "$0")/../net-boot.sh"
boot_case 20 /boot/memtest86+x64.bin --
