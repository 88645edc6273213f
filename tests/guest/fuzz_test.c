// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test random sequences of the ioctls that set, get and use guest CPUID, with random
 * tables, good and bad ones, against a model of what they should do.
 *
 * A sequence is the life of a VM.  It depends on the seed and its number alone, so
 * that one that fails can be repeated.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdatomic.h>
#include <sys/mman.h>

#include "util.h"

#define DEFAULT_SECONDS		10

#define MAX_VCPUS		4
#define MAX_STEPS		60

/* Most of a VM's end is to wait: so let there be many VMs at a time. */
#define DEFAULT_PROCESSES	8
#define MAX_PROCESSES		64

/* Some more than KVM accepts. */
#define BUFFER_ENTRIES		(CPUID_MAX_ENTRIES + 16)

#define XFEATURE_AVX		BIT(2)
#define XFEATURE_AMX		BIT(18)
#define CR4_OSXSAVE		BIT(18)
#define CR4_PKE			BIT(22)
#define APIC_BASE_ENABLE	BIT(11)

enum op {
	SET,
	GET,
	CHECK,
	CREATE,
	VCPU_SET,
	VCPU_SET2,
	VCPU_GET2,
	VCPU_STATE,
	VCPU_RUN,
	NR_OPS
};

static const struct {
	const char *name;
	int weight;
} ops[NR_OPS] = {
	[SET]		= { "KVM_VM_SET_CPUID", 20 },
	[GET]		= { "KVM_VM_GET_CPUID", 10 },
	[CHECK]		= { "KVM_CHECK_EXTENSION", 2 },
	[CREATE]	= { "KVM_CREATE_VCPU", 8 },
	[VCPU_SET]	= { "KVM_SET_CPUID", 3 },
	[VCPU_SET2]	= { "KVM_SET_CPUID2", 8 },
	[VCPU_GET2]	= { "KVM_GET_CPUID2", 14 },
	[VCPU_STATE]	= { "state that changes CPUID", 8 },
	[VCPU_RUN]	= { "KVM_RUN, the guest executes CPUID", 10 },
};

/* What the processes share. */
static struct {
	atomic_ulong next_sequence;
	atomic_bool is_over;
	atomic_ulong nr_sequences;
	atomic_ulong nr_cpuid;
	atomic_ulong nr_ops[NR_OPS];
	atomic_ulong nr_violated[NR_OPS];
	atomic_ulong nr_errors[256];
	unsigned long sequences[MAX_PROCESSES];
} *shared;

/* A vCPU, its table if it is a vCPU of a VM that has none, and what it was told. */
struct model_vcpu {
	struct kvm_vcpu *vcpu;
	struct kvm_cpuid2 *table;
	bool has_xen_id;
	u32 xen_id;
};

/* What is known of the VM: the table that it was given, as it was given. */
static struct {
	struct kvm_vm *vm;
	struct kvm_cpuid2 *table;
	int nr_vcpus;
	struct model_vcpu vcpus[MAX_VCPUS];
} model;

static u64 seed;
static u32 max_vcpu_id;
static bool hides_invtsc;
static struct timespec deadline;

static bool one_in(u32 n)
{
	return !random_below(n);
}

/* --- random tables ------------------------------------------------------- */

static const u32 functions[] = {
	0x0, 0x1, 0x4, 0x7, 0xb, 0xd, 0x12, 0x14, 0x1f, 0x40000000, 0x40000001,
	0x40000003, 0x40000100, 0x40000104, 0x4000ff00, 0x80000000, 0x80000001,
	0x80000007, 0x80000008, 0x8000001e, 0x8000001f, 0x80000026, 0xc0000000,
	0x7fffffff, 0xffffffff,
};

static const u32 indices[] = { 0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff };

static u32 random_function(void)
{
	return functions[random_below(ARRAY_SIZE(functions))];
}

static u32 random_index(void)
{
	return indices[random_below(ARRAY_SIZE(indices))];
}

static u32 *random_reg(struct kvm_cpuid_entry2 *e)
{
	u32 *regs[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

	return regs[random_below(ARRAY_SIZE(regs))];
}

static struct kvm_cpuid2 *random_base_table(void)
{
	struct kvm_cpuid2 *t;
	int i, nent;

	switch (random_below(6)) {
	case 0:
		return supported_table();
	case 1:
		return topology_table();
	case 2:
		return xen_table();
	case 3:
		if (kvm_has_cap(KVM_CAP_SYS_HYPERV_CPUID))
			return hyperv_table();
		break;
	case 4:
		t = intel_table();
		cpuid_find(t, 0, 0)->eax = random_below(0x20);
		return t;
	}

	/* Few entries of functions that matter, and often lots of others. */
	t = cpuid_alloc();
	nent = one_in(2) ? 1 + random_below(12) : 1 + random_below(CPUID_MAX_ENTRIES);
	for (i = 0; i < nent; i++) {
		struct kvm_cpuid_entry2 e = {
			.function = random_function(),
			.index = random_index(),
			.flags = one_in(2) ? CPUID_INDEXED : 0,
			.eax = random_value(), .ebx = random_value(),
			.ecx = random_value(), .edx = random_value(),
		};

		if (i >= 12)
			e.function = random_u32() >> random_below(31);
		if (e.function == 0x80000008)
			e.eax = 0x3028;
		if (!(e.flags & CPUID_INDEXED))
			cpuid_drop(t, e.function, e.index);
		cpuid_put(t, e);
	}
	return t;
}

static void mutate_table(struct kvm_cpuid2 *t)
{
	struct kvm_cpuid_entry2 *e = &t->entries[random_below(t->nent)];
	static const u32 widths[] = { 0, 32, 48, 52, 56, 57, 64, 255 };
	struct kvm_cpuid_entry2 *addr_size;

	switch (random_below(12)) {
	case 0:
		e->function = random_function();
		break;
	case 1:
		e->index = random_index();
		break;
	case 2:
		e->flags ^= CPUID_INDEXED;
		break;
	case 3:
		*random_reg(e) = random_value();
		break;
	case 4:
		*random_reg(e) ^= BIT(random_below(32));
		break;
	case 5:
		e->function ^= BIT(random_below(32));
		break;
	case 6:
		if (t->nent > 1)
			*e = t->entries[--t->nent];
		break;
	case 7:
		if (t->nent < CPUID_MAX_ENTRIES) {
			t->entries[t->nent] = *e;
			t->entries[t->nent].index++;
			t->nent++;
		}
		break;
	case 8:
		if (one_in(4))
			e->padding[random_below(3)] = random_value();
		break;
	case 9:
		if (one_in(4))
			e->flags = random_value();
		break;
	case 10:
		addr_size = cpuid_first(t, 0x80000008);
		if (addr_size && one_in(4))
			addr_size->eax = 0x28 | widths[random_below(ARRAY_SIZE(widths))] << 8;
		break;
	case 11:
		addr_size = cpuid_find(t, 0xd, 0);
		if (addr_size && one_in(4))
			addr_size->eax |= XFEATURE_AMX;
		break;
	}
}

static struct kvm_cpuid2 *random_table(void)
{
	struct kvm_cpuid2 *t = random_base_table();
	int nr_mutations = one_in(2) ? 0 : random_below(8);

	while (nr_mutations--)
		mutate_table(t);
	shuffle(t);
	return t;
}

/* --- the model ----------------------------------------------------------- */

/* The index of the first entry that is not valid, -1 if all are. */
static int bad_entry(const struct kvm_cpuid2 *t)
{
	int i, j;

	for (i = 0; i < t->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &t->entries[i], *f;
		u32 vaddr_bits = e->eax >> 8 & 0xff;

		if (e->padding[0] | e->padding[1] | e->padding[2])
			return i;
		if (e->flags != 0 && e->flags != CPUID_INDEXED)
			return i;
		if (e->function == 0x80000008 && vaddr_bits != 0 && vaddr_bits != 48 &&
		    vaddr_bits != 57)
			return i;
		for (j = 0; j < i; j++) {
			f = &t->entries[j];
			if (e->function != f->function)
				continue;
			if (e->flags == 0 || f->flags == 0 || e->index == f->index)
				return i;
		}
	}
	return -1;
}

/* What XSAVE needs for the features that the test enables. */
static u32 xsave_size(u64 xcr0, bool is_compacted)
{
	u32 size, offset, unused;

	if (!(xcr0 & XFEATURE_AVX))
		return XSTATE_MIN_SIZE;
	__cpuid(0xd, 2, &size, &offset, &unused, &unused);
	return is_compacted ? XSTATE_MIN_SIZE + size : offset + size;
}

/*
 * Older kernels allow enclaves no features that the guest doesn't have.  Whether this
 * one does, and which it knows, is seen in a vCPU that has the table as its own.
 */
static void set_sgx_xfrm(struct kvm_cpuid2 *t)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(t, 0x12, 1), *own;
	static struct kvm_vcpu *vcpu;
	struct kvm_cpuid2 *seen;

	if (!e)
		return;
	if (!vcpu)
		vcpu = __vm_vcpu_add(vm_cpuid_create_vm(), 0);
	vcpu_ioctl(vcpu, KVM_SET_CPUID2, t);
	seen = vcpu_get_cpuid2(vcpu);
	own = cpuid_find(seen, 0x12, 1);
	e->ecx = own->ecx;
	e->edx = own->edx;
	free(seen);
}

/* The table of a vCPU under the VM's, with what its current state adds. */
static struct kvm_cpuid2 *model_cpuid(const struct model_vcpu *v)
{
	struct kvm_cpuid2 *t = expected_cpuid(model.table, v->vcpu->id);
	struct kvm_vcpu *vcpu = v->vcpu;
	struct kvm_cpuid_entry2 *e;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;

	if (v->has_xen_id)
		fill_xen_id(t, v->xen_id);
	set_sgx_xfrm(t);

	vcpu_sregs_get(vcpu, &sregs);
	e = cpuid_first(t, 0x1);
	if (e) {
		e->ecx &= ~BIT_OSXSAVE;
		if (sregs.cr4 & CR4_OSXSAVE)
			e->ecx |= BIT_OSXSAVE;
		e->edx &= ~BIT_APIC;
		if (sregs.apic_base & APIC_BASE_ENABLE)
			e->edx |= BIT_APIC;
	}
	e = cpuid_find(t, 0x7, 0);
	if (e && sregs.cr4 & CR4_PKE)
		e->ecx |= BIT_OSPKE;

	vcpu_ioctl(vcpu, KVM_GET_XCRS, &xcrs);
	e = cpuid_find(t, 0xd, 0);
	if (e)
		e->ebx = xsave_size(xcrs.xcrs[0].value, false);
	e = cpuid_find(t, 0xd, 1);
	if (e && e->eax & (BIT_XSAVEC | BIT_XSAVES))
		e->ebx = xsave_size(xcrs.xcrs[0].value, true);
	return t;
}

/* Hyper-V hides invariant TSC from the guest until that asks for it, which it never does. */
static void hide_from_guest(struct kvm_cpuid2 *t)
{
	struct kvm_cpuid_entry2 *e, *hv, *hv_features;

	hv = cpuid_first(t, 0x40000001);
	hv_features = cpuid_first(t, 0x40000003);
	if (hides_invtsc && hv && hv->eax == 0x31237648 && hv_features &&
	    hv_features->eax & BIT_HV_INVTSC) {
		for (e = t->entries; e < t->entries + t->nent; e++) {
			if (e->function == 0x80000007)
				e->edx &= ~BIT_INVTSC;
		}
	}
}

static bool is_vendor(const struct kvm_cpuid_entry2 *e, const char *vendor)
{
	return !memcmp(&e->ebx, vendor, 4) && !memcmp(&e->edx, vendor + 4, 4) &&
	       !memcmp(&e->ecx, vendor + 8, 4);
}

