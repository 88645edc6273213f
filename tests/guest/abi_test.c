// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test KVM_VM_SET_CPUID and KVM_VM_GET_CPUID: one CPUID table for all vCPUs of a
 * VM, with the fields that differ from vCPU to vCPU filled in by KVM.
 *
 * What KVM should do is computed here from its documentation and, where that
 * says "as for a vCPU with its own table", taken from a twin: a vCPU of another
 * VM that got its own copy of the table by KVM_SET_CPUID2.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <linux/kvm_para.h>

#include "util.h"

#define MSR_HV_VP_INDEX		0x40000002

static int nr_ids;

/* KVM_GET_CPUID2 returns what the guest reads, whatever that is. */
static void expect_guest_agrees(struct kvm_vcpu *vcpu)
{
	struct kvm_cpuid2 *host = vcpu_get_cpuid2(vcpu);

	expect_guest(vcpu, host);
	free(host);
}

/* A few leaves of each kind, independent of the host. */
static const struct kvm_cpuid_entry2 small_entries[] = {
	{ 0x1, 0, 0, 0x000306a9, 0xee100800, 0x1 | BIT_OSXSAVE, 0x078bfbff },
	{ 0x7, 0, CPUID_INDEXED, 0x1, 0x20, BIT_OSPKE, 0x4 },
	{ 0xd, 0, CPUID_INDEXED, 0x3, 0x111, 0x240, 0 },
	{ 0xd, 1, CPUID_INDEXED, BIT_XSAVEC, 0x222, 0, 0 },
};

static struct kvm_cpuid2 *small_table(u32 max_basic, const char *vendor)
{
	struct kvm_cpuid2 *t = cpuid_alloc();
	int i;

	put_vendor(t, 0, max_basic, vendor);
	for (i = 0; i < ARRAY_SIZE(small_entries); i++)
		cpuid_put(t, small_entries[i]);
	put_topology(t);
	return t;
}

/* Without an index every subleaf is the same. */
static struct kvm_cpuid2 *plain_topology_table(void)
{
	struct kvm_cpuid2 *t = small_table(0x1f, "GenuineIntel");
	static const u32 functions[] = { 0xb, 0x1f, 0x80000026 };
	int i, j;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		for (j = 0; j < 3; j++)
			cpuid_drop(t, functions[i], j);
		cpuid_put(t, (struct kvm_cpuid_entry2) { functions[i], 1, 0, 1, 2, 3, 4 });
	}
	return t;
}

/* CR4 may then have less than the host's. */
static struct kvm_cpuid2 *few_features_table(void)
{
	struct kvm_cpuid2 *t = supported_table();

	cpuid_drop(t, 0x7, 0);
	return t;
}

static struct kvm_cpuid2 *single_entry_table(void)
{
	struct kvm_cpuid2 *t = cpuid_alloc();

	cpuid_put(t, (struct kvm_cpuid_entry2) { .function = 0x40000000, .eax = 1 });
	return t;
}

/* All of the table, its undefined subleaves, and what is out of its ranges. */
static void expect_same_guest(struct kvm_vcpu *vcpu[NR_TWINS], const struct kvm_cpuid2 *table)
{
	static const u32 functions[] = {
		0x2, 0xb, 0x1f, 0x20, 0x3fffffff, 0x40000000, 0x400000ff, 0x40000fff,
		0x7fffffff, 0x80000000, 0x8000001e, 0x80000026, 0x8fffffff, 0xc0000000, 0xffffffff,
	};
	static const u32 indices[] = { 0, 1, 2, 9, 0x109, 0xffffffff };
	const int nr_extra = ARRAY_SIZE(functions) * ARRAY_SIZE(indices);
	struct kvm_cpuid_entry2 seen[CPUID_MAX_ENTRIES + nr_extra];
	struct kvm_cpuid_entry2 expected[ARRAY_SIZE(seen)];
	int i, j, nr = table->nent;

	memset(seen, 0, sizeof(seen));
	memcpy(seen, table->entries, nr * sizeof(seen[0]));
	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		for (j = 0; j < ARRAY_SIZE(indices); j++, nr++) {
			seen[nr].function = functions[i];
			seen[nr].index = indices[j];
		}
	}
	memcpy(expected, seen, sizeof(seen));

	guest_cpuid(vcpu[UNDER_TABLE], seen, nr);
	guest_cpuid(vcpu[WITH_COPY], expected, nr);
	for (i = 0; i < nr; i++)
		expect_entry("guest and its twin", vcpu[UNDER_TABLE]->id, &seen[i], &expected[i]);
}

static void expect_reg(struct kvm_vcpu *vcpu, u32 function, u32 index, int reg, u32 mask,
		       u32 expected)
{
	struct kvm_cpuid2 *host = vcpu_get_cpuid2(vcpu);
	struct kvm_cpuid_entry2 guest = { .function = function, .index = index };
	struct kvm_cpuid_entry2 *e = cpuid_find(host, function, index);

	guest_cpuid(vcpu, &guest, 1);
	EXPECT((cpuid_reg(&guest, reg) & mask) == expected,
	       "guest of vCPU %u: 0x%x.0x%x E%cX: expected 0x%x in 0x%x, got 0x%x", vcpu->id,
	       function, index, "ABCD"[reg], expected, mask, cpuid_reg(&guest, reg));
	/* An undefined subleaf has a value in the guest's view only. */
	EXPECT(!e || (cpuid_reg(e, reg) & mask) == expected,
	       "KVM_GET_CPUID2 of vCPU %u: 0x%x.0x%x E%cX: expected 0x%x in 0x%x, got 0x%x",
	       vcpu->id, function, index, "ABCD"[reg], expected, mask, cpuid_reg(e, reg));
	free(host);
}

static void test_capability(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	EXPECT_U32("/dev/kvm", kvm_check_cap(KVM_CAP_VM_CPUID), CPUID_MAX_ENTRIES);
	EXPECT_U32("VM", vm_check_cap(vm, KVM_CAP_VM_CPUID), CPUID_MAX_ENTRIES);
}

static void test_get(void)
{
	struct kvm_cpuid2 *table = topology_table(), *expected = canonical(table);
	struct kvm_cpuid2 *seen = cpuid_alloc(), *untouched = cpuid_alloc();
	const u32 sizes[] = { 0, 1, table->nent - 1, table->nent, table->nent + 1,
			      CPUID_MAX_ENTRIES + 1, -1u };
	struct kvm_vm *vm = vm_cpuid_create_vm();
	size_t size = (CPUID_MAX_ENTRIES + 1) * sizeof(seen->entries[0]);
	int i, with_vcpu, r;

	memset(untouched->entries, 0x5a, size);

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		seen->nent = sizes[i];
		EXPECT_ERRNO("no table", try_get_cpuid(vm, seen), ENOENT);
		EXPECT_U32("nent without a table", seen->nent, sizes[i]);
	}

	vm_set_cpuid(vm, table);

	for (with_vcpu = 0; with_vcpu < 2; with_vcpu++) {
		if (with_vcpu)
			guest_init(__vm_vcpu_add(vm, 3));

		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			memcpy(seen->entries, untouched->entries, size);
			seen->nent = sizes[i];
			/* Ignored on input, zero on output. */
			seen->padding = 0x5a;
			r = try_get_cpuid(vm, seen);
			EXPECT_ERRNO("table", r, sizes[i] < table->nent ? E2BIG : 0);
			EXPECT_U32("nent", seen->nent, table->nent);
			if (!r)
				expect_table("table", -1, seen, expected);
			else
				EXPECT(!memcmp(seen->entries, untouched->entries, size),
				       "-E2BIG with nent %u wrote entries", sizes[i]);
			EXPECT(!memcmp(seen->entries + table->nent, untouched->entries,
				       size - table->nent * sizeof(seen->entries[0])),
			       "nent %u: wrote beyond the table", sizes[i]);
		}
	}
}

/* Neither order, nor computed fields, nor an index without a meaning matter. */
static void test_canonical(void)
{
	struct kvm_cpuid2 *table = topology_table(), *junk;
	struct kvm_cpuid_entry2 *e;
	struct kvm_vm *vm;
	int i;

	for (i = 0; i < 8; i++) {
		junk = expected_cpuid(table, i * 0x01010101);
		for (e = junk->entries; e < junk->entries + junk->nent; e++) {
			if (!(e->flags & CPUID_INDEXED))
				e->index = random_u32();
		}
		shuffle(junk);
		vm = vm_cpuid_create_vm();
		vm_set_cpuid(vm, junk);
		expect_vm_table(vm, table);
		expect_new_vcpu(__vm_vcpu_add(vm, 300), table);
		kvm_vm_free(vm);
		free(junk);
	}
}

/* The guest reads an entry without an index whatever it asks for. */
static void test_insignificant_index(void)
{
	struct kvm_cpuid_entry2 e = { .function = 0x4, .index = 7, .eax = 1, .edx = 4 };
	struct kvm_cpuid_entry2 seen[3] = {
		{ .function = 0x4 }, { .function = 0x4, .index = 7 },
		{ .function = 0x4, .index = -1u },
	};
	struct kvm_vm *vm = vm_cpuid_create_vm();
	struct kvm_cpuid2 *table = cpuid_alloc();
	int i;

	cpuid_put(table, e);
	vm_set_cpuid(vm, table);
	EXPECT_U32("index in the VM's table", get_table(vm)->entries[0].index, 0);
	EXPECT_U32("index in the argument", table->entries[0].index, 7);
	guest_cpuid(__vm_vcpu_add(vm, 0), seen, ARRAY_SIZE(seen));
	for (i = 0; i < ARRAY_SIZE(seen); i++) {
		e.index = seen[i].index;
		expect_entry("guest", 0, &seen[i], &e);
	}
}

static void test_fixed_point(void)
{
	struct kvm_cpuid2 *table = topology_table(), *first, *second;
	struct kvm_vm *a = vm_cpuid_create_vm(), *b = vm_cpuid_create_vm();

	shuffle(table);
	vm_set_cpuid(a, table);
	first = get_table(a);
	vm_set_cpuid(b, first);
	second = get_table(b);
	expect_table("GET, SET, GET", -1, second, first);
	vm_set_cpuid(a, first);
	expect_vm_table(a, table);
}

static void test_supported_as_is(void)
{
	struct kvm_vm *vm = vm_cpuid_create_vm();

	EXPECT_ERRNO("set", try_set_cpuid(vm, supported_table()), 0);
	expect_vm_table(vm, supported_table());
	expect_new_vcpu(__vm_vcpu_add(vm, 3), supported_table());
}

static void test_vcpu_table_as_is(void)
{
	struct kvm_vm *vm = vm_cpuid_create_vm(), *other = vm_cpuid_create_vm();
	struct kvm_cpuid2 *table = topology_table();
	struct kvm_vcpu *vcpu;

	vm_set_cpuid(vm, table);
	vcpu = __vm_vcpu_add(vm, 255);
	EXPECT_ERRNO("set", try_set_cpuid(other, vcpu_get_cpuid2(vcpu)), 0);
	expect_vm_table(other, table);
	expect_new_vcpu(__vm_vcpu_add(other, 3), table);
}

static void test_last_set_wins(void)
{
	struct kvm_vm *vm = vm_cpuid_create_vm();

	vm_set_cpuid(vm, full_table());
	vm_set_cpuid(vm, supported_table());
	vm_set_cpuid(vm, intel_table());
	expect_vm_table(vm, intel_table());
	expect_new_vcpu(__vm_vcpu_add(vm, 1), intel_table());
}

static void test_tables_are_per_vm(void)
{
	struct kvm_vm *a = vm_cpuid_create_vm(), *b = vm_cpuid_create_vm();
	struct kvm_vcpu *vcpu;

	vm_set_cpuid(a, intel_table());
	vm_set_cpuid(b, topology_table());
	vcpu = __vm_vcpu_add(b, 1);
	expect_new_vcpu(__vm_vcpu_add(a, 1), intel_table());
	kvm_vm_free(a);
	expect_new_vcpu(vcpu, topology_table());
	expect_vm_table(b, topology_table());
	expect_guest_agrees(vcpu);
}

static void test_set_after_vcpu(void)
{
	struct kvm_cpuid2 *table = topology_table();
	struct kvm_vm *vm = vm_cpuid_create_vm();
	struct kvm_vcpu *vcpu;
	int i;

	vm_set_cpuid(vm, table);
	vcpu = __vm_vcpu_add(vm, 0);

	for (i = 0; i < 2; i++) {
		EXPECT_ERRNO("another table", try_set_cpuid(vm, intel_table()), EBUSY);
		EXPECT_ERRNO("the same table", try_set_cpuid(vm, topology_table()), EBUSY);
		expect_vm_table(vm, table);
		expect_guest_agrees(vcpu);
	}
	expect_new_vcpu(__vm_vcpu_add(vm, 1), table);
}

static void *set_until_busy(void *arg)
{
	struct kvm_cpuid2 *tables[] = { intel_table(), topology_table() };
	struct kvm_vm *vm = arg;
	long i = 0;
	int r;

	do {
		r = try_set_cpuid(vm, tables[i++ % ARRAY_SIZE(tables)]);
	} while (!r);
	return (void *)(long)r;
}

