/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of KVM_VM_SET_CPUID share: CPUID tables of any size, and a
 * guest that runs under any of them.
 */
#ifndef SELFTEST_KVM_VM_CPUID_UTIL_H
#define SELFTEST_KVM_VM_CPUID_UTIL_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/stringify.h>

#include "test_util.h"
#include "kvm_util.h"
#include "processor.h"

/* KVM's limit, KVM_MAX_CPUID_ENTRIES, isn't part of its uapi. */
#define CPUID_MAX_ENTRIES	256

#define CPUID_INDEXED		KVM_CPUID_FLAG_SIGNIFCANT_INDEX

/* An empty table, with room for one entry more than KVM accepts. */
static inline struct kvm_cpuid2 *cpuid_alloc(void)
{
	struct kvm_cpuid2 *table;

	table = calloc(1, sizeof(*table) + (CPUID_MAX_ENTRIES + 1) * sizeof(table->entries[0]));
	TEST_ASSERT(table, "Out of memory");
	return table;
}

static inline struct kvm_cpuid2 *cpuid_copy(const struct kvm_cpuid2 *src)
{
	struct kvm_cpuid2 *table = cpuid_alloc();

	table->nent = src->nent;
	memcpy(table->entries, src->entries, src->nent * sizeof(src->entries[0]));
	return table;
}

static inline struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *table, u32 function,
						  u32 index)
{
	struct kvm_cpuid_entry2 *e;
	int i;

	for (i = 0; i < table->nent; i++) {
		e = &table->entries[i];
		if (e->function == function && (!(e->flags & CPUID_INDEXED) || e->index == index))
			return e;
	}
	return NULL;
}

static inline u32 cpuid_reg(const struct kvm_cpuid_entry2 *e, int reg)
{
	const u32 regs[] = { e->eax, e->ebx, e->ecx, e->edx };

	return regs[reg];
}

/* Add @new, or put it in the place of the entry that it clashes with. */
static inline void cpuid_put(struct kvm_cpuid2 *table, struct kvm_cpuid_entry2 new)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, new.function, new.index);

	if (!e) {
		TEST_ASSERT(table->nent <= CPUID_MAX_ENTRIES, "Table is full");
		e = &table->entries[table->nent++];
	}
	*e = new;
}

static inline void cpuid_drop(struct kvm_cpuid2 *table, u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, function, index);

	if (e)
		*e = table->entries[--table->nent];
}

static inline int cpuid_compare(const void *a, const void *b)
{
	const struct kvm_cpuid_entry2 *l = a, *r = b;

	if (l->function != r->function)
		return l->function < r->function ? -1 : 1;
	if (l->index != r->index)
		return l->index < r->index ? -1 : 1;
	return 0;
}

static inline void cpuid_sort(struct kvm_cpuid2 *table)
{
	qsort(table->entries, table->nent, sizeof(table->entries[0]), cpuid_compare);
}

/* The ioctls under test return 0 or an errno, as they fail on purpose. */
static inline int __vm_set_cpuid(struct kvm_vm *vm, struct kvm_cpuid2 *table)
{
	return __vm_ioctl(vm, KVM_VM_SET_CPUID, table) ? errno : 0;
}

static inline int __vm_get_cpuid(struct kvm_vm *vm, struct kvm_cpuid2 *table)
{
	return __vm_ioctl(vm, KVM_VM_GET_CPUID, table) ? errno : 0;
}

static inline void vm_set_cpuid(struct kvm_vm *vm, const struct kvm_cpuid2 *table)
{
	struct kvm_cpuid2 *copy = cpuid_copy(table);

	vm_ioctl(vm, KVM_VM_SET_CPUID, copy);
	free(copy);
}

static inline struct kvm_cpuid2 *vm_get_cpuid(struct kvm_vm *vm)
{
	struct kvm_cpuid2 *table = cpuid_alloc();

	table->nent = CPUID_MAX_ENTRIES;
	vm_ioctl(vm, KVM_VM_GET_CPUID, table);
	return table;
}

static inline struct kvm_cpuid2 *vcpu_get_cpuid2(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid2 *table = cpuid_alloc();

	table->nent = CPUID_MAX_ENTRIES;
	vcpu_ioctl(vcpu, KVM_GET_CPUID2, table);
	return table;
}

/*
 * The guest runs in flat 32-bit protected mode without paging, so that it needs
 * no feature that a table under test may lack, and has no C code, stack or
 * descriptor tables: an unexpected exception is a triple fault.  It executes
 * the operations that it finds in memory, and leaves there what it got.
 */
#define GUEST_CODE_GPA		0x1000
#define GUEST_OPS_GPA		0x2000
#define GUEST_NR_PAGES		8
#define GUEST_MAX_OPS		((GUEST_NR_PAGES - 1) * 4096 / sizeof(struct guest_op) - 1)

#define GUEST_OP_DONE		0
#define GUEST_OP_CPUID		1
#define GUEST_OP_RDMSR		2
#define GUEST_OP_WRMSR		3
#define GUEST_OP_SET_CR4	4