/* Fill in what a guest with @view gets for @out's function and index. */
static void model_guest_cpuid(struct kvm_cpuid2 *view, struct kvm_cpuid_entry2 *out)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(view, out->function, out->index);
	struct kvm_cpuid_entry2 *basic = cpuid_first(view, 0), *class;
	u32 function = out->function, base;

	/* CPUs that aren't AMD's return the last basic leaf for what is out of range. */
	if (!e && basic && !is_vendor(basic, "AuthenticAMD") &&
	    !is_vendor(basic, "AMDisbetter!") && !is_vendor(basic, "HygonGenuine")) {
		if (function >> 28 == 4)
			base = function & ~0xff;
		else if (function >= 0xc0000000)
			base = 0xc0000000;
		else
			base = function & 0x80000000;
		class = cpuid_first(view, base);
		if (!class || function > class->eax) {
			function = basic->eax;
			e = cpuid_find(view, function, out->index);
		}
	}

	out->eax = e ? e->eax : 0;
	out->ebx = e ? e->ebx : 0;
	out->ecx = e ? e->ecx : 0;
	out->edx = e ? e->edx : 0;

	/* Topology leaves have subleaves without end. */
	if (!e && (function == 0xb || function == 0x1f)) {
		e = cpuid_find(view, function, 1);
		if (e) {
			out->ecx = out->index & 0xff;
			out->edx = e->edx;
		}
	}
}

/* Can the VM's memory be reached at all?  Also the local APIC has to be. */
static bool model_can_run(void)
{
	struct kvm_cpuid2 *t = canonical(model.table);
	struct kvm_cpuid_entry2 *max = cpuid_first(t, 0x80000000);
	struct kvm_cpuid_entry2 *size = cpuid_first(t, 0x80000008);
	u32 bits = 36;

	if (max && max->eax >= 0x80000008 && size)
		bits = size->eax & 0xff;
	free(t);
	return bits >= 32 && bits <= 52;
}

/* --- operations ---------------------------------------------------------- */

/* A table in memory of its own, so that what is behind @nent entries faults. */
static struct kvm_cpuid2 *guarded_copy(const struct kvm_cpuid2 *t, int nent)
{
	const size_t page = getpagesize(), map = 8 * page;
	size_t size = sizeof(*t) + nent * sizeof(t->entries[0]);
	void *mem;

	mem = mmap(NULL, map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED && size < map - page, "Out of memory");
	TEST_ASSERT(!mprotect(mem + map - page, page, PROT_NONE), "mprotect failed");
	mem += map - page - size;
	memcpy(mem, t, size);
	return mem;
}

static void free_guarded(struct kvm_cpuid2 *t, int nent)
{
	const size_t page = getpagesize(), map = 8 * page;
	size_t size = sizeof(*t) + nent * sizeof(t->entries[0]);

	munmap((void *)t + size + page - map, map);
}

static void protect_guarded(struct kvm_cpuid2 *t, int nent)
{
	const size_t page = getpagesize(), map = 8 * page;
	size_t size = sizeof(*t) + nent * sizeof(t->entries[0]);

	TEST_ASSERT(!mprotect((void *)t + size + page - map, map - page, PROT_READ),
		    "mprotect failed");
}

static int count_errno(int error)
{
	atomic_fetch_add(&shared->nr_errors[min(error, 255)], 1);
	return error;
}

static void do_set(void)
{
	struct kvm_cpuid2 *t = random_table(), *arg;
	u32 room = t->nent, padding;
	struct kvm_cpuid_entry2 *amx = NULL;
	bool may_succeed, is_read_only;
	int error, bad = -1;

	if (one_in(24))
		t->nent = one_in(2) ? CPUID_MAX_ENTRIES + 1 : random_u32() | 0x200;
	else if (one_in(12))
		t->nent = 0;
	if (one_in(24))
		t->padding = random_value();
	if (one_in(24))
		room = random_below(room);

	arg = guarded_copy(t, room);
	is_read_only = one_in(12);
	if (is_read_only)
		protect_guarded(arg, room);
	error = count_errno(try_set_cpuid(model.vm, arg));

	/* An ioctl that has several reasons to fail can name any of them. */
	if (t->nent <= CPUID_MAX_ENTRIES) {
		bad = bad_entry(t);
		amx = cpuid_find(t, 0xd, 0);
		if (amx && !(amx->eax & XFEATURE_AMX))
			amx = NULL;
	}
	may_succeed = t->nent <= CPUID_MAX_ENTRIES && !t->padding && bad < 0 &&
		      room >= t->nent && !model.nr_vcpus && !amx;
	padding = t->padding;

	switch (error) {
	case 0:
		EXPECT(may_succeed, "it succeeded");
		break;
	case E2BIG:
		EXPECT(t->nent > CPUID_MAX_ENTRIES, "E2BIG for %u entries", t->nent);
		break;
	case EINVAL:
		EXPECT(t->padding || bad >= 0, "EINVAL for a good table");
		if (!t->padding && !is_read_only)
			padding = bad + 1;
		break;
	case EFAULT:
		EXPECT(room < t->nent, "EFAULT for %u of %u entries", room, t->nent);
		break;
	case EPERM:
		EXPECT(amx, "EPERM for a table without AMX");
		break;
	case EBUSY:
		EXPECT(model.nr_vcpus, "EBUSY without a vCPU");
		break;
	default:
		EXPECT(false, "errno %d (%s)", error, strerror(error));
	}
	EXPECT_U32("nent", arg->nent, t->nent);
	EXPECT_U32("padding", arg->padding, padding);
	EXPECT(!memcmp(arg->entries, t->entries, room * sizeof(t->entries[0])),
	       "the table that was given has changed");
	free_guarded(arg, room);

	if (!error) {
		free(model.table);
		model.table = t->nent ? t : NULL;
	}
	if (error || !t->nent)
		free(t);
}

static void expect_untouched(const struct kvm_cpuid2 *t, u32 from, u32 to)
{
	const unsigned char *p = (const void *)&t->entries[from];

	for (; p < (const unsigned char *)&t->entries[to]; p++) {
		if (*p != 0x5a) {
			EXPECT(false, "entry %td was written, beyond %u",
			       (struct kvm_cpuid_entry2 *)p - t->entries, from);
			return;
		}
	}
}

static void do_get(void)
{
	struct kvm_cpuid2 *expected = model.table ? canonical(model.table) : NULL, *arg;
	static struct {
		struct kvm_cpuid2 header;
		struct kvm_cpuid_entry2 entries[BUFFER_ENTRIES];
	} buffer;
	u32 nent, room, size = expected ? expected->nent : 0;
	int error;

	memset(&buffer, 0x5a, sizeof(buffer));
	switch (random_below(6)) {
	case 0:
		nent = random_below(size + 1);
		break;
	case 1:
		nent = random_u32();
		break;
	default:
		nent = size + random_below(8);
	}
	room = one_in(12) ? random_below(size + 1) : size;
	buffer.header.nent = nent;
	buffer.header.padding = random_value();

	arg = guarded_copy(&buffer.header, room);
	error = count_errno(try_get_cpuid(model.vm, arg));

	if (!expected) {
		EXPECT_ERRNO("without a table", error, ENOENT);
		EXPECT_U32("nent", arg->nent, nent);
	} else if (nent < size) {
		EXPECT_ERRNO("too small", error, E2BIG);
		EXPECT_U32("nent", arg->nent, size);
		expect_untouched(arg, 0, room);
	} else if (room < size) {
		EXPECT_ERRNO("not all is mapped", error, EFAULT);
	} else {
		EXPECT_ERRNO("get", error, 0);
		if (!error)
			expect_table("get", -1, arg, expected);
	}
	free_guarded(arg, room);
	free(expected);
}

static void do_check(void)
{
	EXPECT_U32("KVM_CAP_VM_CPUID", vm_check_cap(model.vm, KVM_CAP_VM_CPUID),
		   CPUID_MAX_ENTRIES);
}

static bool has_vcpu(u32 id)
{
	int i;

	for (i = 0; i < model.nr_vcpus; i++) {
		if (model.vcpus[i].vcpu->id == id)
			return true;
	}
	return false;
}

static void do_create(void)
{
	const unsigned long ids[] = {
		random_below(8), random_below(8), random_below(8), 255, 256, 300,
		random_below(max_vcpu_id), max_vcpu_id - 1, max_vcpu_id, ~0u,
	};
	unsigned long id = ids[random_below(ARRAY_SIZE(ids))];
	int fd;

	if (id < max_vcpu_id && !has_vcpu(id)) {
		if (model.nr_vcpus == MAX_VCPUS)
			return;
		model.vcpus[model.nr_vcpus++] = (struct model_vcpu) {
			.vcpu = __vm_vcpu_add(model.vm, id),
		};
		return;
	}

	fd = __vm_ioctl(model.vm, KVM_CREATE_VCPU, (void *)id);
	EXPECT_ERRNO("a bad ID", fd < 0 ? count_errno(errno) : 0,
		     id >= max_vcpu_id ? EINVAL : EEXIST);
	if (fd >= 0)
		close(fd);
}

/* As in the order of the table the first entry that matches, as KVM has it. */
static bool vcpu_would_take(struct kvm_cpuid2 *t, int *error)
{
	struct kvm_cpuid_entry2 *size = cpuid_first(t, 0x80000008);
	struct kvm_cpuid_entry2 *xsave = cpuid_find(t, 0xd, 0);
	u32 vaddr_bits = size ? size->eax >> 8 & 0xff : 0;

	*error = 0;
	if (vaddr_bits != 0 && vaddr_bits != 48 && vaddr_bits != 57)
		*error = EINVAL;
	else if (xsave && xsave->eax & XFEATURE_AMX)
		*error = EPERM;
	return !*error;
}

static void do_vcpu_set2(struct model_vcpu *v)
{
	struct kvm_cpuid2 *t = random_table();
	int error, expected;

	error = count_errno(__vcpu_ioctl(v->vcpu, KVM_SET_CPUID2, t) ? errno : 0);
	if (model.table)
		expected = EBUSY;
	else
		vcpu_would_take(t, &expected);
	EXPECT_ERRNO("KVM_SET_CPUID2", error, expected);

	if (error || expected) {
		free(t);
	} else {
		free(v->table);
		v->table = t;
	}
}

static void do_vcpu_set(struct model_vcpu *v)
{
	struct {
		struct kvm_cpuid header;
		struct kvm_cpuid_entry entries[2];
	} arg = {
		.header.nent = 2,
		.entries = {
			{ .function = 0, .eax = 1 },
			{ .function = 1, .eax = random_value(), .ebx = random_value() },
		},
	};
	int i, error;

	error = count_errno(__vcpu_ioctl(v->vcpu, KVM_SET_CPUID, &arg.header) ? errno : 0);
	EXPECT_ERRNO("KVM_SET_CPUID", error, model.table ? EBUSY : 0);
	if (error)
		return;

	free(v->table);
	v->table = cpuid_alloc();
	for (i = 0; i < 2; i++)
		cpuid_put(v->table, (struct kvm_cpuid_entry2) {
			.function = arg.entries[i].function,
			.eax = arg.entries[i].eax, .ebx = arg.entries[i].ebx,
		});
}

static void do_vcpu_get2(struct model_vcpu *v)
{
	struct kvm_cpuid2 *expected, *seen = vcpu_get_cpuid2(v->vcpu);
	struct kvm_cpuid_entry2 *e, *f;
	int i;

	if (model.table) {
		expected = model_cpuid(v);
		expect_table("KVM_GET_CPUID2", v->vcpu->id, seen, expected);
		free(expected);
		free(seen);
		return;
	}

	/* Its own table, in its own order, but for what KVM has always changed in it. */
	EXPECT_U32("nent", seen->nent, v->table ? v->table->nent : 0);
	for (i = 0; v->table && i < min(seen->nent, v->table->nent); i++) {
		e = &seen->entries[i];
		f = &v->table->entries[i];
		EXPECT(e->function == f->function && e->index == f->index &&
		       e->flags == f->flags,
		       "entry %d: 0x%x.0x%x is 0x%x.0x%x", i, f->function, f->index,
		       e->function, e->index);
		if (e->function == 0xb || e->function == 0x1f || e->function == 0x8000001e)
			expect_entry("own table", v->vcpu->id, e, f);
	}
	free(seen);
}

/* KVM decides whether it takes what is asked for, and the model asks what it is. */
static void do_vcpu_state(struct model_vcpu *v)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = one_in(2) ? 7 : 1 };
	struct kvm_sregs sregs;

	vcpu_sregs_get(v->vcpu, &sregs);
	switch (random_below(5)) {
	case 0:
		sregs.cr4 ^= CR4_OSXSAVE;
		break;
	case 1:
		sregs.cr4 ^= CR4_PKE;
		break;
	case 2:
		sregs.apic_base ^= APIC_BASE_ENABLE;
		break;
	case 3:
		__vcpu_ioctl(v->vcpu, KVM_SET_XCRS, &xcrs);
		return;
	case 4:
		if (!has_xen_vcpu_id())
			return;
		v->has_xen_id = true;
		v->xen_id = random_below(100);
		set_xen_vcpu_id(v->vcpu, v->xen_id);
		return;
	}
	_vcpu_sregs_set(v->vcpu, &sregs);
}