/* Whichever set was last before -EBUSY, the vCPU has exactly that table. */
static void test_set_during_create(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	pthread_t thread;
	void *error;
	int i;

	for (i = 0; i < 25; i++) {
		vm = vm_cpuid_create_vm();
		vm_set_cpuid(vm, topology_table());
		TEST_ASSERT(!pthread_create(&thread, NULL, set_until_busy, vm), "pthread_create");
		usleep(i * 40);
		vcpu = __vm_vcpu_add(vm, 3);
		pthread_join(thread, &error);
		EXPECT_ERRNO("racing set", (long)error, EBUSY);
		expect_new_vcpu(vcpu, get_table(vm));
		kvm_vm_free(vm);
	}
}

/* A vCPU that could not be created, early or late, doesn't lock the table. */
static void test_set_after_failed_create(void)
{
	struct kvm_vm *vm = vm_cpuid_create_vm();
	struct rlimit old, none;
	int r;

	vm_enable_cap(vm, KVM_CAP_MAX_VCPU_ID, 2);
	vm_set_cpuid(vm, topology_table());
	r = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)2ul);
	EXPECT_ERRNO("vCPU id 2 of 2", r < 0 ? errno : 0, EINVAL);
	expect_vm_table(vm, topology_table());
	EXPECT_ERRNO("set after an early failure", try_set_cpuid(vm, intel_table()), 0);

	/* The file descriptor is the last thing that vCPU creation needs. */
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	r = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)1ul);
	EXPECT_ERRNO("vCPU without a file descriptor", r < 0 ? errno : 0, EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	expect_vm_table(vm, intel_table());
	EXPECT_ERRNO("set after a late failure", try_set_cpuid(vm, supported_table()), 0);

	expect_new_vcpu(__vm_vcpu_add(vm, 1), supported_table());
}

static int vcpu_ioctl_errno(struct kvm_vcpu *vcpu, unsigned long cmd, void *arg)
{
	return ioctl(vcpu->fd, cmd, arg) ? errno : 0;
}

static void test_vcpu_ioctls(void)
{
	struct kvm_cpuid2 *table = topology_table(), *equal, *t;
	struct kvm_vm *vm = vm_cpuid_create_vm();
	struct kvm_cpuid old = { };
	struct kvm_vcpu *vcpu;
	int after_run;
	u32 nent;

	vm_set_cpuid(vm, table);
	vcpu = __vm_vcpu_add(vm, 3);
	equal = vcpu_get_cpuid2(vcpu);

	for (after_run = 0; after_run < 2; after_run++) {
		EXPECT_ERRNO("KVM_SET_CPUID2, equal table",
			     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, equal), EBUSY);
		EXPECT_ERRNO("KVM_SET_CPUID2, VM's table",
			     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, table), EBUSY);
		EXPECT_ERRNO("KVM_SET_CPUID2, another table",
			     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, intel_table()), EBUSY);
		t = cpuid_copy(equal);
		for (nent = 0; nent <= CPUID_MAX_ENTRIES + 1; nent += CPUID_MAX_ENTRIES + 1) {
			t->nent = nent;
			EXPECT_ERRNO("KVM_SET_CPUID2, nent 0 or 257",
				     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, t), EBUSY);
			EXPECT_U32("KVM_SET_CPUID2, nent after -EBUSY", t->nent, nent);
			old.nent = nent;
			EXPECT_ERRNO("KVM_SET_CPUID, nent 0 or 257",
				     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID, &old), EBUSY);
		}
		t->nent = 1;
		EXPECT_ERRNO("KVM_SET_CPUID, one entry",
			     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID, t), EBUSY);

		expect_new_vcpu(vcpu, table);
		expect_guest(vcpu, equal);
	}
}

/* As if the VM had never had a table, and only as long as it has no vCPU. */
static void test_take_back(void)
{
	struct kvm_cpuid2 none = { }, *table = topology_table();
	struct kvm_vm *vm = vm_cpuid_create_vm(), *other = vm_cpuid_create_vm();
	struct kvm_cpuid2 *own = expected_cpuid(intel_table(), 3);
	struct kvm_vcpu *vcpu;

	EXPECT_ERRNO("nothing to take back", try_set_cpuid(vm, &none), 0);
	EXPECT_ERRNO("get", try_get_cpuid(vm, &none), ENOENT);
	vm_set_cpuid(vm, table);
	EXPECT_ERRNO("take back", try_set_cpuid(vm, &none), 0);
	EXPECT_ERRNO("get", try_get_cpuid(vm, &none), ENOENT);
	EXPECT_U32("nent", none.nent, 0);
	vm_set_cpuid(vm, table);
	expect_vm_table(vm, table);
	EXPECT_ERRNO("take back again", try_set_cpuid(vm, &none), 0);

	vcpu = __vm_vcpu_add(vm, 3);
	EXPECT_U32("entries of a new vCPU", vcpu_get_cpuid2(vcpu)->nent, 0);
	EXPECT_ERRNO("take back with a vCPU", try_set_cpuid(vm, &none), EBUSY);
	EXPECT_ERRNO("KVM_SET_CPUID2", vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, own), 0);
	expect_guest(vcpu, own);

	vm_set_cpuid(other, table);
	vcpu = __vm_vcpu_add(other, 3);
	EXPECT_ERRNO("take back with a vCPU", try_set_cpuid(other, &none), EBUSY);
	expect_vm_table(other, table);
	expect_new_vcpu(__vm_vcpu_add(other, 1), table);
}

/* What a VMM does that falls back to KVM_SET_CPUID2 with the struct that was refused. */
static void test_fallback(void)
{
	struct kvm_cpuid2 *table = expected_cpuid(topology_table(), 3), *whole;
	struct kvm_vm *vm = vm_cpuid_create_vm();
	struct kvm_vcpu *vcpu;

	/* KVM_SET_CPUID2 takes a second entry, and ignores it. */
	whole = cpuid_copy(table);
	table->entries[table->nent] = table->entries[1];
	table->entries[table->nent++].eax ^= 1;
	EXPECT_ERRNO("KVM_VM_SET_CPUID", try_set_cpuid(vm, table), EINVAL);
	EXPECT_U32("bad entry", table->padding, table->nent);

	vcpu = __vm_vcpu_add(vm, 3);
	EXPECT_ERRNO("KVM_SET_CPUID2", vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, table), 0);
	EXPECT_U32("entries", vcpu_get_cpuid2(vcpu)->nent, whole->nent + 1);
	expect_guest(vcpu, whole);
}

