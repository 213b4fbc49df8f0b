/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A CD's boot program for the tests of xl: says its line on the screen (INT 10h) and the first serial line, echoes keys, and at
 * some keys does what an operating system would:
 *   d  reads the CD's volume descriptor and says its name, or the BIOS's error number
 *   r  resets by the keyboard controller      9  resets by port 0xCF9
 *   o  powers off by PM1a_CNT (0xB004 under Xen; SLP_TYP 0 is S5 there)
 */
    .code16
    .globl _start
_start:
    ljmp $0, $start
start:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7C00, %sp
    cld
    movb %dl, drive
    movb $1, %ah /* no cursor, so that two pictures of the screen are the same */
    movw $0x2000, %cx
    int $0x10
    movw $text, %si
    call say
keys:
    xorb %ah, %ah
    int $0x16
    call put
    cmpb $'d', %al
    je disc
    cmpb $'r', %al
    je reset
    cmpb $'9', %al
    je reset_cf9
    cmpb $'o', %al
    jne keys
    movw $0xB004, %dx
    movw $0x2000, %ax
    outw %ax, %dx
    jmp keys
reset:
    movb $0xFE, %al
    outb %al, $0x64
    jmp keys
reset_cf9:
    movw $0xCF9, %dx
    movb $2, %al
    outb %al, %dx
    movb $6, %al
    outb %al, %dx
    jmp keys

disc:
    movw $1, packet + 2 /* after an error it says how much was read */
    movb $0x42, %ah
    movb drive, %dl
    movw $packet, %si
    int $0x13
    jc failed
    movw $name_is, %si
    call say
    movw $(0x8000 + 40), %si
    movb $0, 32(%si)
    call say
    jmp line_end
failed:
    pushw %ax
    movw $error_is, %si
    call say
    popw %ax
    movb %ah, %al
    shrb $4, %al
    call digit
    movb %ah, %al
    andb $15, %al
    call digit
line_end:
    movw $line, %si
    call say
    jmp keys

digit: /* AL 0 to 15 */
    addb $'0', %al
    cmpb $'9', %al
    jbe put
    addb $7, %al
    jmp put

say_on:
    call put
say: /* the text at SI */
    lodsb
    testb %al, %al
    jnz say_on
    ret

#include "put.inc"

drive:
    .byte 0
    .balign 4
packet: /* one block to 0:8000, from block 16 */
    .byte 16, 0, 1, 0
    .word 0x8000, 0
    .long 16, 0
text:
    .ascii "hvm-dm: the guest for xl is ready"
line:
    .asciz "\r\n"
name_is:
    .asciz "isc: "
error_is:
    .asciz "isc error "

    .org 510
    .word 0xAA55