static void do_vcpu_run(struct model_vcpu *v)
{
	struct kvm_cpuid_entry2 inputs[48] = {}, expected;
	struct kvm_cpuid2 *view;
	int i;

	if (!model.table || !model_can_run())
		return;

	view = model_cpuid(v);
	hide_from_guest(view);
	for (i = 0; i < ARRAY_SIZE(inputs); i++) {
		const struct kvm_cpuid_entry2 *e = &view->entries[random_below(view->nent)];

		inputs[i].function = e->function;
		inputs[i].index = one_in(2) ? e->index : random_index();
		if (one_in(4))
			inputs[i].function = random_function();
		else if (one_in(8))
			inputs[i].function += random_below(3) - 1;
		else if (one_in(8))
			inputs[i].function = random_u32();
	}

	guest_cpuid(v->vcpu, inputs, ARRAY_SIZE(inputs));

	for (i = 0; i < ARRAY_SIZE(inputs); i++) {
		expected = inputs[i];
		model_guest_cpuid(view, &expected);
		expect_entry("guest", v->vcpu->id, &inputs[i], &expected);
	}
	atomic_fetch_add(&shared->nr_cpuid, ARRAY_SIZE(inputs));
	free(view);
}

static enum op random_op(void)
{
	int i, total = 0;

	for (i = 0; i < NR_OPS; i++)
		total += ops[i].weight;
	total = random_below(total);
	for (i = 0; total >= ops[i].weight; i++)
		total -= ops[i].weight;
	return i;
}

static void do_op(enum op op)
{
	struct model_vcpu *v = NULL;

	if (op >= VCPU_SET) {
		if (!model.nr_vcpus)
			return;
		v = &model.vcpus[random_below(model.nr_vcpus)];
	}
	atomic_fetch_add(&shared->nr_ops[op], 1);

	switch (op) {
	case SET:
		do_set();
		break;
	case GET:
		do_get();
		break;
	case CHECK:
		do_check();
		break;
	case CREATE:
		do_create();
		break;
	case VCPU_SET:
		do_vcpu_set(v);
		break;
	case VCPU_SET2:
		do_vcpu_set2(v);
		break;
	case VCPU_GET2:
		do_vcpu_get2(v);
		break;
	case VCPU_STATE:
		do_vcpu_state(v);
		break;
	default:
		do_vcpu_run(v);
	}
}

static void run_sequence(unsigned long n)
{
	int i, before, nr_steps;
	enum op op;

	random_state = seed + n * 0x632be59bd9b4e019ull;
	model.vm = vm_cpuid_create_vm();
	nr_steps = 1 + random_below(MAX_STEPS);

	for (i = 0; i < nr_steps; i++) {
		op = random_op();
		/* Let there be many sets, and VMs with and without a table. */
		if (op == CREATE && !model.nr_vcpus && i < nr_steps / 3)
			op = SET;

		before = nr_failures;
		do_op(op);
		if (nr_failures > before) {
			atomic_fetch_add(&shared->nr_violated[op], 1);
			ksft_print_msg("step %d: %s; repeat it with -r %#llx -f %lu -n 1\n",
				       i, ops[op].name, (unsigned long long)seed, n);
			break;
		}
	}

	kvm_vm_free(model.vm);
	for (i = 0; i < model.nr_vcpus; i++)
		free(model.vcpus[i].table);
	free(model.table);
	memset(&model, 0, sizeof(model));
}

static void run_sequences(int process, unsigned long end)
{
	unsigned long n;

	while (!atomic_load(&shared->is_over) && !nr_failures) {
		n = atomic_fetch_add(&shared->next_sequence, 1);
		if (n >= end || (end == ULONG_MAX && is_past(&deadline)))
			break;

		shared->sequences[process] = n;
		alarm(CASE_TIMEOUT_S);
		run_sequence(n);
		alarm(0);
		atomic_fetch_add(&shared->nr_sequences, 1);
	}
	if (nr_failures)
		atomic_store(&shared->is_over, true);
}