struct guest_op {
	u32 op;
	u32 eax;
	u32 ebx;
	u32 ecx;
	u32 edx;
};

extern const char vm_cpuid_guest_start[], vm_cpuid_guest_end[];

asm(".pushsection .rodata\n"
	".code32\n"
	"vm_cpuid_guest_start:\n"
	"	mov	%edi, %esi\n"
	"1:	mov	4(%esi), %eax\n"
	"	mov	12(%esi), %ecx\n"
	"	mov	16(%esi), %edx\n"
	"	mov	(%esi), %ebp\n"
	"	cmp	$" __stringify(GUEST_OP_CPUID) ", %ebp\n"
	"	jne	2f\n"
	"	cpuid\n"
	"	jmp	9f\n"
	"2:	cmp	$" __stringify(GUEST_OP_RDMSR) ", %ebp\n"
	"	jne	3f\n"
	"	rdmsr\n"
	"	jmp	9f\n"
	"3:	cmp	$" __stringify(GUEST_OP_WRMSR) ", %ebp\n"
	"	jne	4f\n"
	"	wrmsr\n"
	"	jmp	9f\n"
	"4:	cmp	$" __stringify(GUEST_OP_SET_CR4) ", %ebp\n"
	"	jne	5f\n"
	"	mov	%eax, %cr4\n"
	"	jmp	9f\n"
	"5:	out	%al, $0x80\n"
	"	jmp	vm_cpuid_guest_start\n"
	"9:	mov	%eax, 4(%esi)\n"
	"	mov	%ebx, 8(%esi)\n"
	"	mov	%ecx, 12(%esi)\n"
	"	mov	%edx, 16(%esi)\n"
	"	add	$20, %esi\n"
	"	jmp	1b\n"
	"vm_cpuid_guest_end:\n"
	".code64\n"
	".popsection\n");

/* A VM that can run the guest and has no vCPU yet. */
static inline struct kvm_vm *__vm_cpuid_create_vm(bool local_apic)
{
	struct kvm_vm *vm = vm_create_barebones();

	if (local_apic)
		vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, GUEST_CODE_GPA, 0,
				    GUEST_NR_PAGES, 0);
	memcpy(addr_gpa2hva(vm, GUEST_CODE_GPA), vm_cpuid_guest_start,
	       vm_cpuid_guest_end - vm_cpuid_guest_start);
	return vm;
}

static inline struct kvm_vm *vm_cpuid_create_vm(void)
{
	return __vm_cpuid_create_vm(true);
}

static inline void guest_init(struct kvm_vcpu *vcpu)
{
	struct kvm_mp_state mp_state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 0x8, .type = 0xb,
		.present = 1, .db = 1, .s = 1, .g = 1,
	};
	struct kvm_segment data = code;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_sregs_get(vcpu, &sregs);
	if (sregs.cr0 & X86_CR0_PE)
		return;

	data.selector = 0x10;
	data.type = 0x3;

	sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;
	sregs.idt.limit = 0;
	vcpu_sregs_set(vcpu, &sregs);

	vcpu_regs_get(vcpu, &regs);
	regs.rip = GUEST_CODE_GPA;
	regs.rdi = GUEST_OPS_GPA;
	vcpu_regs_set(vcpu, &regs);
	vcpu_mp_state_set(vcpu, &mp_state);
}

static inline void guest_run(struct kvm_vcpu *vcpu, struct guest_op *ops, int nr)
{
	struct guest_op *mem = addr_gpa2hva(vcpu->vm, GUEST_OPS_GPA);

	TEST_ASSERT(nr <= GUEST_MAX_OPS, "Too many operations: %d", nr);
	memcpy(mem, ops, nr * sizeof(*ops));
	mem[nr].op = GUEST_OP_DONE;

	guest_init(vcpu);
	vcpu_run(vcpu);
	TEST_ASSERT(vcpu->run->exit_reason == KVM_EXIT_IO, "vCPU %u exited with %u (%s)",
		    vcpu->id, vcpu->run->exit_reason, exit_reason_str(vcpu->run->exit_reason));

	memcpy(ops, mem, nr * sizeof(*ops));
}

/* Let the guest execute CPUID for the function and index of each entry. */
static inline void guest_cpuid(struct kvm_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, int nr)
{
	struct guest_op *ops = calloc(nr, sizeof(*ops));
	int i;

	TEST_ASSERT(ops, "Out of memory");
	for (i = 0; i < nr; i++) {
		ops[i].op = GUEST_OP_CPUID;
		ops[i].eax = entries[i].function;
		ops[i].ecx = entries[i].index;
	}

	guest_run(vcpu, ops, nr);

	for (i = 0; i < nr; i++) {
		entries[i].eax = ops[i].eax;
		entries[i].ebx = ops[i].ebx;
		entries[i].ecx = ops[i].ecx;
		entries[i].edx = ops[i].edx;
	}
	free(ops);
}

#endif /* SELFTEST_KVM_VM_CPUID_UTIL_H */