/* Without a table everything is as ever. */
static void test_no_table(void)
{
	struct kvm_cpuid2 *table = expected_cpuid(topology_table(), 3), *seen = cpuid_alloc();
	struct kvm_vm *vm = vm_cpuid_create_vm();
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, 3);
	struct kvm_regs regs;

	vcpu_regs_get(vcpu, &regs);
	EXPECT_U32("RDX", regs.rdx, 0x600);
	EXPECT_U32("entries of a new vCPU", vcpu_get_cpuid2(vcpu)->nent, 0);

	EXPECT_ERRNO("late set", try_set_cpuid(vm, topology_table()), EBUSY);
	seen->nent = CPUID_MAX_ENTRIES;
	EXPECT_ERRNO("get", try_get_cpuid(vm, seen), ENOENT);

	EXPECT_ERRNO("KVM_SET_CPUID2, nent 257",
		     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, &(struct kvm_cpuid2) { 257 }), E2BIG);
	EXPECT_ERRNO("KVM_SET_CPUID2, empty",
		     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, &(struct kvm_cpuid2) { 0 }), 0);
	EXPECT_ERRNO("KVM_SET_CPUID2",
		     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, intel_table()), 0);

	/* The VMM's order is kept. */
	shuffle(table);
	EXPECT_ERRNO("KVM_SET_CPUID2, again", vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, table), 0);
	expect_table("KVM_GET_CPUID2", 3, vcpu_get_cpuid2(vcpu), table);
	expect_guest(vcpu, table);

	EXPECT_ERRNO("KVM_SET_CPUID2 after KVM_RUN, equal table",
		     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, table), 0);
	EXPECT_ERRNO("KVM_SET_CPUID2 after KVM_RUN, another table",
		     vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, intel_table()), EINVAL);
}

