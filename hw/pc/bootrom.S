/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The option ROM that starts a kernel given by -kernel. It takes the boot interrupt; when the BIOS boots, it has fw_cfg put
 * the parts where kernel.c wants them (docs: hw/pc/kernel.h) and jumps: into Linux' real-mode setup (Linux
 * Documentation/x86/boot.rst), or into a multiboot kernel (Multiboot Specification 0.6.96, 3.2) in protected mode.
 */
    .code16
    .set DMA_LOW, 0x518
    .set DMA_READ_SELECT, 0x0A
    .set KERNEL_ADDR, 0x07
    .set KERNEL_SIZE, 0x08
    .set INITRD_ADDR, 0x0A
    .set INITRD_SIZE, 0x0B
    .set KERNEL_ENTRY, 0x10
    .set KERNEL_DATA, 0x11
    .set INITRD_DATA, 0x12
    .set CMDLINE_ADDR, 0x13
    .set CMDLINE_SIZE, 0x14
    .set CMDLINE_DATA, 0x15
    .set SETUP_ADDR, 0x16
    .set SETUP_SIZE, 0x17
    .set SETUP_DATA, 0x18

    .set BOOT_VECTOR, 0x19 * 4
    .set REQUEST, 0x7C00   /* a DMA request: control, length, address; big-endian */
    .set NUMBER, 0x7C10    /* a number that was read */
    .set MEMORY_MAP, 0x8000
    .set MEMORY_MAP_END, 0x8C00
    .set INFO, 0x7C20      /* address of the multiboot information */
    .set TABLE, 0x7C28     /* for LGDT */

    .globl _start
_start:
    .byte 0x55, 0xAA, 2    /* 1024 bytes */
    pushw %ds              /* offset 3: called by the BIOS */
    xorw %ax, %ax
    movw %ax, %ds
    movw $boot, BOOT_VECTOR
    movw %cs, BOOT_VECTOR + 2
    popw %ds
    lretw

boot:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $REQUEST, %esp

    movl $CMDLINE_ADDR | CMDLINE_SIZE << 8 | CMDLINE_DATA << 16, %esi
    call load
    movl $SETUP_ADDR | SETUP_SIZE << 8 | SETUP_DATA << 16, %esi
    call load
    movl $INITRD_ADDR | INITRD_SIZE << 8 | INITRD_DATA << 16, %esi
    call load
    movl %edi, INFO
    movl $KERNEL_ADDR | KERNEL_SIZE << 8 | KERNEL_DATA << 16, %esi
    call load

    movl $KERNEL_ENTRY, %eax
    call number
    testl %eax, %eax
    jnz multiboot

    /* Linux: the setup code at offset 0x200 of its segment, the stack at the end of its heap */
    movl $SETUP_ADDR, %eax
    call number
    shrl $4, %eax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl $0xE000, %esp
    addw $0x20, %ax
    pushw %ax
    pushw $0
    lretw

/* ESI: the keys of address, size and data. Returns the address in EDI. */
load:
    movl %esi, %eax
    andl $0xFF, %eax
    call number
    movl %eax, %edi
    shrl $8, %esi
    movl %esi, %eax
    andl $0xFF, %eax
    call number
    movl %eax, %ecx
    shrl $8, %esi
    movl %esi, %eax
    movl %edi, %edx
    jecxz 1f
    jmp dma
1:  ret

/* EAX: key. Returns the item's 32 bits in EAX. */
number:
    movl $4, %ecx
    movl $NUMBER, %edx
    call dma
    movl NUMBER, %eax
    ret

/* EAX: key, ECX: length, EDX: where to. */
dma:
    shll $16, %eax
    orl $DMA_READ_SELECT, %eax
    bswapl %eax
    bswapl %ecx
    bswapl %edx
    movl %eax, REQUEST
    movl %ecx, REQUEST + 4
    movl $0, REQUEST + 8
    movl %edx, REQUEST + 12
    movl $REQUEST, %eax
    bswapl %eax
    movw $DMA_LOW, %dx
    outl %eax, %dx
1:  movl REQUEST, %eax
    testl $0x01000000, %eax /* the error bit */
    jnz failed
    testl %eax, %eax
    jnz 1b
    ret

failed:
    movw $message, %si
1:  lodsb %cs:(%si), %al
    testb %al, %al
    jz 2f
    movb $0x0E, %ah
    movw $7, %bx
    int $0x10
    jmp 1b
2:  hlt
    jmp 2b
message:
    .asciz "The kernel could not be put into memory.\r\n"

/* EAX: entry. */
multiboot:
    pushl %eax
    movl INFO, %ebp

    /* The BIOS' memory map, each entry after its size */
    xorl %ebx, %ebx
    movw $MEMORY_MAP, %di
1:  movl $0xE820, %eax
    movl $20, %ecx
    movl $0x534D4150, %edx
    movl %ecx, (%di)
    addw $4, %di
    int $0x15
    jc 2f
    addw $20, %di
    testl %ebx, %ebx
    jz 3f
    cmpw $MEMORY_MAP_END, %di
    jb 1b
    jmp 3f
2:  subw $4, %di
3:  movzwl %di, %ecx
    subl $MEMORY_MAP, %ecx

    cli
    xorl %edx, %edx
    movw %cs, %dx
    shll $4, %edx
    leal descriptors(%edx), %eax
    movw $descriptors_end - descriptors - 1, TABLE
    movl %eax, TABLE + 2
    lgdtl TABLE
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    leal 1f(%edx), %eax
    pushl $8
    pushl %eax
    lretl
    .code32
1:  movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl %ecx, 44(%ebp)     /* mmap_length */
    movl $MEMORY_MAP, 48(%ebp)
    popl %ecx
    movl %ebp, %ebx
    movl $0x2BADB002, %eax
    jmp *%ecx

    .balign 8
descriptors:
    .quad 0
    .quad 0x00CF9B000000FFFF /* code, 4 GiB; accessed already, for the processor cannot note that in a ROM */
    .quad 0x00CF93000000FFFF /* data */
descriptors_end:
