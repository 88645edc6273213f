// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test KVM_VM_SET_CPUID and KVM_VM_GET_CPUID, i.e. one CPUID table for all vCPUs
 * of a VM, in which KVM fills in the fields that differ from vCPU to vCPU.
 */
#include "kvm_test_harness.h"
#include "test_util.h"
#include "kvm_util.h"
#include "processor.h"
#include "hyperv.h"

#define TIMEOUT		120	/* seconds */
#define MAX_NENT	256
#define INDEXED		KVM_CPUID_FLAG_SIGNIFCANT_INDEX
#define JUNK		0xdeadbeef

#define XEN_BASE	0x40000100
#define XEN_VCPU_ID	BIT(3)

static const u32 ids[] = { 0, 1, 35, 255, 300 };

/* Two threads per core, and two nodes per package. */
static const struct kvm_cpuid_entry2 topology[] = {
	{ 0xb, 0, INDEXED, 0x1, 0x2, 0x100, JUNK },
	{ 0xb, 1, INDEXED, 0x6, 0x40, 0x201, JUNK },
	{ 0x1f, 0, INDEXED, 0x1, 0x2, 0x100, JUNK },
	{ 0x1f, 1, INDEXED, 0x6, 0x40, 0x201, JUNK },
	{ 0x8000001e, 0, 0, JUNK, 0x1ff, 0x1ff, 0 },
	{ 0x80000026, 0, INDEXED, 0x1, 0x2, 0x100, JUNK },
	{ 0x80000026, 1, INDEXED, 0x6, 0x40, 0x201, JUNK },
};

static struct kvm_cpuid2 *alloc_cpuid(const struct kvm_cpuid_entry2 *entries, int nent)
{
	struct kvm_cpuid2 *cpuid = allocate_kvm_cpuid2(nent);

	memcpy(cpuid->entries, entries, nent * sizeof(*entries));
	return cpuid;
}

/* What KVM supports, with topology, and optionally Hyper-V's leaves instead of KVM's. */
static struct kvm_cpuid2 *alloc_topology_cpuid(u32 size, bool hyperv)
{
	const struct kvm_cpuid2 *supported = kvm_get_supported_cpuid();
	struct kvm_cpuid2 *cpuid = allocate_kvm_cpuid2(MAX_NENT);
	struct kvm_cpuid_entry2 *e = cpuid->entries;
	int i;

	for (i = 0; i < supported->nent; i++) {
		*e = supported->entries[i];

		switch (e->function) {
		case 0x0:
			e->eax = 0x1f;
			break;
		case 0x80000000:
			e->eax = 0x80000026;
			break;
		case 0x80000008:
			e->ecx = size;
			break;
		case 0xb:
		case 0x1f:
		case 0x8000001e:
		case 0x80000026:
			continue;
		case 0x40000000 ... 0x400000ff:
			if (hyperv)
				continue;
		}
		e++;
	}

	memcpy(e, topology, sizeof(topology));
	e += ARRAY_SIZE(topology);

	if (hyperv) {
		supported = kvm_get_supported_hv_cpuid();
		memcpy(e, supported->entries, supported->nent * sizeof(*e));
		e += supported->nent;
	}

	cpuid->nent = e - cpuid->entries;
	return cpuid;
}

static void assert_same_cpuid(const struct kvm_cpuid2 *a, const struct kvm_cpuid2 *b)
{
	TEST_ASSERT_EQ(a->nent, b->nent);
	TEST_ASSERT(!memcmp(a, b, kvm_cpuid2_size(a->nent)), "The CPUID tables differ");
}

static void assert_vm_cpuid(struct kvm_vm *vm, const struct kvm_cpuid2 *expected)
{
	struct kvm_cpuid2 *cpuid = vm_get_cpuid(vm);

	TEST_ASSERT(cpuid, "The VM has no table");
	assert_same_cpuid(cpuid, expected);
	free(cpuid);
}

/* KVM writes only the number of the bad entry, if any, and keeps the VM's table. */
static void assert_set_fails(struct kvm_vm *vm, struct kvm_cpuid2 *cpuid, int error, u32 padding)
{
	struct kvm_cpuid2 *before = vm_get_cpuid(vm);
	u32 nent = cpuid->nent;
	int r = __vm_set_cpuid(vm, cpuid);

	TEST_ASSERT(r == -1 && errno == error, "Wanted '%s', got %d, '%s'",
		    strerror(error), r, strerror(errno));
	TEST_ASSERT_EQ(cpuid->nent, nent);
	TEST_ASSERT_EQ(cpuid->padding, padding);
	assert_vm_cpuid(vm, before);
	free(before);
}

static void run_vcpu(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	case UCALL_DONE:
		break;
	default:
		TEST_FAIL("Unexpected ucall: %lu", uc.cmd);
	}
}

FIXTURE(vm_cpuid) {
	struct kvm_vm *vm;
};

FIXTURE_SETUP(vm_cpuid)
{
	self->vm = vm_create(ARRAY_SIZE(ids));
	vm_set_cpuid(self->vm, kvm_get_supported_cpuid());
}

FIXTURE_TEARDOWN(vm_cpuid)
{
	kvm_vm_free(self->vm);
}

/* In a VM without a table, userspace still sets the CPUID of each vCPU. */
TEST_F_TIMEOUT(vm_cpuid, no_table, TIMEOUT)
{
	struct kvm_cpuid2 cpuid = {};
	struct kvm_vcpu *vcpu;

	vm_set_cpuid(self->vm, &cpuid);

	vcpu = __vm_vcpu_add(self->vm, 0);
	vcpu_ioctl(vcpu, KVM_GET_CPUID2, &cpuid);
	TEST_ASSERT_EQ(cpuid.nent, 0);

	vcpu_init_cpuid(vcpu, kvm_get_supported_cpuid());
	vcpu_clear_cpuid_entry(vcpu, 0x1);
	TEST_ASSERT(__vm_set_cpuid(self->vm, vcpu->cpuid) == -1 && errno == EBUSY,
		    "KVM_VM_SET_CPUID didn't fail");

	cpuid.nent = MAX_NENT;
	TEST_ASSERT(__vm_get_cpuid(self->vm, &cpuid) == -1 && errno == ENOENT,
		    "KVM_VM_GET_CPUID didn't fail");
	TEST_ASSERT_EQ(cpuid.nent, MAX_NENT);
}

TEST_F_TIMEOUT(vm_cpuid, set_order, TIMEOUT)
{
	struct kvm_cpuid2 *other = alloc_cpuid(topology, ARRAY_SIZE(topology));
	struct kvm_cpuid2 *expected, empty = {};
	struct kvm_cpuid old = {};
	struct kvm_vcpu *vcpu;
	struct kvm_regs regs;
	int i;

	vm_set_cpuid(self->vm, other);
	vm_set_cpuid(self->vm, kvm_get_supported_cpuid());
	expected = vm_get_cpuid(self->vm);

	for (i = 0; i < 3; i++) {
		vcpu = vm_vcpu_recreate(self->vm, i);
		TEST_ASSERT_EQ(vcpu_get_cpuid_entry(vcpu, 0x1)->eax, kvm_cpu_fms());
		TEST_ASSERT_EQ(vcpu->cpuid->nent, expected->nent);

		vcpu_regs_get(vcpu, &regs);
		TEST_ASSERT_EQ(regs.rdx, 0x600);

		assert_set_fails(self->vm, other, EBUSY, 0);
		assert_set_fails(self->vm, expected, EBUSY, 0);
		assert_set_fails(self->vm, &empty, EBUSY, 0);

		TEST_ASSERT(__vcpu_set_cpuid(vcpu) == -1 && errno == EBUSY,
			    "KVM_SET_CPUID2 didn't fail");
		TEST_ASSERT(__vcpu_ioctl(vcpu, KVM_SET_CPUID, &old) == -1 && errno == EBUSY,
			    "KVM_SET_CPUID didn't fail");
	}
}

TEST_F_TIMEOUT(vm_cpuid, header, TIMEOUT)
{
	const u32 max_nent = kvm_check_cap(KVM_CAP_VM_CPUID);
	struct kvm_cpuid2 *cpuid = allocate_kvm_cpuid2(max_nent + 1);
	int i;

	TEST_ASSERT_EQ(vm_check_cap(self->vm, KVM_CAP_VM_CPUID), max_nent);

	for (i = 0; i <= max_nent; i++)
		cpuid->entries[i].function = i;

	assert_set_fails(self->vm, cpuid, E2BIG, 0);
	cpuid->nent = max_nent;
	vm_set_cpuid(self->vm, cpuid);

	cpuid->padding = JUNK;
	assert_set_fails(self->vm, cpuid, EINVAL, JUNK);
	cpuid->nent = 0;
	assert_set_fails(self->vm, cpuid, EINVAL, JUNK);
}

TEST_F_TIMEOUT(vm_cpuid, entries, TIMEOUT)
{
	const struct {
		struct kvm_cpuid_entry2 entries[2];
		int error;
		u32 padding;
	} tables[] = {
		{ { { 0x10, .padding = { 1, 0, 0 } }, { 0x11 } }, EINVAL, 1 },
		{ { { 0x10 }, { 0x11, .padding = { 0, 1, 0 } } }, EINVAL, 2 },
		{ { { 0x10 }, { 0x11, .padding = { 0, 0, 1 } } }, EINVAL, 2 },
		{ { { 0x10 }, { 0x11, .flags = KVM_CPUID_FLAG_STATEFUL_FUNC } }, EINVAL, 2 },
		{ { { 0x10 }, { 0x11, .flags = INDEXED | BIT(31) } }, EINVAL, 2 },

		{ { { 0x10, 1 }, { 0x10, 2 } }, EINVAL, 2 },
		{ { { 0x10, 1, INDEXED }, { 0x10, 1, INDEXED } }, EINVAL, 2 },
		{ { { 0x10, 1, INDEXED }, { 0x10, 2 } }, EINVAL, 2 },
		{ { { 0x10, 1 }, { 0x10, 2, INDEXED } }, EINVAL, 2 },
		{ { { 0x10, 1, INDEXED }, { 0x10, 2, INDEXED } }, 0 },

		{ { { 0x80000008, .eax = 47 << 8 }, { 0x10 } }, EINVAL, 1 },
		{ { { 0x10 }, { 0x80000008, .eax = 58 << 8 } }, EINVAL, 2 },
		{ { { 0x10 }, { 0x80000008, .eax = 0 << 8 } }, 0 },
		{ { { 0x10 }, { 0x80000008, .eax = 57 << 8 } }, 0 },

		/* Userspace has to ask for the permission to use AMX in guests. */
		{ { { 0xc }, { 0xd, 0, INDEXED, XFEATURE_MASK_XTILE_DATA } }, EPERM, 0 },
	};
	struct kvm_cpuid2 *cpuid;
	int i;

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		cpuid = alloc_cpuid(tables[i].entries, 2);
		if (tables[i].error) {
			assert_set_fails(self->vm, cpuid, tables[i].error, tables[i].padding);
		} else {
			vm_set_cpuid(self->vm, cpuid);
			assert_vm_cpuid(self->vm, cpuid);
		}
	}
}

/* KVM writes only to tell which entry is bad, and ignores that the write fails. */
TEST_F_TIMEOUT(vm_cpuid, read_only_memory, TIMEOUT)
{
	static const struct {
		struct kvm_cpuid2 header;
		struct kvm_cpuid_entry2 entry;
	} good = { { 1 } }, bad = { { 1 }, { .flags = ~0 } };
	struct kvm_cpuid2 *read_only = (void *)&good;

	vm_set_cpuid(self->vm, read_only);
	assert_vm_cpuid(self->vm, read_only);
	assert_set_fails(self->vm, (void *)&bad, EINVAL, 0);

	TEST_ASSERT(__vm_set_cpuid(self->vm, NULL) == -1 && errno == EFAULT,
		    "KVM_VM_SET_CPUID didn't fail");
	TEST_ASSERT(__vm_get_cpuid(self->vm, read_only) == -1 && errno == EFAULT,
		    "KVM_VM_GET_CPUID didn't fail");
}

TEST_F_TIMEOUT(vm_cpuid, get_size, TIMEOUT)
{
	const u32 nent = kvm_get_supported_cpuid()->nent;
	struct kvm_cpuid2 *cpuid = allocate_kvm_cpuid2(MAX_NENT);
	int i, r;

	for (i = 0; i <= nent + 1; i++) {
		cpuid->nent = i;
		r = __vm_get_cpuid(self->vm, cpuid);
		if (i < nent)
			TEST_ASSERT(r == -1 && errno == E2BIG, "%d of %u entries fit", i, nent);
		else
			TEST_ASSERT(!r, KVM_IOCTL_ERROR(KVM_VM_GET_CPUID, r));
		TEST_ASSERT_EQ(cpuid->nent, nent);
	}
}

TEST_F_TIMEOUT(vm_cpuid, canonical_form, TIMEOUT)
{
	const struct kvm_cpuid_entry2 in[] = {
		{ 0x80000026, 0, INDEXED, 1, 2, 3, JUNK },
		{ 0x8000001e, 7, 0, JUNK, 0xabcd01ff, 0x1ff, 4 },
		{ 0xd, 2, INDEXED, 0x100, 0x240, 0, 0 },
		{ 0xd, 1, INDEXED, BIT(1), JUNK, 0, 0 },
		{ 0xd, 0, INDEXED, 0x7, JUNK, 0x340, 0 },
		{ 0xb, 1, INDEXED, 1, 2, 3, JUNK },
		{ 0xb, 0, INDEXED, 1, 2, 3, JUNK },
		{ 0x7, 1, INDEXED, 1, 2, BIT(4), 4 },
		{ 0x7, 0, INDEXED, 1, 2, BIT(4) | BIT(3), 4 },
		{ 0x1, 5, 0, 0x123, 0xff080800, BIT(27) | BIT(26), BIT(9) | BIT(6) },
		{ 0x0, JUNK, 0, 0x1f, 2, 3, 4 },
	};
	const struct kvm_cpuid_entry2 out[] = {
		{ 0x0, 0, 0, 0x1f, 2, 3, 4 },
		{ 0x1, 0, 0, 0x123, 0x080800, BIT(26), BIT(6) },
		{ 0x7, 0, INDEXED, 1, 2, BIT(3), 4 },
		{ 0x7, 1, INDEXED, 1, 2, BIT(4), 4 },
		{ 0xb, 0, INDEXED, 1, 2, 3, 0 },
		{ 0xb, 1, INDEXED, 1, 2, 3, 0 },
		{ 0xd, 0, INDEXED, 0x7, 0, 0x340, 0 },
		{ 0xd, 1, INDEXED, BIT(1), 0, 0, 0 },
		{ 0xd, 2, INDEXED, 0x100, 0x240, 0, 0 },
		{ 0x8000001e, 0, 0, 0, 0xabcd0100, 0x100, 4 },
		{ 0x80000026, 0, INDEXED, 1, 2, 3, 0 },
	};
	struct kvm_cpuid2 *cpuid = alloc_cpuid(in, ARRAY_SIZE(in));
	struct kvm_cpuid2 *expected = alloc_cpuid(out, ARRAY_SIZE(out));
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm_set_cpuid(self->vm, cpuid);
	assert_vm_cpuid(self->vm, expected);

	/* A table in canonical form, and a vCPU's table, have that form. */
	vm_set_cpuid(self->vm, expected);
	assert_vm_cpuid(self->vm, expected);

	vcpu = __vm_vcpu_add(self->vm, 300);
	vcpu_ioctl(vcpu, KVM_GET_CPUID2, cpuid);
	vm = vm_create_barebones();
	vm_set_cpuid(vm, cpuid);
	assert_vm_cpuid(vm, expected);
	kvm_vm_free(vm);
}

static void guest_check_ids(u32 id, u32 core, u32 node)
{
	u32 i, eax, ebx, ecx, edx;

	cpuid(0x1, &eax, &ebx, &ecx, &edx);
	GUEST_ASSERT_EQ(ebx >> 24, id & 0xff);

	/* Subleaves 2 and 3 of 0xB and 0x1F are undefined. */
	for (i = 0; i < 4; i++) {
		__cpuid(0xb, i, &eax, &ebx, &ecx, &edx);
		GUEST_ASSERT_EQ(edx, id);
		__cpuid(0x1f, i, &eax, &ebx, &ecx, &edx);
		GUEST_ASSERT_EQ(edx, id);
		__cpuid(0x80000026, i, &eax, &ebx, &ecx, &edx);
		GUEST_ASSERT_EQ(edx, i < 2 ? id : 0);
	}

	cpuid(0x8000001e, &eax, &ebx, &ecx, &edx);
	GUEST_ASSERT_EQ(eax, id);
	GUEST_ASSERT_EQ(ebx, 0x100 | (core & 0xff));
	GUEST_ASSERT_EQ(ecx, 0x100 | (node & 0xff));

	GUEST_DONE();
}