static void test_efault(void)
{
	const size_t entry = sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *table = topology_table(), *t;
	size_t size = sizeof(*table) + table->nent * entry;
	/* How much of the table is mapped, the rest is not. */
	const size_t mapped[] = { 0, 4, sizeof(*table), sizeof(*table) + 1, sizeof(*table) + entry,
				  sizeof(*table) + entry + 20, size - 1 };
	struct kvm_vm *vm = vm_cpuid_create_vm();
	size_t area = 16 * 4096;
	char *end;
	int i;

	end = mmap(NULL, area + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(end != MAP_FAILED, "mmap");
	end += area;
	TEST_ASSERT(!mprotect(end, 4096, PROT_NONE), "mprotect");

	vm_set_cpuid(vm, full_table());
	for (i = 0; i < ARRAY_SIZE(mapped); i++) {
		t = (void *)(end - mapped[i]);
		memcpy(t, table, mapped[i]);
		EXPECT_ERRNO("set", try_set_cpuid(vm, t), EFAULT);
		if (mapped[i])
			t->nent = CPUID_MAX_ENTRIES;
		EXPECT_ERRNO("get", try_get_cpuid(vm, t), EFAULT);
		expect_vm_table(vm, full_table());
	}

	t = (void *)(end - size);
	memcpy(t, table, size);
	EXPECT_ERRNO("set, all mapped", try_set_cpuid(vm, t), 0);
	expect_new_vcpu(__vm_vcpu_add(vm, 3), table);
}

/* The argument is written only to say which entry is bad, or what size is needed. */
static void test_read_only(void)
{
	struct kvm_cpuid2 *table = topology_table(), *bad = topology_table(), *arg;
	struct kvm_vm *vm = vm_cpuid_create_vm();
	const size_t size = 4 * 4096;

	bad->entries[bad->nent - 1].padding[0] = 1;
	arg = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(arg != MAP_FAILED, "mmap");

	memcpy(arg, table, sizeof(*table) + table->nent * sizeof(table->entries[0]));
	TEST_ASSERT(!mprotect(arg, size, PROT_READ), "mprotect");
	EXPECT_ERRNO("set", try_set_cpuid(vm, arg), 0);
	expect_vm_table(vm, table);
	EXPECT_ERRNO("get", try_get_cpuid(vm, arg), EFAULT);

	TEST_ASSERT(!mprotect(arg, size, PROT_READ | PROT_WRITE), "mprotect");
	memcpy(arg, bad, sizeof(*bad) + bad->nent * sizeof(bad->entries[0]));
	TEST_ASSERT(!mprotect(arg, size, PROT_READ), "mprotect");
	EXPECT_ERRNO("set a bad table", try_set_cpuid(vm, arg), EINVAL);
	expect_vm_table(vm, table);
	expect_new_vcpu(__vm_vcpu_add(vm, 3), table);
}

/* AMX's XTILE_DATA needs arch_prctl(), which this process doesn't call. */
static void test_eperm(void)
{
	struct kvm_vm *vm = vm_cpuid_create_vm(), *other = vm_cpuid_create_vm();
	struct kvm_cpuid2 *table = topology_table(), *amx = topology_table();
	struct kvm_vcpu *vcpu = __vm_vcpu_add(other, 0);

	cpuid_put(amx, (struct kvm_cpuid_entry2) { 0xd, 0, CPUID_INDEXED, 0x7 | BIT(18) });

	vm_set_cpuid(vm, table);
	EXPECT_ERRNO("KVM_VM_SET_CPUID", try_set_cpuid(vm, amx), EPERM);
	EXPECT_U32("nent", amx->nent, table->nent);
	EXPECT_ERRNO("KVM_SET_CPUID2", vcpu_ioctl_errno(vcpu, KVM_SET_CPUID2, amx), EPERM);
	expect_vm_table(vm, table);
	expect_new_vcpu(__vm_vcpu_add(vm, 3), table);
}

struct simple_case {
	const char *name;
	void (*fn)(void);
};

static const struct simple_case simple_cases[] = {
	{ "capability is the largest table on /dev/kvm and the VM", test_capability },
	{ "get: -ENOENT, -E2BIG with the size, exact, larger", test_get },
	{ "get: canonical form for any order, index and junk", test_canonical },
	{ "get: GET, SET, GET is a fixed point, in another VM too", test_fixed_point },
	{ "set: KVM_GET_SUPPORTED_CPUID's table as it is", test_supported_as_is },
	{ "set: another vCPU's KVM_GET_CPUID2 as it is", test_vcpu_table_as_is },
	{ "set: again, the last one wins", test_last_set_wins },
	{ "set: each VM has its own table", test_tables_are_per_vm },
	{ "set: -EBUSY when there is a vCPU", test_set_after_vcpu },
	{ "set: -EBUSY while a vCPU is being created", test_set_during_create },
	{ "set: again after a failed KVM_CREATE_VCPU", test_set_after_failed_create },
	{ "set: nent 0 takes the table back", test_take_back },
	{ "set: a read-only argument", test_read_only },
	{ "set: an index that isn't significant", test_insignificant_index },
	{ "set: refused, then KVM_SET_CPUID2 with the same struct", test_fallback },
	{ "set: -EFAULT keeps the table", test_efault },
	{ "set: -EPERM for AMX without permission keeps the table", test_eperm },
	{ "vCPU: KVM_SET_CPUID and KVM_SET_CPUID2 are -EBUSY", test_vcpu_ioctls },
	{ "no table: KVM_SET_CPUID2 as ever", test_no_table },
};

static void run_simple_case(const void *row)
{
	((const struct simple_case *)row)->fn();
}

struct header_case {
	const char *name;
	u32 nent;
	u32 padding;
	int error;
};

static const struct header_case header_cases[] = {
	{ "nent: 1 is fine", 1, 0, 0 },
	{ "nent: 256 is fine", 256, 0, 0 },
	{ "nent: 257 is -E2BIG", 257, 0, E2BIG },
	{ "nent: UINT_MAX is -E2BIG", -1u, 0, E2BIG },
	{ "padding: 1 is -EINVAL", 256, 1, EINVAL },
	{ "padding: bit 31 is -EINVAL", 1, BIT(31), EINVAL },
	{ "padding: with nent 0 is -EINVAL", 0, 1, EINVAL },
	{ "padding: with nent 257 is -E2BIG", 257, 1, E2BIG },
};

/*
 * Set @table, expect @error, and that the VM has the right table thereafter.  What is
 * written is @padding at most.
 */
static void expect_set(struct kvm_cpuid2 *table, int error, u32 padding)
{
	struct kvm_vm *vm = vm_cpuid_create_vm(), *fresh = vm_cpuid_create_vm();
	const size_t size = (CPUID_MAX_ENTRIES + 1) * sizeof(table->entries[0]);
	struct kvm_cpuid2 *old = topology_table(), *before = cpuid_alloc();

	before->nent = table->nent;
	before->padding = table->padding;
	memcpy(before->entries, table->entries, size);

	/* Without an older table a failed set leaves none. */
	EXPECT_ERRNO("first set", try_set_cpuid(fresh, table), error);
	if (error)
		EXPECT_ERRNO("get", try_get_cpuid(fresh, cpuid_alloc()), ENOENT);

	vm_set_cpuid(vm, old);
	table->padding = before->padding;
	EXPECT_ERRNO("second set", try_set_cpuid(vm, table), error);
	EXPECT_U32("nent after the set", table->nent, before->nent);
	EXPECT_U32("padding after the set", table->padding, padding);
	EXPECT(!memcmp(table->entries, before->entries, size), "the entries have changed");
	expect_vm_table(vm, error ? old : table);
	expect_new_vcpu(__vm_vcpu_add(vm, 3), error ? old : table);
}

static void run_header_case(const void *row)
{
	const struct header_case *c = row;
	struct kvm_cpuid2 *table = full_table();

	/* The entry beyond the limit is there, so it's the count that KVM refuses. */
	table->entries[CPUID_MAX_ENTRIES].function = 0x2000;
	table->nent = c->nent;
	table->padding = c->padding;
	expect_set(table, c->error, c->padding);
}

struct entry_case {
	const char *name;
	/* The index of the bad entry that is to be reported, -1: the table is fine. */
	int bad;
	int nent;
	struct kvm_cpuid_entry2 entries[4];
};

#define PLAIN(f)	{ .function = (f) }
#define INDEXED(f, i)	{ .function = (f), .index = (i), .flags = CPUID_INDEXED }
#define FLAGS(f, bits)	{ .function = (f), .flags = (bits) }
#define PADDED(f, n)	{ .function = (f), .padding = { [n] = 1 } }
#define WIDTH(n)	{ .function = 0x80000008, .eax = 0xff0028 | (n) << 8 }

static const struct entry_case entry_cases[] = {
	{ "entry: padding[0]", 1, 3, { PLAIN(1), PADDED(2, 0), PLAIN(3) } },
	{ "entry: padding[1]", 1, 3, { PLAIN(1), PADDED(2, 1), PLAIN(3) } },
	{ "entry: padding[2]", 2, 3, { PLAIN(1), PLAIN(2), PADDED(3, 2) } },
	{ "entry: the first one is bad", 0, 2, { PADDED(1, 0), PLAIN(2) } },
	{ "entry: flag STATEFUL_FUNC", 1, 2,
	  { PLAIN(1), FLAGS(2, KVM_CPUID_FLAG_STATEFUL_FUNC) } },
	{ "entry: flag STATE_READ_NEXT", 1, 2,
	  { PLAIN(1), FLAGS(2, KVM_CPUID_FLAG_STATE_READ_NEXT) } },
	{ "entry: unknown flag, bit 3", 1, 2, { PLAIN(1), FLAGS(2, BIT(3)) } },
	{ "entry: unknown flag, bit 31", 1, 2, { PLAIN(1), FLAGS(2, BIT(31)) } },
	{ "entry: known and unknown flag", 1, 2, { PLAIN(1), FLAGS(2, CPUID_INDEXED | BIT(1)) } },
	{ "entry: same function twice", 1, 3, { PLAIN(1), PLAIN(1), PLAIN(2) } },
	{ "entry: same function twice, apart", 3, 4, { PLAIN(5), PLAIN(6), PLAIN(1), PLAIN(5) } },
	{ "entry: same function twice, junk index", 1, 2,
	  { PLAIN(4), { .function = 4, .index = 1 } } },
	{ "entry: same function and index twice", 2, 3,
	  { INDEXED(4, 2), INDEXED(4, 1), INDEXED(4, 2) } },
	{ "entry: indexed after plain", 1, 2, { PLAIN(4), INDEXED(4, 1) } },
	{ "entry: plain after indexed", 2, 3, { INDEXED(4, 0), INDEXED(4, 1), PLAIN(4) } },
	{ "entry: plain after indexed, junk index", 1, 2,
	  { INDEXED(4, 1), { .function = 4, .index = 2 } } },
	{ "entry: other indices of a function are fine", -1, 4,
	  { INDEXED(4, 1), INDEXED(4, 0), INDEXED(4, -1u), PLAIN(3) } },
	{ "entry: same index of other functions is fine", -1, 3,
	  { INDEXED(4, 1), INDEXED(7, 1), INDEXED(0xd, 1) } },
	{ "entry: lowest of several, not lowest function", 1, 4,
	  { PLAIN(9), PADDED(8, 0), PADDED(7, 0), FLAGS(1, BIT(1)) } },
	{ "entry: lowest of several, padding before clash", 1, 4,
	  { PLAIN(5), PADDED(3, 0), PLAIN(5), PLAIN(1) } },
	{ "entry: lowest of several, clash before padding", 1, 3,
	  { PLAIN(5), PLAIN(5), PADDED(3, 0) } },
	{ "entry: lowest of several, two clashes", 2, 4,
	  { PLAIN(9), PLAIN(1), PLAIN(9), PLAIN(1) } },
	{ "entry: lowest of several, flags before width", 1, 3,
	  { PLAIN(0), FLAGS(0x80000009, BIT(2)), WIDTH(47) } },
	{ "entry: lowest of several, width before flags", 1, 3,
	  { PLAIN(0), WIDTH(47), FLAGS(1, BIT(2)) } },
	{ "entry: linear-address width 0 is fine", -1, 2, { PLAIN(0), WIDTH(0) } },
	{ "entry: linear-address width 48 is fine", -1, 2, { PLAIN(0), WIDTH(48) } },
	{ "entry: linear-address width 57 is fine", -1, 2, { PLAIN(0), WIDTH(57) } },
	{ "entry: linear-address width 1", 1, 2, { PLAIN(0), WIDTH(1) } },
	{ "entry: linear-address width 47", 1, 2, { PLAIN(0), WIDTH(47) } },
	{ "entry: linear-address width 52", 0, 2, { WIDTH(52), PLAIN(0) } },
	{ "entry: linear-address width 64", 1, 2, { PLAIN(0), WIDTH(64) } },
	{ "entry: linear-address width 255", 1, 2, { PLAIN(0), WIDTH(255) } },
};

static void run_entry_case(const void *row)
{
	const struct entry_case *c = row;
	struct kvm_cpuid2 *table = cpuid_alloc();

	table->nent = c->nent;
	memcpy(table->entries, c->entries, sizeof(c->entries));
	expect_set(table, c->bad < 0 ? 0 : EINVAL, c->bad + 1);
}

/* @field of a register is to be ((id >> id_shift) & id_mask) << shift. */
struct field_case {
	const char *name;
	u32 function, index;
	int reg;
	u32 field;
	u32 id_mask;
	int shift, id_shift;
};

static const struct field_case field_cases[] = {
	{ "field: 0x1 EBX[31:24]", 0x1, 0, KVM_CPUID_EBX, 0xff000000, 0xff, 24 },
	{ "field: 0xB.0 EDX", 0xb, 0, KVM_CPUID_EDX, -1u, -1u },
	{ "field: 0xB.1 EDX", 0xb, 1, KVM_CPUID_EDX, -1u, -1u },
	{ "field: 0xB.2 EDX, undefined", 0xb, 2, KVM_CPUID_EDX, -1u, -1u },
	{ "field: 0xB.0xffffffff EDX, undefined", 0xb, -1u, KVM_CPUID_EDX, -1u, -1u },
	{ "field: 0x1F.0 EDX", 0x1f, 0, KVM_CPUID_EDX, -1u, -1u },
	{ "field: 0x1F.2 EDX", 0x1f, 2, KVM_CPUID_EDX, -1u, -1u },
	{ "field: 0x1F.3 EDX, undefined", 0x1f, 3, KVM_CPUID_EDX, -1u, -1u },
	{ "field: 0x80000026.0 EDX", 0x80000026, 0, KVM_CPUID_EDX, -1u, -1u },
	{ "field: 0x80000026.1 EDX", 0x80000026, 1, KVM_CPUID_EDX, -1u, -1u },
	{ "field: 0x8000001E EAX", 0x8000001e, 0, KVM_CPUID_EAX, -1u, -1u },
	/* topology_entries has 2 threads per core, 2 nodes, 6 bits for a package. */
	{ "field: 0x8000001E EBX[7:0], core ID", 0x8000001e, 0, KVM_CPUID_EBX, 0xff, 0xf, 0, 1 },
	{ "field: 0x8000001E ECX[7:0], node ID", 0x8000001e, 0, KVM_CPUID_ECX, 0xff, 0xff, 0, 5 },
};

static void run_field_case(const void *row)
{
	const struct field_case *c = row;
	struct kvm_cpuid2 *table = topology_table();
	struct kvm_vm *vm = vm_cpuid_create_vm();
	struct kvm_vcpu *vcpu;
	int i;

	vm_set_cpuid(vm, table);
	for (i = 0; i < nr_ids; i++) {
		vcpu = __vm_vcpu_add(vm, all_ids[i]);
		expect_reg(vcpu, c->function, c->index, c->reg, c->field,
			   ((all_ids[i] >> c->id_shift) & c->id_mask) << c->shift);
		expect_new_vcpu(vcpu, table);
		expect_guest_agrees(vcpu);
	}
}

struct shape_case {
	const char *name;
	u32 size_ecx;
	bool no_size;
};

static const struct shape_case shape_cases[] = {
	{ "0x8000001E: package width 8", 0x8001 },
	{ "0x8000001E: package width 15", 0xf000 },
	{ "0x8000001E: package width 2, less than some node bits", 0x20ff },
	{ "0x8000001E: package of 256 threads", 0x00ff },
	{ "0x8000001E: package of 10 threads", 0x0009 },
	{ "0x8000001E: package of 1 thread", 0x0000 },
	{ "0x8000001E: without 0x80000008", 0, true },
};

/* The formulas, for each number of threads per core and of nodes. */
static void run_shape_case(const void *row)
{
	static const u32 threads[] = { 1, 2, 3, 8 }, nodes[] = { 1, 2, 3, 8 };
	const struct shape_case *c = row;
	struct kvm_cpuid_entry2 e = { .function = 0x8000001e, .eax = -1u, .edx = 0x1234 };
	struct kvm_vcpu *vcpu;
	struct kvm_cpuid2 *t;
	struct kvm_vm *vm;
	int i, j, k;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		for (j = 0; j < ARRAY_SIZE(nodes); j++) {
			t = small_table(0x1f, "AuthenticAMD");
			cpuid_find(t, 0x80000008, 0)->ecx = c->size_ecx;
			if (c->no_size)
				cpuid_drop(t, 0x80000008, 0);
			e.ebx = 0xfeed00ff | (threads[i] - 1) << 8;
			e.ecx = 0xfeed00ff | (nodes[j] - 1) << 8;
			cpuid_put(t, e);

			vm = vm_cpuid_create_vm();
			vm_set_cpuid(vm, t);
			/* Every other id will do for this many VMs. */
			for (k = 1; k < nr_ids; k += 2) {
				vcpu = __vm_vcpu_add(vm, all_ids[k]);
				expect_new_vcpu(vcpu, t);
				expect_guest_agrees(vcpu);
			}
			kvm_vm_free(vm);
			free(t);
		}
	}
}

