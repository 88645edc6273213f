/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest in 64 KiB of firmware: every CPU of the machine executes CPUID for all leaves
 * and writes what it reads to memory that the test has mapped, too (see guest.h).
 *
 * The first CPU wakes the others by INIT and SIPI, waits until all are done, and ends the
 * machine by a triple fault; or if told to stay, it halts, and looks now and then for
 * something to do.
 * A CPU gets its ID from its APIC's ID register, and thus not from CPUID.
 */
#include "guest.h"

#define MSR_APIC_BASE	0x1b
#define MSR_X2APIC_ID	0x802
#define MSR_X2APIC	0x800		/* and the register's offset / 16 */
#define APIC		0xfee00000
#define APIC_EOI	0xb0
#define APIC_SPIV	0xf0
#define SPIV_ENABLED	0x1ff
#define APIC_ICR	0x300
#define APIC_TIMER	0x320
#define TIMER_PERIODIC	0x20000
#define TIMER_VECTOR	32
#define APIC_COUNT	0x380
#define COUNT		20000000	/* ns */
#define APIC_DIVIDE	0x3e0
#define DIVIDE_BY_1	0xb
#define ICR_INIT	0xc4500		/* to all but this CPU */
#define ICR_SIPI	(0xc4600 | (SIPI_PAGE >> 12))
#define SIPI_PAGE	0x8000

#define CPU_HOTPLUG	0xcd8		/* of QEMU's q35 */

	.text
	.code16
	/* Both at 4 GiB - 64 KiB, after RESET, and in segment 0xf000. */
start16:
	cli
	lgdtl	%cs:gdtr - start16
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$8, $start32

	.code32
start32:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss

	/* %ebp: the CPU's ID; %esi: whether it is in x2APIC mode. */
	mov	$1, %eax
	cpuid
	mov	%ecx, %esi
	shr	$21, %esi
	and	$1, %esi
	jz	1f
	mov	$MSR_APIC_BASE, %ecx
	rdmsr
	or	$0xc00, %eax
	wrmsr
	mov	$MSR_X2APIC_ID, %ecx
	rdmsr
	mov	%eax, %ebp
	jmp	2f
1:	mov	APIC + 0x20, %ebp
	shr	$24, %ebp
2:
	/* Set what KVM must show in CPUID: OSXSAVE. */
	mov	$1, %eax
	cpuid
	test	$1 << 26, %ecx
	jz	3f
	mov	%cr4, %eax
	or	$1 << 18, %eax
	mov	%eax, %cr4
3:
	/* Only one CPU starts here by RESET. */
	mov	$MSR_APIC_BASE, %ecx
	rdmsr
	test	$1 << 8, %eax
	jnz	first_cpu

	mov	$4f, %esp
	jmp	dump
4:	lock incl MAILBOX + MAILBOX_DONE
halt:	hlt
	jmp	halt

first_cpu:
	movb	$0xea, SIPI_PAGE
	movl	$0xf0000000, SIPI_PAGE + 1
	/* Tell QEMU that this unplugs CPUs by their number. */
	mov	$CPU_HOTPLUG, %dx
	xor	%eax, %eax
	out	%eax, %dx
begin:
	movl	$0, MAILBOX + MAILBOX_DONE
	mov	$ICR_INIT, %eax
	mov	$APIC_ICR, %ecx
	mov	$1f, %esp
	jmp	apic
1:	mov	$ICR_SIPI, %eax
	mov	$APIC_ICR, %ecx
	mov	$2f, %esp
	jmp	apic
2:	mov	$3f, %esp
	jmp	dump
3:	lock incl MAILBOX + MAILBOX_DONE
4:	pause
	mov	MAILBOX + MAILBOX_DONE, %eax
	cmp	MAILBOX + MAILBOX_CPUS, %eax
	jb	4b

	mov	MAILBOX + MAILBOX_GO, %ebx
	cmpl	$0, MAILBOX + MAILBOX_STAY
	jne	stay
	mov	%ebx, MAILBOX + MAILBOX_READY
	lidt	no_idt
	int3

	/* Every 20 ms, look for something to do. */
stay:	lidt	idtr
	mov	$SPIV_ENABLED, %eax
	mov	$APIC_SPIV, %ecx
	mov	$1f, %esp
	jmp	apic
1:	mov	$DIVIDE_BY_1, %eax
	mov	$APIC_DIVIDE, %ecx
	mov	$1f, %esp
	jmp	apic
