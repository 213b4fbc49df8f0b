/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A multiboot kernel: says on the serial line what it was given, then powers off by resetting (the test runs -no-reboot). */
    .code32
    .section .text
    .align 4
header:
    .long 0x1BADB002, 3, -(0x1BADB002 + 3)

    .globl _start
_start:
    movl $stack, %esp
    movl %ebx, %ebp
    cmpl $0x2BADB002, %eax
    jne bad
    movl $hello, %esi
    call puts
    movl 16(%ebp), %esi     /* command line */
    call puts
    movl $map, %esi
    call puts
    cmpl $24, 44(%ebp)      /* at least one entry of the memory map */
    jb bad
    cmpl $0, unset          /* .bss is zero */
    jne bad
    movl 20(%ebp), %ecx     /* modules */
    movl 24(%ebp), %edi
next:
    jecxz done
    pushl %ecx
    movl $module, %esi
    call puts
    movl 8(%edi), %esi
    call puts
    movl $equals, %esi
    call puts
    movl (%edi), %esi
    movl 4(%edi), %ecx
    subl %esi, %ecx
1:  lodsb
    call put
    loop 1b
    addl $16, %edi
    popl %ecx
    decl %ecx
    jmp next
done:
    movl $end, %esi
    call puts
    jmp reset
bad:
    movl $wrong, %esi
    call puts
reset:
    movb $0xFE, %al
    outb %al, $0x64
    hlt
    jmp reset

puts:
    lodsb
    testb %al, %al
    jz 1f
    call put
    jmp puts
1:  ret

put:
    movb %al, %ah
    movw $0x3FD, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    movb %ah, %al
    movw $0x3F8, %dx
    outb %al, %dx
    ret

hello:  .asciz "multiboot: "
map:    .asciz "\r\nmap "
module: .asciz "\r\nmodule "
equals: .asciz ": "
end:    .asciz "\r\nend\r\n"
wrong:  .asciz "\r\nwrong\r\n"

    .section .bss
unset:  .skip 4096
    .skip 4096
stack:
