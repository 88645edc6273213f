/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the project's own tests of KVM_VM_SET_CPUID share: options, random numbers, CPUID
 * tables, and the model of the ABI, which is also that of the unit tests.
 */
#ifndef TESTS_GUEST_UTIL_H
#define TESTS_GUEST_UTIL_H

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/stringify.h>

#include "test_util.h"
#include "kvm_util.h"
#include "processor.h"
#include "hyperv.h"

/* No test uses all of this. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "../unit/reference.h"

/* KVM's limit, KVM_MAX_CPUID_ENTRIES, isn't part of its uapi. */
#define CPUID_MAX_ENTRIES	256

#define CPUID_INDEXED		KVM_CPUID_FLAG_SIGNIFCANT_INDEX

#define JUNK			0xdeadbeef

/* Legacy plus XSAVE header: what XCR0 needs when only x87 state is enabled. */
#define XSTATE_MIN_SIZE		576

/*
 * A case takes much less than a second, or some seconds in an emulated machine, where a
 * kernel that looks for bugs takes many times as long.
 */
#define CASE_TIMEOUT_S		300

/* For cases that need nothing but a time limit. */
#define EMPTY_FIXTURE(name)							\
	FIXTURE(name) {};							\
	FIXTURE_SETUP(name) {}							\
	FIXTURE_TEARDOWN(name) {}

/* Options of tests that use the harness: -q, and -n or -b with a number. */
static bool quick;
static int number;

/* Take these options out of @argv, and leave the others to the harness. */
static inline void take_options(int *argc, char *argv[])
{
	int i, nr = 1;

	for (i = 1; i < *argc; i++) {
		if (!strcmp(argv[i], "-q"))
			quick = true;
		else if ((!strcmp(argv[i], "-n") || !strcmp(argv[i], "-b")) && i + 1 < *argc)
			number = atoi(argv[++i]);
		else
			argv[nr++] = argv[i];
	}
	argv[nr] = NULL;
	*argc = nr;
}

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

static inline bool one_in(u32 n)
{
	return !random_below(n);
}

/* A value for a register, often a special one. */
static inline u32 random_value(void)
{
	const u32 values[] = { 0, ~0u, BIT(random_below(32)), random_u32() & random_u32(),
			       random_u32() };

	return values[random_below(ARRAY_SIZE(values))];
}

/* For tests that differ each time. */
static inline u64 new_seed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec ^ now.tv_nsec ^ (u64)getpid() << 32;
}

/* An empty table, with room for one entry more than KVM accepts. */
static inline struct kvm_cpuid2 *cpuid_alloc(void)
{
	struct kvm_cpuid2 *t = allocate_kvm_cpuid2(CPUID_MAX_ENTRIES + 1);

	t->nent = 0;
	return t;
}

static inline struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *t, u32 function, u32 index)
{
	int i = ref_find(t->entries, t->nent, function, index);

	return i < 0 ? NULL : &t->entries[i];
}

/* Add @new, or replace the entry that clashes with it. */
static inline void cpuid_put(struct kvm_cpuid2 *t, struct kvm_cpuid_entry2 new)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(t, new.function, new.index);

	if (!e) {
		TEST_ASSERT(t->nent <= CPUID_MAX_ENTRIES, "Table is full");
		e = &t->entries[t->nent++];
	}
	*e = new;
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

static inline struct kvm_cpuid2 *supported_table(void)
{
	const struct kvm_cpuid2 *supported = kvm_get_supported_cpuid();
	struct kvm_cpuid2 *t = cpuid_alloc();

	memcpy(t, supported, kvm_cpuid2_size(supported->nent));
	return t;
}

/* With leaves that have IDs, which a VMM need not fill in. */
static inline struct kvm_cpuid2 *topology_table(void)
{
	static const struct kvm_cpuid_entry2 topology[] = {
		{ 0xb, 0, CPUID_INDEXED, 0x1, 0x2, 0x100, JUNK },
		{ 0xb, 1, CPUID_INDEXED, 0x6, 0x40, 0x201, JUNK },
		{ 0x1f, 0, CPUID_INDEXED, 0x1, 0x2, 0x100, JUNK },
		{ 0x1f, 1, CPUID_INDEXED, 0x5, 0x20, 0x201, JUNK },
		{ 0x1f, 2, CPUID_INDEXED, 0x6, 0x40, 0x502, JUNK },
		{ 0x8000001e, 0, 0, JUNK, 0xabcd015a, 0xabcd01a5, 0x77 },
		{ 0x80000026, 0, CPUID_INDEXED, 0x1, 0x2, 0x100, JUNK },
		{ 0x80000026, 1, CPUID_INDEXED, 0x6, 0x40, 0x201, JUNK },
	};
	struct kvm_cpuid2 *t = supported_table();
	int i;

	for (i = 0; i < ARRAY_SIZE(topology); i++)
		cpuid_put(t, topology[i]);
	cpuid_find(t, 0, 0)->eax = 0x1f;
	cpuid_find(t, 0x80000000, 0)->eax = 0x80000026;
	cpuid_find(t, 0x80000008, 0)->ecx = 0x603f;
	return t;
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

/* Hyper-V's leaves take the place of KVM's, as in every VMM. */
static inline struct kvm_cpuid2 *hyperv_table(void)
{
	const struct kvm_cpuid2 *hv = kvm_get_supported_hv_cpuid();
	struct kvm_cpuid2 *t = topology_table();
	int i;

	for (i = 0; i < t->nent; i++) {
		if (t->entries[i].function >> 8 == 0x400000)
			t->entries[i].function += 0x100;
	}
	for (i = 0; i < hv->nent; i++)
		cpuid_put(t, hv->entries[i]);
	return t;
}

/* A table that KVM accepts: one entry per function, or all with an index of their own. */
static inline struct kvm_cpuid2 *random_table(void)
{
	static const u32 functions[] = {
		0x0, 0x1, 0x2, 0x4, 0x7, 0xb, 0xd, 0x14, 0x1f, 0x20, 0x40000000, 0x40000001,
		0x40000003, 0x40000004, 0x40000100, 0x40000104, 0x4000ff00, 0x7fffffff, 0x80000000,
		0x80000001, 0x80000007, 0x80000008, 0x8000001e, 0x8000001f, 0x80000026,
		0xc0000000, 0xffffffff,
	};
	static const u32 indices[] = { 0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff };
	static const u32 sizes[] = { 1, 4, 16, 64, CPUID_MAX_ENTRIES };
	struct kvm_cpuid2 *t = one_in(3) ? topology_table() : cpuid_alloc();
	u32 nent = sizes[random_below(ARRAY_SIZE(sizes))], tries;

	for (tries = 0; t->nent < nent && tries < 4 * nent; tries++) {
		struct kvm_cpuid_entry2 e = {
			.function = tries < 40 ? functions[random_below(ARRAY_SIZE(functions))] :
						 random_u32() >> random_below(31),
			.index = indices[random_below(ARRAY_SIZE(indices))],
			.flags = one_in(4) ? 0 : CPUID_INDEXED,
			.eax = random_value(), .ebx = random_value(),
			.ecx = random_value(), .edx = random_value(),
		};

		/* An AMX feature needs a permission, and older kernels adjust SGX differently. */
		if (e.function == 0xd)
			e = (struct kvm_cpuid_entry2) { 0xd, e.index, e.flags, e.eax & 0x2ff, e.ebx };
		if (e.function == 0x80000008)
			e.eax = 0x3028;
		if ((e.function & 0xffff00ff) == 0x40000000 && one_in(2))
			memcpy(&e.ebx, "XenVMMXenVMM", 12);
		t->entries[t->nent] = e;
		if (e.function != 0x12 && !ref_bad_entry(t->entries, t->nent))
			t->nent++;
	}
	if (!t->nent)
		t->entries[t->nent++].function = 0x40000000;
	shuffle(t);
	return t;
}

/* The ABI: a vCPU's sorted table, without its state; with ID 0, the VM's. */
static inline struct kvm_cpuid2 *model_table(const struct kvm_cpuid2 *table, u32 id)
{
	struct kvm_cpuid2 *t = cpuid_alloc();
	int i;

	t->nent = table->nent;
	for (i = 0; i < t->nent; i++)
		t->entries[ref_rank(table->entries, t->nent, i)] =
			ref_entry(table->entries, t->nent, i, id);
	return t;
}

/* The ABI: a new vCPU's table, which is also what its VMM would have to set. */
static inline struct kvm_cpuid2 *model_new_vcpu(const struct kvm_cpuid2 *table, u32 id)
{
	struct kvm_cpuid2 *t = model_table(table, id);
	int i;

	for (i = 0; i < t->nent; i++) {
		if (!ref_is_runtime(t->entries, t->nent, i))
			continue;
		if (t->entries[i].function == 0x1)
			t->entries[i].edx |= BIT(X86_FEATURE_APIC.bit);
		else if (t->entries[i].function == 0xd)
			t->entries[i].ebx = XSTATE_MIN_SIZE;
	}
	return t;
}

static inline void assert_same_cpuid(const char *what, const struct kvm_cpuid2 *seen,
				     const struct kvm_cpuid2 *expected)
{
	const struct kvm_cpuid_entry2 *s = seen->entries, *e = expected->entries;
	int i;

	TEST_ASSERT(seen->nent == expected->nent, "%s: %u entries, not %u", what, seen->nent,
		    expected->nent);
	for (i = 0; i < seen->nent; i++)
		TEST_ASSERT(!memcmp(&s[i], &e[i], sizeof(*s)),
			    "%s: 0x%x.0x%x %08x %08x %08x %08x, not 0x%x.0x%x %08x %08x %08x %08x",
			    what, s[i].function, s[i].index, s[i].eax, s[i].ebx, s[i].ecx, s[i].edx,
			    e[i].function, e[i].index, e[i].eax, e[i].ebx, e[i].ecx, e[i].edx);
}

/* Compare with what KVM makes of @table; if that is NULL, the VM must have none. */
static inline void assert_vm_cpuid(struct kvm_vm *vm, const struct kvm_cpuid2 *table)
{
	struct kvm_cpuid2 *seen = vm_get_cpuid(vm), *expected;

	TEST_ASSERT(!seen == !table, "The VM has %s table", seen ? "a" : "no");
	if (!table)
		return;
	expected = model_table(table, 0);
	assert_same_cpuid("KVM_VM_GET_CPUID", seen, expected);
	free(expected);
	free(seen);
}

/*
 * In older kernels, KVM_GET_CPUID2 doesn't return the number of entries if it succeeds.
 * What is behind them is still zero then, as the caller left it.
 */
static inline struct kvm_cpuid2 *vcpu_table(int vcpu_fd)
{
	static const struct kvm_cpuid_entry2 unused;
	struct kvm_cpuid2 *t = cpuid_alloc();

	t->nent = CPUID_MAX_ENTRIES;
	TEST_ASSERT(!ioctl(vcpu_fd, KVM_GET_CPUID2, t), "KVM_GET_CPUID2: %s", strerror(errno));
	while (t->nent && !memcmp(&t->entries[t->nent - 1], &unused, sizeof(unused)))
		t->nent--;
	return t;
}

static inline void assert_new_vcpu(int vcpu_fd, u32 id, const struct kvm_cpuid2 *table)
{
	struct kvm_cpuid2 *seen = vcpu_table(vcpu_fd), *expected = model_new_vcpu(table, id);

	assert_same_cpuid("KVM_GET_CPUID2", seen, expected);
	free(expected);
	free(seen);
}

static inline void assert_errno(const char *what, int r, int error)
{
	TEST_ASSERT(error ? r < 0 && errno == error : r >= 0, "%s: wanted %s, got %s", what,
		    strerror(error), r < 0 ? strerror(errno) : "success");
}

/* Run the guest until it is done, or to its next GUEST_SYNC(), and return that argument. */
static inline u64 run_guest_code(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		return uc.args[1];
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	case UCALL_DONE:
		break;
	default:
		TEST_FAIL("Unexpected ucall: %lu", uc.cmd);
	}
	return 0;
}

#endif /* TESTS_GUEST_UTIL_H */