/* What KVM_HC_KICK_CPU returns, the hypercall of PV_UNHALT, where KVM enforces features. */
static u32 kick_cpu(struct kvm_vcpu *vcpu)
{
	struct guest_op op = {
		.op = GUEST_OP_VMCALL,
		.eax = KVM_HC_KICK_CPU,
		.ecx = vcpu->id,
	};

	vcpu_enable_cap(vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);
	guest_run(vcpu, &op, 1);
	return op.eax;
}

static void test_pv_unhalt(void)
{
	struct kvm_cpuid2 *table = supported_table();
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0x40000001, 0);
	struct kvm_vcpu *vcpu[NR_TWINS];
	struct kvm_vm *vm[NR_TWINS];
	int disable, twin;

	if (!e || !(e->eax & BIT_PV_UNHALT) ||
	    !(kvm_check_cap(KVM_CAP_X86_DISABLE_EXITS) & KVM_X86_DISABLE_EXITS_HLT))
		skip_case("no PV_UNHALT, or HLT always exits");

	for (disable = 0; disable < 2; disable++) {
		create_twin_vms(vm, table, true);
		for (twin = 0; twin < NR_TWINS && disable; twin++)
			vm_enable_cap(vm[twin], KVM_CAP_X86_DISABLE_EXITS,
				      KVM_X86_DISABLE_EXITS_HLT);
		create_twins(vm, 1, NO_XEN_ID, table, vcpu);
		expect_same_guest(vcpu, table);
		/* Older kernels hide it when something else that CPUID shows changes. */
		for (twin = 0; twin < NR_TWINS; twin++)
			guest_write(vcpu[twin], GUEST_OP_WRMSR, MSR_IA32_APICBASE, 0);
		expect_reg(vcpu[UNDER_TABLE], 0x40000001, 0, KVM_CPUID_EAX, BIT_PV_UNHALT,
			   disable ? 0 : BIT_PV_UNHALT);
		for (twin = 0; twin < NR_TWINS; twin++)
			EXPECT_U32("KVM_HC_KICK_CPU", kick_cpu(vcpu[twin]),
				   disable ? -KVM_ENOSYS : 0);
		expect_same_guest(vcpu, table);
		expect_guest_agrees(vcpu[UNDER_TABLE]);
		expect_vm_table(vm[UNDER_TABLE], table);
	}
}