TEST_F_TIMEOUT(vm_cpuid, ids, TIMEOUT)
{
	/* A width of IDs, or a number of threads; a node has one bit less. */
	const u32 sizes[] = { 0x60ff, 0x20, 0 }, node_widths[] = { 5, 5, 0 };
	u32 i, j, core, node;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		vm = vm_create(ARRAY_SIZE(ids));
		vm_set_cpuid(vm, alloc_topology_cpuid(sizes[i], false));

		for (j = 0; j < ARRAY_SIZE(ids); j++) {
			core = (ids[j] & (BIT(node_widths[i]) - 1)) >> 1;
			node = ids[j] >> node_widths[i];

			vcpu = vm_vcpu_add(vm, ids[j], guest_check_ids);
			vcpu_args_set(vcpu, 3, ids[j], core, node);
			run_vcpu(vcpu);
		}
		kvm_vm_free(vm);
	}
}

static bool is_clock(u32 msr)
{
	return msr == MSR_IA32_TSC || msr == MSR_IA32_APERF || msr == MSR_IA32_MPERF ||
	       msr == HV_X64_MSR_TIME_REF_COUNT || msr == HV_X64_MSR_VP_RUNTIME;
}

static void assert_same_state(struct kvm_vcpu *vcpu_a, struct kvm_vcpu *vcpu_b)
{
	struct kvm_x86_state *a = vcpu_save_state(vcpu_a);
	struct kvm_x86_state *b = vcpu_save_state(vcpu_b);
	int i;

	TEST_ASSERT(!memcmp(&a->events, &b->events, sizeof(a->events)), "events differ");
	TEST_ASSERT(!memcmp(&a->mp_state, &b->mp_state, sizeof(a->mp_state)), "mp_state differs");
	TEST_ASSERT(!memcmp(&a->regs, &b->regs, sizeof(a->regs)), "regs differ");
	TEST_ASSERT(!memcmp(&a->sregs, &b->sregs, sizeof(a->sregs)), "sregs differ");
	TEST_ASSERT(!memcmp(&a->xcrs, &b->xcrs, sizeof(a->xcrs)), "xcrs differ");
	TEST_ASSERT(!memcmp(&a->debugregs, &b->debugregs, sizeof(a->debugregs)), "DRs differ");
	TEST_ASSERT(!memcmp(&a->nested, &b->nested, sizeof(a->nested)), "nested differs");
	TEST_ASSERT(!memcmp(a->xsave, b->xsave, sizeof(*a->xsave)), "xsave differs");
	for (i = 0; i < a->msrs.nmsrs; i++)
		TEST_ASSERT(is_clock(a->msrs.entries[i].index) ||
			    a->msrs.entries[i].data == b->msrs.entries[i].data,
			    "MSR 0x%x differs: 0x%llx and 0x%llx", a->msrs.entries[i].index,
			    a->msrs.entries[i].data, b->msrs.entries[i].data);

	kvm_x86_state_cleanup(a);
	kvm_x86_state_cleanup(b);
}

/* A new vCPU is the same as one whose userspace sets its own copy right away. */
TEST_F_TIMEOUT(vm_cpuid, twins, TIMEOUT)
{
	struct kvm_vcpu *vcpu, *twin;
	struct kvm_vm *vm, *twin_vm;
	int i, hyperv;

	for (hyperv = 0; hyperv <= kvm_has_cap(KVM_CAP_SYS_HYPERV_CPUID); hyperv++) {
		vm = vm_create(ARRAY_SIZE(ids));
		twin_vm = vm_create(ARRAY_SIZE(ids));
		vm_set_cpuid(vm, alloc_topology_cpuid(0x6000, hyperv));

		for (i = 0; i < ARRAY_SIZE(ids); i++) {
			vcpu = vm_vcpu_recreate(vm, ids[i]);
			twin = __vm_vcpu_add(twin_vm, ids[i]);
			vcpu_init_cpuid(twin, vcpu->cpuid);

			assert_same_cpuid(vcpu->cpuid, twin->cpuid);
			assert_same_state(vcpu, twin);
		}
		kvm_vm_free(vm);
		kvm_vm_free(twin_vm);
	}
}

