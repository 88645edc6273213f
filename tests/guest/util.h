/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of KVM_VM_SET_CPUID share: CPUID tables of any size, and a
 * guest that runs under any of them.
 */
#ifndef TESTS_GUEST_UTIL_H
#define TESTS_GUEST_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>

#include <linux/stringify.h>

#include "test_util.h"
#include "kvm_util.h"
#include "processor.h"

/* KVM's limit, KVM_MAX_CPUID_ENTRIES, isn't part of its uapi. */
#define CPUID_MAX_ENTRIES	256

#define CPUID_INDEXED		KVM_CPUID_FLAG_SIGNIFCANT_INDEX

/* splitmix64: good enough, and any two states give different sequences. */
static inline u64 next_random(u64 *state)
{
	u64 z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Each thread has its own sequence. */
static __thread u64 random_state;

static inline u32 random_u32(void)
{
	return next_random(&random_state);
}

static inline u32 random_below(u32 n)
{
	return random_u32() % n;
}

/* A register's value: often one that is special. */
static inline u32 random_value(void)
{
	switch (random_below(5)) {
	case 0:
		return 0;
	case 1:
		return ~0u;
	case 2:
		return BIT(random_below(32));
	case 3:
		return random_u32() & random_u32();
	default:
		return random_u32();
	}
}

/* The -t option: run only the cases that have this in their name. */
#define ONLY_CASES_HELP	" -t  only the cases that have TEXT in their name\n"
static const char *only_cases;

static inline bool is_wanted(const char *name)
{
	return !only_cases || strstr(name, only_cases);
}

/* For the tests that have no other option than to be quick; @what says what -q does. */
static inline bool is_quick(int argc, char *argv[], const char *what)
{
	bool is_quick = false;
	int opt;

	while ((opt = getopt(argc, argv, "hqt:")) != -1) {
		switch (opt) {
		case 'q':
			is_quick = true;
			break;
		case 't':
			only_cases = optarg;
			break;
		default:
			printf("usage: %s [-q] [-t TEXT]\n -q  %s\n" ONLY_CASES_HELP,
			       argv[0], what);
			exit(opt == 'h' ? 0 : 1);
		}
	}
	return is_quick;
}

/* For the tests that do something else each time. */
static inline u64 new_seed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec ^ now.tv_nsec ^ (u64)getpid() << 32;
}

/* For the tests that take as long as they are told to. */
static inline struct timespec time_in(int seconds)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	time.tv_sec += seconds;
	return time;
}

static inline bool is_past(const struct timespec *time)
{
	struct timespec now = time_in(0);

	return now.tv_sec > time->tv_sec ||
	       (now.tv_sec == time->tv_sec && now.tv_nsec >= time->tv_nsec);
}

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