/* Until userspace sets it, the field is the table's; the VM's table never changes. */
static void test_xen_vcpu_id(void)
{
	struct kvm_cpuid2 *table;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int valid, i;

	if (!has_xen_vcpu_id())
		skip_case("no Xen vCPU id");

	for (valid = 0; valid < 2; valid++) {
		table = xen_table();
		if (!valid)
			cpuid_find(table, 0x40000204, 0)->eax &= ~BIT_XEN_VCPU_ID;
		vm = vm_cpuid_create_vm();
		vm_set_cpuid(vm, table);

		for (i = 0; i < 3; i++) {
			vcpu = __vm_vcpu_add(vm, all_ids[i]);
			expect_reg(vcpu, 0x40000204, 0, KVM_CPUID_EBX, -1u, 0xdeadbeef);
			expect_new_vcpu(vcpu, table);

			set_xen_vcpu_id(vcpu, 77 + i);
			expect_reg(vcpu, 0x40000204, 0, KVM_CPUID_EBX, -1u,
				   valid ? 77 + i : 0xdeadbeef);
			expect_guest_agrees(vcpu);
			expect_vm_table(vm, table);
		}
		kvm_vm_free(vm);
	}
}

static const struct simple_case special_cases[] = {
	{ "run time: PV_UNHALT goes when HLT doesn't exit", test_pv_unhalt },
	{ "run time: Xen's vCPU id", test_xen_vcpu_id },
};

struct state_ioctl {
	const char *name;
	unsigned long cmd;
	size_t size;
};

#define STATE(cmd, type)	{ #cmd, cmd, sizeof(type) }

static const struct state_ioctl state_ioctls[] = {
	STATE(KVM_GET_SREGS2, struct kvm_sregs2),
	STATE(KVM_GET_LAPIC, struct kvm_lapic_state),
	STATE(KVM_GET_XCRS, struct kvm_xcrs),
	STATE(KVM_GET_DEBUGREGS, struct kvm_debugregs),
	STATE(KVM_GET_MP_STATE, struct kvm_mp_state),
	STATE(KVM_GET_VCPU_EVENTS, struct kvm_vcpu_events),
	STATE(KVM_GET_FPU, struct kvm_fpu),
	STATE(KVM_GET_XSAVE, struct kvm_xsave),
};

/* 0 or 1 as from KVM_GET_MSRS: how many MSRs were read. */
static int get_msr(struct kvm_vcpu *vcpu, u32 index, u64 *value)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = index } };
	int r;

	r = ioctl(vcpu->fd, KVM_GET_MSRS, &msrs);
	*value = msrs.entry.data;
	return r;
}

/* These count time. */
static bool is_clock(u32 msr)
{
	return msr == MSR_IA32_TSC || msr == MSR_IA32_APERF || msr == MSR_IA32_MPERF ||
	       msr == 0x40000010 || msr == 0x40000020;
}

/*
 * What VMX lets a vCPU do follows from its CPUID.  It takes a write, or one of the MSRs
 * that KVM_GET_MSR_INDEX_LIST leaves out, to see it.
 */
static void expect_same_vmx(struct kvm_vcpu *vcpu[NR_TWINS], bool has_vmx)
{
	static const u32 msrs[] = { MSR_IA32_VMX_CR0_FIXED1, MSR_IA32_VMX_CR4_FIXED1 };
	static const u64 controls[] = {
		FEAT_CTL_LOCKED,
		FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX,
		FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_INSIDE_SMX,
		FEAT_CTL_LOCKED | FEAT_CTL_SGX_ENABLED,
		FEAT_CTL_LOCKED | FEAT_CTL_SGX_LC_ENABLED,
		FEAT_CTL_LOCKED | FEAT_CTL_LMCE_ENABLED,
		0,
	};
	u64 value[NR_TWINS];
	int i, r[NR_TWINS];

	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		r[0] = get_msr(vcpu[0], msrs[i], &value[0]);
		r[1] = get_msr(vcpu[1], msrs[i], &value[1]);
		EXPECT(r[0] == r[1] && value[0] == value[1],
		       "vCPU %u: MSR 0x%x: %d, 0x%llx and %d, 0x%llx", vcpu[0]->id, msrs[i],
		       r[0], (unsigned long long)value[0], r[1], (unsigned long long)value[1]);
	}

	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		r[0] = _vcpu_set_msr(vcpu[0], MSR_IA32_FEAT_CTL, controls[i]);
		r[1] = _vcpu_set_msr(vcpu[1], MSR_IA32_FEAT_CTL, controls[i]);
		EXPECT(r[0] == r[1], "vCPU %u: feature control 0x%llx: %d and %d", vcpu[0]->id,
		       (unsigned long long)controls[i], r[0], r[1]);
		EXPECT(r[0] == 1 || !has_vmx ||
		       (controls[i] & ~(FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)),
		       "vCPU %u: can't enable VMX", vcpu[0]->id);
	}

	/* Newer kernels limit what the guest may write, but not the host.  A #GP is fatal. */
	for (i = 0; i < NR_TWINS && has_vmx; i++)
		guest_write(vcpu[i], GUEST_OP_WRMSR, MSR_IA32_FEAT_CTL,
			    FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX);
}

