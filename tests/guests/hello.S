/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A boot sector that says its line on the screen (INT 10h) and the first serial line, answers keys by echoing them, and at the
 * key 'x' executes an x87 instruction, which the KVM of a host without virtualisation hardware does not emulate.
 */
    .code16
    .globl _start
_start:
    ljmp $0, $start
start:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x7C00, %sp
    cld
    movw $text, %si
say:
    lodsb
    testb %al, %al
    jz keys
    call put
    jmp say
keys:
    xorb %ah, %ah
    int $0x16
    call put
    cmpb $'x', %al
    jne keys
    fld1
    fstp %st(0)
    movb $'+', %al /* it was executed */
    call put
    jmp keys

#include "put.inc"

text:
    .asciz "hvm-dm: hello from a boot sector\r\n"

    .org 510
    .word 0xAA55