/* What KVM uses where it knows that the index isn't significant, if sorted. */
static inline struct kvm_cpuid_entry2 *cpuid_first(struct kvm_cpuid2 *table, u32 function)
{
	int i;

	for (i = 0; i < table->nent; i++) {
		if (table->entries[i].function == function)
			return &table->entries[i];
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

static inline void shuffle(struct kvm_cpuid2 *t)
{
	struct kvm_cpuid_entry2 e;
	int i, j;

	for (i = t->nent - 1; i > 0; i--) {
		j = random_below(i + 1);
		e = t->entries[i];
		t->entries[i] = t->entries[j];
		t->entries[j] = e;
	}
}

/* The ioctls under test return 0 or an errno, as they fail on purpose. */
static inline int try_set_cpuid(struct kvm_vm *vm, struct kvm_cpuid2 *table)
{
	return __vm_ioctl(vm, KVM_VM_SET_CPUID, table) ? errno : 0;
}

static inline int try_get_cpuid(struct kvm_vm *vm, struct kvm_cpuid2 *table)
{
	return __vm_ioctl(vm, KVM_VM_GET_CPUID, table) ? errno : 0;
}

/* The VM's table, with room for more, unlike what the library's vm_get_cpuid() returns. */
static inline struct kvm_cpuid2 *get_table(struct kvm_vm *vm)
{
	struct kvm_cpuid2 *table = cpuid_alloc();

	table->nent = CPUID_MAX_ENTRIES;
	vm_ioctl(vm, KVM_VM_GET_CPUID, table);
	return table;
}

/*
 * Older kernels don't return the number of entries if KVM_GET_CPUID2 succeeds.  Then
 * what is behind them is still zero, as the caller left it.
 */
static inline void cpuid_trim(struct kvm_cpuid2 *table)
{
	const struct kvm_cpuid_entry2 unused = { };

	if (table->nent != CPUID_MAX_ENTRIES)
		return;

	while (table->nent && !memcmp(&table->entries[table->nent - 1], &unused, sizeof(unused)))
		table->nent--;
}

static inline struct kvm_cpuid2 *vcpu_get_cpuid2(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid2 *table = cpuid_alloc();

	table->nent = CPUID_MAX_ENTRIES;
	vcpu_ioctl(vcpu, KVM_GET_CPUID2, table);
	cpuid_trim(table);
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
#define GUEST_OP_MONITOR	5
#define GUEST_OP_VMCALL		6	/* On AMD, KVM makes it VMMCALL. */

struct guest_op {
	u32 op;
	u32 eax;
	u32 ebx;
	u32 ecx;
	u32 edx;
};

extern const char vm_cpuid_guest_start[], vm_cpuid_guest_end[];

/* Of the tests that have code of their own. */
extern const char vm_cpuid_smm_start[], vm_cpuid_smm_end[];
extern const char vm_cpuid_loop_start[], vm_cpuid_loop_end[];

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
	"5:	cmp	$" __stringify(GUEST_OP_MONITOR) ", %ebp\n"
	"	jne	6f\n"
	"	monitor\n"
	"	jmp	9f\n"
	"6:	cmp	$" __stringify(GUEST_OP_VMCALL) ", %ebp\n"
	"	jne	7f\n"
	"	vmcall\n"
	"	jmp	9f\n"
	"7:	out	%al, $0x80\n"
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

static inline void guest_write(struct kvm_vcpu *vcpu, u32 op, u32 ecx, u64 value)
{
	struct guest_op guest_op = {
		.op = op,
		.eax = value,
		.ecx = ecx,
		.edx = value >> 32,
	};

	guest_run(vcpu, &guest_op, 1);
}

/*
 * A case takes well below a second, or some seconds in an emulated machine.  There, a
 * kernel that looks for bugs takes many times as long.
 */
#define CASE_TIMEOUT_S	300

/* Legacy plus XSAVE header: what XCR0 needs when only x87 state is enabled. */
#define XSTATE_MIN_SIZE	576

#define BIT_SSE3	BIT(0)
#define BIT_MWAIT	BIT(3)
#define BIT_VMX		BIT(5)
#define BIT_XSAVE	BIT(26)
#define BIT_OSXSAVE	BIT(27)
#define BIT_APIC	BIT(9)
#define BIT_PKU		BIT(3)
#define BIT_OSPKE	BIT(4)
#define BIT_XSAVEC	BIT(1)
#define BIT_XSAVES	BIT(3)
#define BIT_RTM		BIT(11)
#define BIT_INVTSC	BIT(8)
#define BIT_HV_INVTSC	BIT(15)
#define BIT_PV_UNHALT	BIT(7)
#define BIT_XEN_VCPU_ID	BIT(3)

/* Failures of the case at hand; each case runs in a process of its own. */
static int nr_failures;

#define EXPECT(cond, fmt, ...)							\
do {										\
	/* The first few say it all, more would bury them. */			\
	if (!(cond) && nr_failures++ < 16)					\
		ksft_print_msg("line %d: " fmt "\n", __LINE__, ##__VA_ARGS__);	\
} while (0)

#define EXPECT_ERRNO(what, seen, expected)					\
do {										\
	int __seen = (seen), __expected = (expected);				\
										\
	EXPECT(__seen == __expected, "%s: expected errno %d (%s), got %d (%s)",	\
	       what, __expected, strerror(__expected), __seen, strerror(__seen)); \
} while (0)

#define EXPECT_U32(what, seen, expected)					\
do {										\
	u32 __seen = (seen), __expected = (expected);				\
										\
	EXPECT(__seen == __expected, "%s: expected 0x%x, got 0x%x",		\
	       what, __expected, __seen);					\
} while (0)

static inline __noreturn void skip_case(const char *why)
{
	ksft_print_msg("skipped: %s\n", why);
	exit(KSFT_SKIP);
}

static inline void expect_entry(const char *what, u32 id,
				const struct kvm_cpuid_entry2 *seen,
				const struct kvm_cpuid_entry2 *expected)
{
	EXPECT(!memcmp(seen, expected, sizeof(*seen)),
	       "%s, vCPU %u: expected 0x%x.0x%x flags 0x%x: %08x %08x %08x %08x, got 0x%x.0x%x flags 0x%x: %08x %08x %08x %08x, padding %x %x %x",
	       what, id, expected->function, expected->index, expected->flags,
	       expected->eax, expected->ebx, expected->ecx, expected->edx,
	       seen->function, seen->index, seen->flags,
	       seen->eax, seen->ebx, seen->ecx, seen->edx,
	       seen->padding[0], seen->padding[1], seen->padding[2]);
}

static inline void expect_table(const char *what, u32 id, const struct kvm_cpuid2 *seen,
				const struct kvm_cpuid2 *expected)
{
	int i;

	EXPECT_U32(what, seen->nent, expected->nent);
	EXPECT_U32(what, seen->padding, 0);
	for (i = 0; i < min(seen->nent, expected->nent); i++)
		expect_entry(what, id, &seen->entries[i], &expected->entries[i]);
}

/* How many bits number @n things. */
static inline unsigned int bits_for(unsigned int n)
{
	unsigned int bits = 0;

	while (BIT(bits) < n)
		bits++;
	return bits;
}

/* The ABI: core and node IDs. */
static inline void fill_node_ids(struct kvm_cpuid2 *t, struct kvm_cpuid_entry2 *e, u32 id)
{
	const struct kvm_cpuid_entry2 *size = cpuid_first(t, 0x80000008);
	unsigned int smt_width = bits_for(((e->ebx >> 8) & 0xff) + 1);
	unsigned int node_bits = bits_for(((e->ecx >> 8) & 7) + 1);
	unsigned int package_width = 0, node_width;

	if (size) {
		package_width = (size->ecx >> 12) & 0xf;
		if (!package_width)
			package_width = bits_for((size->ecx & 0xff) + 1);
	}
	node_width = package_width > node_bits ? package_width - node_bits : 0;

	e->ebx = (e->ebx & ~0xff) | (((id & (BIT(node_width) - 1)) >> smt_width) & 0xff);
	e->ecx = (e->ecx & ~0xff) | ((id >> node_width) & 0xff);
}

/* The ABI: the IDs of a vCPU, in a sorted table. */
static inline void fill_ids(struct kvm_cpuid2 *t, u32 id)
{
	struct kvm_cpuid_entry2 *e;

	for (e = t->entries; e < t->entries + t->nent; e++) {
		switch (e->function) {
		case 0x1:
			e->ebx = (e->ebx & ~0xff000000) | id << 24;
			break;
		case 0xb:
		case 0x1f:
		case 0x80000026:
			e->edx = id;
			break;
		case 0x8000001e:
			e->eax = id;
			fill_node_ids(t, e, id);
			break;
		}
	}
}

/*
 * The ABI: all fields that KVM always computes.  They are zero in the VM's table;
 * with @fill they are what a new vCPU has, which is also what the VMM of a twin
 * has to put in its copy.
 */
static inline struct kvm_cpuid2 *computed(const struct kvm_cpuid2 *table, bool fill, u32 id)
{
	struct kvm_cpuid2 *t = cpuid_copy(table);
	struct kvm_cpuid_entry2 *e;

	for (e = t->entries; e < t->entries + t->nent; e++) {
		if (!(e->flags & CPUID_INDEXED))
			e->index = 0;
	}
	cpuid_sort(t);
	fill_ids(t, id);

	e = cpuid_first(t, 0x1);
	if (e) {
		e->ecx &= ~BIT_OSXSAVE;
		e->edx &= ~BIT_APIC;
		if (fill)
			e->edx |= BIT_APIC;
	}
	e = cpuid_find(t, 0x7, 0);
	if (e)
		e->ecx &= ~BIT_OSPKE;
	e = cpuid_find(t, 0xd, 0);
	if (e)
		e->ebx = fill ? XSTATE_MIN_SIZE : 0;
	e = cpuid_find(t, 0xd, 1);
	if (e && e->eax & (BIT_XSAVEC | BIT_XSAVES))
		e->ebx = fill ? XSTATE_MIN_SIZE : 0;
	return t;
}

static inline struct kvm_cpuid2 *canonical(const struct kvm_cpuid2 *table)
{
	return computed(table, false, 0);
}

static inline struct kvm_cpuid2 *expected_cpuid(const struct kvm_cpuid2 *table, u32 id)
{
	return computed(table, true, id);
}

static inline void expect_vm_table(struct kvm_vm *vm, const struct kvm_cpuid2 *table)
{
	struct kvm_cpuid2 *expected = canonical(table), *seen = get_table(vm);

	expect_table("KVM_VM_GET_CPUID", -1, seen, expected);
	free(expected);
	free(seen);
}

static inline void expect_new_vcpu(struct kvm_vcpu *vcpu, const struct kvm_cpuid2 *table)
{
	struct kvm_cpuid2 *expected = expected_cpuid(table, vcpu->id);
	struct kvm_cpuid2 *seen = vcpu_get_cpuid2(vcpu);

	expect_table("KVM_GET_CPUID2", vcpu->id, seen, expected);
	free(expected);
	free(seen);
}

/* What the guest reads for each entry of @expected; the order doesn't matter. */
static inline void expect_guest(struct kvm_vcpu *vcpu, const struct kvm_cpuid2 *expected)
{
	struct kvm_cpuid2 *seen = cpuid_copy(expected);
	int i;

	guest_cpuid(vcpu, seen->entries, seen->nent);
	for (i = 0; i < seen->nent; i++)
		expect_entry("guest", vcpu->id, &seen->entries[i], &expected->entries[i]);
	free(seen);
}

static inline struct kvm_cpuid2 *supported_table(void)
{
	return cpuid_copy(kvm_get_supported_cpuid());
}

static inline void put_vendor(struct kvm_cpuid2 *t, u32 function, u32 max, const char *vendor)
{
	struct kvm_cpuid_entry2 e = { .function = function, .eax = max };

	/* Hypervisors have their signature in another order of registers. */
	memcpy(&e.ebx, vendor, 4);
	memcpy(function < 0x40000000 ? &e.edx : &e.ecx, vendor + 4, 4);
	memcpy(function < 0x40000000 ? &e.ecx : &e.edx, vendor + 8, 4);
	cpuid_put(t, e);
}

/* Leaves with fields that KVM computes; what the VMM leaves in these is junk. */
static const struct kvm_cpuid_entry2 topology_entries[] = {
	{ 0xb, 0, CPUID_INDEXED, 0x1, 0x2, 0x100, 0xdeadbeef },
	{ 0xb, 1, CPUID_INDEXED, 0x6, 0x40, 0x201, 0xdeadbee1 },
	{ 0x1f, 0, CPUID_INDEXED, 0x1, 0x2, 0x100, 0xcafe0000 },
	{ 0x1f, 1, CPUID_INDEXED, 0x5, 0x20, 0x201, 0xcafe0001 },
	{ 0x1f, 2, CPUID_INDEXED, 0x6, 0x40, 0x502, 0xcafe0002 },
	{ 0x80000000, 0, 0, 0x80000026, 0x1234, 0x5678, 0x9abc },
	{ 0x80000008, 0, 0, 0x3028, 0, 0x603f, 0 },
	{ 0x8000001e, 0, 0, 0xdeadbeef, 0xabcd015a, 0xabcd01a5, 0x77 },
	{ 0x80000026, 0, CPUID_INDEXED, 0x1, 0x2, 0x100, 0xdeadbeef },
	{ 0x80000026, 1, CPUID_INDEXED, 0x6, 0x40, 0x201, 0xdeadbeef },
};

static inline void put_topology(struct kvm_cpuid2 *t)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(topology_entries); i++)
		cpuid_put(t, topology_entries[i]);
}

static inline struct kvm_cpuid2 *topology_table(void)
{
	struct kvm_cpuid2 *t = supported_table();

	put_topology(t);
	put_vendor(t, 0, 0x1f, "AuthenticAMD");
	return t;
}

static inline void put_plain(struct kvm_cpuid2 *t, u32 function, u32 eax)
{
	cpuid_put(t, (struct kvm_cpuid_entry2) {
		  function, 0, 0, eax, function + 1, function + 2, function + 3 });
}

static inline struct kvm_cpuid2 *vendor_table(const char *vendor)
{
	struct kvm_cpuid2 *t = topology_table();
	int i;

	put_vendor(t, 0, 0x1f, vendor);
	put_vendor(t, 0x80000000, 0x80000026, vendor);
	/* Only Centaur has these, but others don't lack them for sure. */
	put_plain(t, 0xc0000000, 0xc0000003);
	for (i = 1; i <= 4; i++)
		put_plain(t, 0xc0000000 + i, i);
	return t;
}

static inline struct kvm_cpuid2 *intel_table(void)
{
	return vendor_table("GenuineIntel");
}

/* As many entries as KVM accepts, the added ones from the top down. */
static inline struct kvm_cpuid2 *full_table(void)
{
	struct kvm_cpuid_entry2 e = { .function = 0x20000000 };
	struct kvm_cpuid2 *t = topology_table();

	while (t->nent < CPUID_MAX_ENTRIES) {
		e.function--;
		e.eax = e.function * 0x9e3779b9;
		cpuid_put(t, e);
	}
	return t;
}

/* Hyper-V's leaves go where KVM's were, as every VMM does it. */
static inline struct kvm_cpuid2 *hyperv_table(void)
{
	struct kvm_cpuid2 *t = topology_table(), *hv = cpuid_alloc();
	int i, kvm_fd;

	if (!kvm_has_cap(KVM_CAP_SYS_HYPERV_CPUID))
		skip_case("no Hyper-V emulation");
	kvm_fd = open(KVM_DEV_PATH, O_RDWR);
	hv->nent = CPUID_MAX_ENTRIES;
	kvm_ioctl(kvm_fd, KVM_GET_SUPPORTED_HV_CPUID, hv);
	close(kvm_fd);

	for (i = 0; i < t->nent; i++) {
		if (t->entries[i].function >> 8 == 0x400000)
			t->entries[i].function += 0x100;
	}
	for (i = 0; i < hv->nent; i++)
		cpuid_put(t, hv->entries[i]);
	free(hv);
	return t;
}

/*
 * Does Hyper-V's control of the invariant TSC hide it from a guest?  Older kernels
 * don't have the control, or hide only what the host has.
 */
static inline bool hyperv_hides_invtsc(void)
{
	struct kvm_cpuid_entry2 seen = { .function = 0x80000007 };
	struct kvm_vm *vm = vm_cpuid_create_vm();
	struct kvm_cpuid2 *t = cpuid_alloc();
	struct kvm_vcpu *vcpu;

	cpuid_put(t, (struct kvm_cpuid_entry2) { .function = 0x40000001, .eax = 0x31237648 });
	cpuid_put(t, (struct kvm_cpuid_entry2) { .function = 0x40000003, .eax = BIT_HV_INVTSC });
	cpuid_put(t, (struct kvm_cpuid_entry2) { .function = 0x80000007, .edx = BIT_INVTSC });

	vcpu = __vm_vcpu_add(vm, 0);
	vcpu_ioctl(vcpu, KVM_SET_CPUID2, t);
	guest_cpuid(vcpu, &seen, 1);
	kvm_vm_free(vm);
	free(t);
	return !(seen.edx & BIT_INVTSC);
}

static inline struct kvm_cpuid2 *xen_table(void)
{
	struct kvm_cpuid_entry2 e = { .function = 0x40000204, .eax = BIT_XEN_VCPU_ID | 0x11,
				      .ebx = 0xdeadbeef, .ecx = 0x33, .edx = 0x44 };
	struct kvm_cpuid2 *t = topology_table();

	put_vendor(t, 0x40000200, 0x40000204, "XenVMMXenVMM");
	cpuid_put(t, e);
	return t;
}

static inline bool has_xen_vcpu_id(void)
{
	return kvm_check_cap(KVM_CAP_XEN_HVM) & KVM_XEN_HVM_CONFIG_EVTCHN_SEND;
}

static inline void set_xen_vcpu_id(struct kvm_vcpu *vcpu, u32 xen_id)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID,
		.u.vcpu_id = xen_id,
	};

	vcpu_ioctl(vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
}

/* The ABI: where a Xen vCPU ID goes once it is set, in a sorted table. */
static inline void fill_xen_id(struct kvm_cpuid2 *t, u32 xen_id)
{
	struct kvm_cpuid_entry2 *e;
	u32 base;

	for (base = 0x40000000; base < 0x40010000; base += 0x100) {
		e = cpuid_first(t, base);
		if (e && !memcmp(&e->ebx, "XenV", 4) && !memcmp(&e->ecx, "MMXe", 4) &&
		    !memcmp(&e->edx, "nVMM", 4))
			break;
	}
	for (e = t->entries; e < t->entries + t->nent && base < 0x40010000; e++) {
		if (e->function == base + 4 && e->eax & BIT_XEN_VCPU_ID)
			e->ebx = xen_id;
	}
}

/* A vCPU under the VM's table, and one that has its own copy. */
enum { UNDER_TABLE, WITH_COPY, NR_TWINS };

static inline void create_twin_vms(struct kvm_vm *vm[NR_TWINS], const struct kvm_cpuid2 *table,
				   bool local_apic)
{
	vm[UNDER_TABLE] = __vm_cpuid_create_vm(local_apic);
	vm[WITH_COPY] = __vm_cpuid_create_vm(local_apic);
	vm_set_cpuid(vm[UNDER_TABLE], table);
}

#define NO_XEN_ID	(~0u)

static inline void create_twins(struct kvm_vm *vm[NR_TWINS], u32 id, u32 xen_id,
				const struct kvm_cpuid2 *table, struct kvm_vcpu *vcpu[NR_TWINS])
{
	struct kvm_cpuid2 *copy = expected_cpuid(table, id);

	vcpu[UNDER_TABLE] = __vm_vcpu_add(vm[UNDER_TABLE], id);
	vcpu[WITH_COPY] = __vm_vcpu_add(vm[WITH_COPY], id);
	if (xen_id != NO_XEN_ID) {
		set_xen_vcpu_id(vcpu[UNDER_TABLE], xen_id);
		set_xen_vcpu_id(vcpu[WITH_COPY], xen_id);
		fill_xen_id(copy, xen_id);
	}
	vcpu_ioctl(vcpu[WITH_COPY], KVM_SET_CPUID2, copy);
	free(copy);
}

/* KVM_GET_CPUID2 returns the same for both, but not always what the guest reads. */
static inline void expect_same_host(struct kvm_vcpu *vcpu[NR_TWINS])
{
	struct kvm_cpuid2 *seen = vcpu_get_cpuid2(vcpu[UNDER_TABLE]);
	struct kvm_cpuid2 *expected = vcpu_get_cpuid2(vcpu[WITH_COPY]);

	expect_table("KVM_GET_CPUID2 and its twin's", vcpu[UNDER_TABLE]->id, seen, expected);
	free(expected);
	free(seen);
}

/* The IDs of vCPUs to test with, as many as KVM can have. */
static const u32 all_ids[] = { 0, 1, 6, 255, 256, 1000 };

static inline int count_ids(void)
{
	const u32 max = kvm_check_cap(KVM_CAP_MAX_VCPU_ID);
	int nr = 0;

	while (nr < ARRAY_SIZE(all_ids) && all_ids[nr] < max)
		nr++;
	return nr;
}

/*
 * A process for each case: one that hangs or dies in a TEST_ASSERT() fails alone,
 * and none has to clean up.
 */
static inline void run_case(void (*run)(const void *row), const void *row)
{
	const char *name = *(const char *const *)row;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		alarm(CASE_TIMEOUT_S);
		run(row);
		if (nr_failures)
			ksft_print_msg("%d expectations failed\n", nr_failures);
		exit(nr_failures ? KSFT_FAIL : KSFT_PASS);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");

	if (WIFSIGNALED(status))
		ksft_print_msg("%s\n", WTERMSIG(status) == SIGALRM ? "hangs" : "crashed");
	if (WIFEXITED(status) && WEXITSTATUS(status) == KSFT_SKIP)
		ksft_test_result_skip("%s\n", name);
	else
		ksft_test_result(WIFEXITED(status) && !WEXITSTATUS(status), "%s\n", name);
}

/* Every row begins with the name of its case. */
struct case_set {
	void (*run)(const void *row);
	const void *rows;
	size_t row_size;
	int nr;
};

static inline const void *get_row(const struct case_set *set, int i)
{
	return set->rows + i * set->row_size;
}

/* Doesn't return.  @print, if any, is called before the totals are printed. */
static inline void run_cases(const struct case_set *sets, int nr_sets, void (*print)(void))
{
	int i, j, nr_cases = 0;

	for (i = 0; i < nr_sets; i++) {
		for (j = 0; j < sets[i].nr; j++)
			nr_cases += is_wanted(*(const char *const *)get_row(&sets[i], j));
	}
	TEST_ASSERT(nr_cases, "No case has that text in its name");
	ksft_set_plan(nr_cases);

	for (i = 0; i < nr_sets; i++) {
		for (j = 0; j < sets[i].nr; j++) {
			if (is_wanted(*(const char *const *)get_row(&sets[i], j)))
				run_case(sets[i].run, get_row(&sets[i], j));
		}
	}

	if (print)
		print();
	ksft_finished();
}

#endif /* TESTS_GUEST_UTIL_H */