/* No state tells a new vCPU from its twin. */
static void expect_same_state(struct kvm_vcpu *vcpu[NR_TWINS], struct kvm_cpuid2 *table)
{
	const struct kvm_msr_list *msrs = kvm_get_msr_index_list();
	struct kvm_cpuid_entry2 *leaf1 = cpuid_find(table, 0x1, 0);
	static char state[NR_TWINS][8192];
	struct kvm_regs regs[NR_TWINS];
	u64 value[NR_TWINS];
	int i, r[NR_TWINS];
	size_t byte;

	vcpu_regs_get(vcpu[UNDER_TABLE], &regs[UNDER_TABLE]);
	vcpu_regs_get(vcpu[WITH_COPY], &regs[WITH_COPY]);
	EXPECT_U32("RDX", regs[UNDER_TABLE].rdx, 0x600);
	EXPECT(!memcmp(&regs[UNDER_TABLE], &regs[WITH_COPY], sizeof(regs[0])),
	       "vCPU %u: registers differ", vcpu[0]->id);

	for (i = 0; i < ARRAY_SIZE(state_ioctls); i++) {
		const struct state_ioctl *s = &state_ioctls[i];

		memset(state, 0, sizeof(state));
		r[0] = ioctl(vcpu[0]->fd, s->cmd, state[0]);
		r[1] = ioctl(vcpu[1]->fd, s->cmd, state[1]);
		EXPECT(r[0] == r[1], "%s: %d and %d", s->name, r[0], r[1]);
		for (byte = 0; byte < s->size && state[0][byte] == state[1][byte]; byte++)
			;
		EXPECT(byte == s->size, "vCPU %u: %s differs at byte %zu: 0x%02x and 0x%02x",
		       vcpu[0]->id, s->name, byte, (u8)state[0][byte], (u8)state[1][byte]);
	}

	for (i = 0; i < msrs->nmsrs; i++) {
		if (is_clock(msrs->indices[i]))
			continue;
		r[0] = get_msr(vcpu[0], msrs->indices[i], &value[0]);
		r[1] = get_msr(vcpu[1], msrs->indices[i], &value[1]);
		EXPECT(r[0] == r[1] && value[0] == value[1],
		       "vCPU %u: MSR 0x%x: %d, 0x%llx and %d, 0x%llx", vcpu[0]->id,
		       msrs->indices[i], r[0], (unsigned long long)value[0],
		       r[1], (unsigned long long)value[1]);
	}

	expect_same_vmx(vcpu, leaf1 && (leaf1->ecx & BIT_VMX));
}

struct twin_case {
	const char *name;
	struct kvm_cpuid2 *(*table)(void);
	bool no_apic;
};

static const struct twin_case twin_cases[] = {
	{ "twins: KVM_GET_SUPPORTED_CPUID", supported_table },
	{ "twins: with topology leaves", topology_table },
	{ "twins: with topology leaves, no in-kernel local APIC", topology_table, true },
	{ "twins: without leaf 7's features", few_features_table },
	{ "twins: with Hyper-V", hyperv_table },
	{ "twins: Intel's vendor", intel_table },
	{ "twins: topology leaves without an index", plain_topology_table },
	{ "twins: 256 entries", full_table },
	{ "twins: a single entry", single_entry_table },
};

static void run_twin_case(const void *row)
{
	const struct twin_case *c = row;
	struct kvm_vcpu *vcpu[NR_TWINS];
	struct kvm_vm *vm[NR_TWINS];
	struct kvm_cpuid2 *table;
	u64 index;
	int i;

	table = c->table();
	create_twin_vms(vm, table, !c->no_apic);
	for (i = 0; i < nr_ids; i++) {
		create_twins(vm, all_ids[i], NO_XEN_ID, table, vcpu);
		expect_same_host(vcpu);
		expect_same_state(vcpu, table);

		if (c->table == hyperv_table) {
			struct guest_op rdmsr = { GUEST_OP_RDMSR, .ecx = MSR_HV_VP_INDEX };

			EXPECT(get_msr(vcpu[UNDER_TABLE], MSR_HV_VP_INDEX, &index) == 1 &&
			       index == i, "VP_INDEX: expected %d, got %d", i, (int)index);
			guest_run(vcpu[UNDER_TABLE], &rdmsr, 1);
			EXPECT_U32("guest's VP_INDEX", rdmsr.eax, i);
		}
		expect_same_guest(vcpu, table);
	}
}

/* The first ones are about what is done, the others about the values it is done with. */
#define NR_QUICK_CASE_SETS	2

static const struct case_set case_sets[] = {
	{ run_simple_case, simple_cases, sizeof(simple_cases[0]), ARRAY_SIZE(simple_cases) },
	{ run_simple_case, special_cases, sizeof(special_cases[0]), ARRAY_SIZE(special_cases) },
	{ run_header_case, header_cases, sizeof(header_cases[0]), ARRAY_SIZE(header_cases) },
	{ run_entry_case, entry_cases, sizeof(entry_cases[0]), ARRAY_SIZE(entry_cases) },
	{ run_field_case, field_cases, sizeof(field_cases[0]), ARRAY_SIZE(field_cases) },
	{ run_shape_case, shape_cases, sizeof(shape_cases[0]), ARRAY_SIZE(shape_cases) },
	{ run_twin_case, twin_cases, sizeof(twin_cases[0]), ARRAY_SIZE(twin_cases) },
};

int main(int argc, char *argv[])
{
	int nr_sets = ARRAY_SIZE(case_sets);

	if (is_quick(argc, argv, "without the cases of values"))
		nr_sets = NR_QUICK_CASE_SETS;

	setlinebuf(stdout);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));
	nr_ids = count_ids();

	ksft_print_header();
	run_cases(case_sets, nr_sets, NULL);
}
