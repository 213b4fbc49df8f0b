#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Network boot from UEFI: OVMF runs the EFI driver in each card's option ROM; see net-boot.sh.
# long
set -uo pipefail
. "$(dirname "$0")/../net-boot.sh"
firmware=/usr/share/ovmf/OVMF.fd
[ -r "$firmware" ] || { echo "skip - UEFI: $firmware is missing (Debian package ovmf)"; exit 0; }
boot_case 60 /boot/memtest86+x64.efi --vga std --put "$firmware" \
    -- -bios "$([ "${LAB:-kvm}" = here ] && echo "$firmware" || echo /lab/OVMF.fd)"