static void guest_check_runtime_bits(void)
{
	GUEST_ASSERT_EQ(this_cpu_property(X86_PROPERTY_XSTATE_MAX_SIZE_XCR0),
			this_cpu_property(X86_PROPERTY_XSTATE_MAX_SIZE));

	if (this_cpu_has(X86_FEATURE_XSAVE)) {
		set_cr4(get_cr4() & ~X86_CR4_OSXSAVE);
		GUEST_ASSERT(!this_cpu_has(X86_FEATURE_OSXSAVE));
		set_cr4(get_cr4() | X86_CR4_OSXSAVE);
		GUEST_ASSERT(this_cpu_has(X86_FEATURE_OSXSAVE));
	}

	if (this_cpu_has(X86_FEATURE_PKU)) {
		set_cr4(get_cr4() | X86_CR4_PKE);
		GUEST_ASSERT(this_cpu_has(X86_FEATURE_OSPKE));
		set_cr4(get_cr4() & ~X86_CR4_PKE);
		GUEST_ASSERT(!this_cpu_has(X86_FEATURE_OSPKE));
	}

	GUEST_ASSERT(this_cpu_has(X86_FEATURE_APIC));
	wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) & ~MSR_IA32_APICBASE_ENABLE);
	GUEST_ASSERT(!this_cpu_has(X86_FEATURE_APIC));

	GUEST_DONE();
}

TEST_F_TIMEOUT(vm_cpuid, runtime_bits, TIMEOUT)
{
	struct kvm_vcpu *vcpus[2];
	struct kvm_cpuid2 *cpuid = vm_get_cpuid(self->vm);
	int i;

	for (i = 0; i < 2; i++)
		vcpus[i] = vm_vcpu_add(self->vm, i, guest_check_runtime_bits);

	/* What one vCPU does changes neither the other one nor the VM's table. */
	for (i = 0; i < 2; i++) {
		run_vcpu(vcpus[i]);
		assert_vm_cpuid(self->vm, cpuid);
	}
}

static void guest_check_ebx(u32 function, u32 expected)
{
	u32 eax, ebx, ecx, edx;

	cpuid(function, &eax, &ebx, &ecx, &edx);
	GUEST_ASSERT_EQ(ebx, expected);
	GUEST_DONE();
}

TEST_F_TIMEOUT(vm_cpuid, xen_vcpu_id, TIMEOUT)
{
	struct kvm_xen_vcpu_attr attr = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID };
	struct kvm_cpuid2 *cpuid = alloc_topology_cpuid(0, false);
	struct kvm_cpuid_entry2 *e = cpuid->entries + cpuid->nent;
	struct kvm_vcpu *vcpu;
	u32 i;

	if (!(kvm_check_cap(KVM_CAP_XEN_HVM) & KVM_XEN_HVM_CONFIG_EVTCHN_SEND))
		SKIP(return, "KVM has no Xen vCPU ID");

	e[0] = (struct kvm_cpuid_entry2){ XEN_BASE, .eax = XEN_BASE + 4 };
	memcpy(&e[0].ebx, "XenVMMXenVMM", 12);
	e[1] = (struct kvm_cpuid_entry2){ XEN_BASE + 4, .eax = XEN_VCPU_ID, .ebx = JUNK };
	cpuid->nent += 2;
	vm_set_cpuid(self->vm, cpuid);

	/* Until userspace sets the ID, the vCPU has what the table has. */
	for (i = 0; i < 3; i++) {
		vcpu = vm_vcpu_add(self->vm, i, guest_check_ebx);
		attr.u.vcpu_id = 70 + i;
		if (i)
			vcpu_ioctl(vcpu, KVM_XEN_VCPU_SET_ATTR, &attr);
		vcpu_args_set(vcpu, 2, XEN_BASE + 4, i ? 70 + i : JUNK);
		run_vcpu(vcpu);
	}
}

/* Userspace whose table KVM refuses can pass it to KVM_SET_CPUID2 as it is. */
TEST_F_TIMEOUT(vm_cpuid, fallback, TIMEOUT)
{
	struct kvm_cpuid2 *cpuid = alloc_topology_cpuid(0, false);
	struct kvm_cpuid_entry2 *e = cpuid->entries + cpuid->nent;
	struct kvm_cpuid2 empty = {};
	struct kvm_vcpu *vcpu;

	e[0] = cpuid->entries[0];
	e[1] = (struct kvm_cpuid_entry2){ 0x4fffffff, .ebx = JUNK };
	cpuid->nent += 2;

	assert_set_fails(self->vm, cpuid, EINVAL, cpuid->nent - 1);
	vm_set_cpuid(self->vm, &empty);

	vcpu = vm_vcpu_add(self->vm, 0, guest_check_ebx);
	vcpu_ioctl(vcpu, KVM_SET_CPUID2, cpuid);
	vcpu_args_set(vcpu, 2, 0x4fffffff, JUNK);
	run_vcpu(vcpu);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));

	return test_harness_run(argc, argv);
}