/* Returns false if a process failed. */
static bool run_processes(int nr, unsigned long end)
{
	pid_t pids[MAX_PROCESSES];
	bool is_ok = true;
	int i, status;

	fflush(stdout);
	for (i = 0; i < nr; i++) {
		pids[i] = fork();
		TEST_ASSERT(pids[i] >= 0, "fork");
		if (!pids[i]) {
			run_sequences(i, end);
			exit(nr_failures ? KSFT_FAIL : KSFT_PASS);
		}
	}
	for (i = 0; i < nr; i++) {
		TEST_ASSERT(waitpid(pids[i], &status, 0) == pids[i], "waitpid");
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			continue;

		is_ok = false;
		atomic_store(&shared->is_over, true);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != KSFT_FAIL)
			ksft_print_msg("%s; repeat it with -r %#llx -f %lu -n 1\n",
				       WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ?
				       "hangs" : "crashed", (unsigned long long)seed,
				       shared->sequences[i]);
	}
	return is_ok;
}

static void print_help(const char *name)
{
	printf("usage: %s [-s SECONDS] [-r SEED] [-f FIRST] [-n COUNT] [-p PROCESSES]\n"
	       " -s  how long to run (default: %d)\n"
	       " -r  what the random numbers depend on (default: a new seed)\n"
	       " -f  the number of the first sequence (default: 0)\n"
	       " -n  the number of sequences, however long they take\n"
	       " -p  the number of processes, 1 to %d (default: %d)\n",
	       name, DEFAULT_SECONDS, MAX_PROCESSES, DEFAULT_PROCESSES);
}

int main(int argc, char *argv[])
{
	int opt, i, seconds = DEFAULT_SECONDS, nr_processes = DEFAULT_PROCESSES;
	unsigned long first = 0, count = 0, nr;
	char errors[512] = "";
	bool is_ok;
	size_t len;

	setlinebuf(stdout);
	seed = new_seed();

	while ((opt = getopt(argc, argv, "hs:r:f:n:p:")) != -1) {
		switch (opt) {
		case 's':
			seconds = atoi(optarg);
			break;
		case 'r':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			first = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			count = strtoul(optarg, NULL, 0);
			break;
		case 'p':
			nr_processes = atoi(optarg);
			break;
		default:
			print_help(argv[0]);
			exit(opt == 'h' ? 0 : 1);
		}
	}
	if (seconds < 1 || nr_processes < 1 || nr_processes > MAX_PROCESSES) {
		print_help(argv[0]);
		exit(1);
	}

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));
	max_vcpu_id = kvm_check_cap(KVM_CAP_MAX_VCPU_ID);
	hides_invtsc = hyperv_hides_invtsc();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(shared != MAP_FAILED, "Out of memory");
	shared->next_sequence = first;
	deadline = time_in(seconds);

	ksft_print_header();
	ksft_set_plan(NR_OPS + 1);
	ksft_print_msg("seed %#llx\n", (unsigned long long)seed);

	is_ok = run_processes(nr_processes, count ? first + count : ULONG_MAX);

	for (i = 0; i < ARRAY_SIZE(shared->nr_errors); i++) {
		nr = atomic_load(&shared->nr_errors[i]);
		len = strlen(errors);
		if (nr)
			snprintf(errors + len, sizeof(errors) - len, "%s%s %lu", len ? ", " : "",
				 i ? strerrorname_np(i) : "0", nr);
	}
	ksft_print_msg("ioctls returned: %s\n", errors);
	for (i = 0; i < NR_OPS; i++) {
		nr = atomic_load(&shared->nr_ops[i]);
		ksft_print_msg("done %lu times\n", nr);
		/* What was never done isn't known to work; but few sequences don't have all. */
		ksft_test_result((nr || count) && !atomic_load(&shared->nr_violated[i]), "%s\n",
				 ops[i].name);
	}
	ksft_print_msg("%lu sequences, %lu CPUIDs of guests\n",
		       atomic_load(&shared->nr_sequences), atomic_load(&shared->nr_cpuid));
	ksft_test_result(is_ok, "all sequences are as the model says\n");
	ksft_finished();
}
