/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A boot sector for the tests of migration: in its own code, by the timer's interrupts, it counts on the first serial line, a line
 * for each number: the number, in hexadecimal, and a sum over 64 KiB of memory that it fills with it.
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
    movw $0x2000, %ax
    movw %ax, %es
    cld
    xorl %ebp, %ebp
count:
    sti
    hlt /* the timer's interrupt: 18.2 a second */
    incl %ebp
    /* all of 2000:0000 to 2000:FFFF holds the number */
    movl %ebp, %eax
    xorw %di, %di
    movw $0x4000, %cx
    rep stosl
    movl %ebp, %eax
    call number
    movb $' ', %al
    call serial
    xorl %eax, %eax
    xorw %di, %di
    movw $0x40, %cx /* one number of each 1 KiB */
sum:
    addl %es:(%di), %eax
    addw $0x400, %di
    loop sum
    call number
    movb $'\r', %al
    call serial
    movb $'\n', %al
    call serial
    jmp count

number: /* EAX, eight digits */
    movw $8, %cx
digit:
    roll $4, %eax
    pushl %eax
    andb $15, %al
    cmpb $10, %al
    jb below
    addb $('A' - '0' - 10), %al
below:
    addb $'0', %al
    call serial
    popl %eax
    loop digit
    ret

serial: /* AL to 0x3F8, when the transmitter is empty */
    pushw %ax
    movw $0x3FD, %dx
wait:
    inb %dx, %al
    testb $0x20, %al
    jz wait
    popw %ax
    movw $0x3F8, %dx
    outb %al, %dx
    ret

    .org 510
    .word 0xAA55