1:	mov	$TIMER_PERIODIC | TIMER_VECTOR, %eax
	mov	$APIC_TIMER, %ecx
	mov	$1f, %esp
	jmp	apic
1:	mov	$COUNT, %eax
	mov	$APIC_COUNT, %ecx
	mov	$1f, %esp
	jmp	apic
1:	mov	%ebx, MAILBOX + MAILBOX_READY
wait:	lea	SLOT_SIZE(%edi), %esp
	sti
	hlt

	/* The timer's interrupt. */
tick:	xor	%eax, %eax
	mov	$APIC_EOI, %ecx
	mov	$1f, %esp
	jmp	apic
1:	cmp	%ebx, MAILBOX + MAILBOX_GO
	jne	begin
	xor	%eax, %eax
	xchg	%eax, MAILBOX + MAILBOX_EJECT
	test	%eax, %eax
	jz	wait
	mov	$CPU_HOTPLUG, %dx
	out	%eax, %dx
	mov	$CPU_HOTPLUG + 4, %dx
	mov	$1 << 3, %al
	out	%al, %dx
	jmp	wait

	/* Write %eax to the APIC's register %ecx; return to %esp. */
apic:	test	%esi, %esi
	jnz	1f
	mov	%eax, APIC(%ecx)
	jmp	*%esp
1:	shr	$4, %ecx
	add	$MSR_X2APIC, %ecx
	xor	%edx, %edx
	wrmsr
	jmp	*%esp

	/*
	 * Write all of CPUID to this CPU's slot; return to %esp.  Read leaves up to one beyond
	 * the last, each with a few subleaves, 0xd with all of them.
	 */
dump:	mov	%ebp, %edi
	imul	$SLOT_SIZE, %edi
	add	$SLOTS, %edi
	movl	$0, SLOT_COUNT(%edi)
	mov	%esi, SLOT_X2APIC(%edi)
	mov	%esp, SLOT_SCRATCH(%edi)
	xor	%edx, %edx
	mov	%edx, SLOT_RANGE(%edi)
	lea	SLOT_RECORDS(%edi), %esp

range:	mov	SLOT_RANGE(%edi), %edx
	mov	ranges(,%edx,4), %eax
	cmp	$-1, %eax
	je	dumped
	incl	SLOT_RANGE(%edi)
	mov	%eax, SLOT_LEAF(%edi)
	mov	%eax, %edx
	add	$RANGE_MAX, %edx
	mov	%edx, SLOT_LAST(%edi)
	xor	%ecx, %ecx
	cpuid
	cmp	SLOT_LEAF(%edi), %eax	/* a base that isn't there has no last leaf */
	jae	1f
	mov	SLOT_LEAF(%edi), %eax
1:	inc	%eax
	cmp	SLOT_LAST(%edi), %eax
	ja	leaf
	mov	%eax, SLOT_LAST(%edi)

leaf:	movl	$0, SLOT_SUBLEAF(%edi)
subleaf:
	mov	SLOT_LEAF(%edi), %eax
	mov	SLOT_SUBLEAF(%edi), %ecx
	mov	%eax, 0(%esp)
	mov	%ecx, 4(%esp)
	cpuid
	mov	%eax, 8(%esp)
	mov	%ebx, 12(%esp)
	mov	%ecx, 16(%esp)
	mov	%edx, 20(%esp)
	add	$24, %esp
	incl	SLOT_COUNT(%edi)

	incl	SLOT_SUBLEAF(%edi)
	mov	$SUBLEAVES, %eax
	cmpl	$0xd, SLOT_LEAF(%edi)
	jne	1f
	mov	$64, %eax
1:	cmp	%eax, SLOT_SUBLEAF(%edi)
	jb	subleaf

	mov	SLOT_LEAF(%edi), %eax
	incl	SLOT_LEAF(%edi)
	cmp	SLOT_LAST(%edi), %eax
	jb	leaf
	jmp	range

dumped:	mov	MAILBOX + MAILBOX_GO, %eax
	mov	%eax, SLOT_GO(%edi)
	jmp	*SLOT_SCRATCH(%edi)

	.align	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdtr:	.word	. - gdt - 1
	.long	gdt
no_idt:	.word	0
	.long	0
idt:	.fill	TIMER_VECTOR, 8, 0
	.word	tick - start16, 8, 0x8e00, ROM >> 16
idtr:	.word	. - idt - 1
	.long	idt
	.align	4
ranges:	.long	0, 0x40000000, 0x40000100, 0x80000000, 0xc0000000, -1

	.org	0xfff0
	.code16
	jmp	start16
	.org	0x10000
