// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test what vm_cpuid_test, which is for upstream, does not test of KVM_VM_SET_CPUID and
 * KVM_VM_GET_CPUID: memory that is mapped in part, creations that fail, and all state of
 * a vCPU, also without a local APIC in the kernel.
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include "kvm_test_harness.h"
#include "util.h"

static void assert_set(struct kvm_vm *vm, struct kvm_cpuid2 *table, int error)
{
	assert_errno("KVM_VM_SET_CPUID", __vm_set_cpuid(vm, table), error);
}

FIXTURE(abi) {
	struct kvm_vm *vm;
	struct kvm_cpuid2 *table;
};

FIXTURE_SETUP(abi)
{
	self->vm = vm_create_barebones();
	self->table = topology_table();
}

FIXTURE_TEARDOWN(abi)
{
	kvm_vm_free(self->vm);
}

/* A vCPU that could not be created, early or late, doesn't lock the table. */
TEST_F_TIMEOUT(abi, failed_create, CASE_TIMEOUT_S)
{
	struct rlimit old, none;
	int r;

	vm_enable_cap(self->vm, KVM_CAP_MAX_VCPU_ID, 2);
	vm_set_cpuid(self->vm, supported_table());
	assert_errno("vCPU 2 of 2", __vm_ioctl(self->vm, KVM_CREATE_VCPU, (void *)2ul), EINVAL);
	assert_set(self->vm, full_table(), 0);

	/* The last thing that vCPU creation needs is a file descriptor. */
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	r = __vm_ioctl(self->vm, KVM_CREATE_VCPU, (void *)1ul);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_errno("vCPU without a file descriptor", r, EMFILE);
	assert_vm_cpuid(self->vm, full_table());
	assert_set(self->vm, self->table, 0);

	assert_new_vcpu(__vm_vcpu_add(self->vm, 1)->fd, 1, self->table);
}

/* KVM_SET_CPUID and KVM_SET_CPUID2 return -EBUSY before any other error. */
TEST_F_TIMEOUT(abi, vcpu_busy, CASE_TIMEOUT_S)
{
	const u32 sizes[] = { 0, 1, CPUID_MAX_ENTRIES + 1, -1u };
	struct kvm_cpuid2 *cpuid2 = cpuid_alloc();
	struct kvm_cpuid *cpuid = (void *)cpuid2;
	struct kvm_vcpu *vcpu;
	int i;

	vm_set_cpuid(self->vm, self->table);
	vcpu = __vm_vcpu_add(self->vm, 3);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		cpuid2->nent = sizes[i];
		assert_errno("KVM_SET_CPUID2", __vcpu_ioctl(vcpu, KVM_SET_CPUID2, cpuid2), EBUSY);
		assert_errno("KVM_SET_CPUID", __vcpu_ioctl(vcpu, KVM_SET_CPUID, cpuid), EBUSY);
		TEST_ASSERT_EQ(cpuid2->nent, sizes[i]);
		assert_new_vcpu(vcpu->fd, 3, self->table);
	}
}

/* A table of which only the first bytes are mapped. */
TEST_F_TIMEOUT(abi, partly_mapped, CASE_TIMEOUT_S)
{
	const size_t entry = sizeof(struct kvm_cpuid_entry2), header = sizeof(struct kvm_cpuid2);
	const size_t size = header + self->table->nent * entry, area = 16 * 4096;
	const size_t mapped[] = { 0, 4, header, header + 1, header + entry, header + entry + 20,
				  size - 1 };
	struct kvm_cpuid2 *t;
	void *end;
	int i;

	end = mmap(NULL, area + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(end != MAP_FAILED, "mmap");
	end += area;
	TEST_ASSERT(!mprotect(end, 4096, PROT_NONE), "mprotect");

	vm_set_cpuid(self->vm, full_table());
	for (i = 0; i < ARRAY_SIZE(mapped); i++) {
		t = end - mapped[i];
		memcpy(t, self->table, mapped[i]);
		assert_set(self->vm, t, EFAULT);
		if (mapped[i])
			t->nent = CPUID_MAX_ENTRIES;
		assert_errno("KVM_VM_GET_CPUID", __vm_get_cpuid(self->vm, t), EFAULT);
		assert_vm_cpuid(self->vm, full_table());
	}

	t = end - size;
	memcpy(t, self->table, size);
	assert_set(self->vm, t, 0);
	assert_vm_cpuid(self->vm, self->table);
}

/* KVM_VM_GET_CPUID writes the table, or its size, or nothing. */
TEST_F_TIMEOUT(abi, get_writes, CASE_TIMEOUT_S)
{
	const size_t size = kvm_cpuid2_size(CPUID_MAX_ENTRIES + 1);
	const u32 nent = self->table->nent;
	const u32 sizes[] = { 0, 1, nent - 1, nent, nent + 1, CPUID_MAX_ENTRIES + 1, -1u };
	struct kvm_cpuid2 *seen = cpuid_alloc(), *expected = cpuid_alloc();
	struct kvm_cpuid2 *canonical = model_table(self->table, 0);
	int i, has_table;

	for (has_table = 0; has_table < 2; has_table++) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			memset(seen, 0x5a, size);
			seen->nent = sizes[i];
			memcpy(expected, seen, size);
			if (has_table)
				expected->nent = nent;
			if (has_table && sizes[i] >= nent)
				memcpy(expected, canonical, kvm_cpuid2_size(nent));

			assert_errno("KVM_VM_GET_CPUID", __vm_get_cpuid(self->vm, seen),
				     !has_table ? ENOENT : sizes[i] < nent ? E2BIG : 0);
			TEST_ASSERT(!memcmp(seen, expected, size), "nent %u: wrote something else",
				    sizes[i]);
		}
		vm_set_cpuid(self->vm, self->table);
	}
}

/* A VM keeps its own table, whatever others do. */
TEST_F_TIMEOUT(abi, two_vms, CASE_TIMEOUT_S)
{
	struct kvm_vm *other = vm_create_barebones();

	vm_set_cpuid(self->vm, self->table);
	vm_set_cpuid(other, full_table());
	assert_new_vcpu(__vm_vcpu_add(other, 1)->fd, 1, full_table());
	kvm_vm_free(other);
	assert_vm_cpuid(self->vm, self->table);
	assert_new_vcpu(__vm_vcpu_add(self->vm, 1)->fd, 1, self->table);
}

/* A vCPU that inherits the VM's table, and one that has a copy of its own. */
enum { UNDER_TABLE, WITH_COPY, NR_TWINS };

FIXTURE(twins) {
	struct kvm_vm *vm[NR_TWINS];
	struct kvm_cpuid2 *table;
};

FIXTURE_VARIANT(twins) {
	struct kvm_cpuid2 *(*table)(void);
	bool no_apic;
};

/* CR4 may then have less than the host's. */
static struct kvm_cpuid2 *no_leaf_7_table(void)
{
	struct kvm_cpuid2 *t = supported_table();

	*cpuid_find(t, 0x7, 0) = t->entries[--t->nent];
	return t;
}

static struct kvm_cpuid2 *one_entry_table(void)
{
	struct kvm_cpuid2 *t = cpuid_alloc();

	cpuid_put(t, (struct kvm_cpuid_entry2) { .function = 0x40000000, .eax = 1 });
	return t;
}

FIXTURE_VARIANT_ADD(twins, supported) { .table = supported_table };
FIXTURE_VARIANT_ADD(twins, no_apic) { .table = topology_table, .no_apic = true };
FIXTURE_VARIANT_ADD(twins, hyperv) { .table = hyperv_table };
FIXTURE_VARIANT_ADD(twins, no_leaf_7) { .table = no_leaf_7_table };
FIXTURE_VARIANT_ADD(twins, one_entry) { .table = one_entry_table };
FIXTURE_VARIANT_ADD(twins, full) { .table = full_table };

FIXTURE_SETUP(twins)
{
	int i;

	self->table = variant->table();
	for (i = 0; i < NR_TWINS; i++) {
		self->vm[i] = vm_create_barebones();
		if (!variant->no_apic)
			vm_create_irqchip(self->vm[i]);
	}
	vm_set_cpuid(self->vm[UNDER_TABLE], self->table);
}

FIXTURE_TEARDOWN(twins)
{
	kvm_vm_free(self->vm[UNDER_TABLE]);
	kvm_vm_free(self->vm[WITH_COPY]);
}

#define STATE(cmd, type)	{ #cmd, cmd, sizeof(type) }

static const struct {
	const char *name;
	unsigned long cmd;
	size_t size;
} states[] = {
	STATE(KVM_GET_REGS, struct kvm_regs),
	STATE(KVM_GET_SREGS2, struct kvm_sregs2),
	STATE(KVM_GET_LAPIC, struct kvm_lapic_state),
	STATE(KVM_GET_XCRS, struct kvm_xcrs),
	STATE(KVM_GET_DEBUGREGS, struct kvm_debugregs),
	STATE(KVM_GET_MP_STATE, struct kvm_mp_state),
	STATE(KVM_GET_VCPU_EVENTS, struct kvm_vcpu_events),
	STATE(KVM_GET_FPU, struct kvm_fpu),
	STATE(KVM_GET_XSAVE, struct kvm_xsave),
};

/* Return 0 or 1, as KVM_GET_MSRS does: the number of MSRs that were read. */
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

static void assert_same_msr(struct kvm_vcpu *vcpu[NR_TWINS], u32 index)
{
	u64 value[NR_TWINS];
	int r[NR_TWINS];

	r[0] = get_msr(vcpu[0], index, &value[0]);
	r[1] = get_msr(vcpu[1], index, &value[1]);
	TEST_ASSERT(r[0] == r[1] && value[0] == value[1], "MSR 0x%x: %d, 0x%lx and %d, 0x%lx",
		    index, r[0], value[0], r[1], value[1]);
}

/* These count time. */
static bool is_clock(u32 msr)
{
	return msr == MSR_IA32_TSC || msr == MSR_IA32_APERF || msr == MSR_IA32_MPERF ||
	       msr == HV_X64_MSR_TIME_REF_COUNT || msr == HV_X64_MSR_VP_RUNTIME;
}

/*
 * What VMX lets a vCPU do follows from its CPUID.  Only a write, or an MSR that
 * KVM_GET_MSR_INDEX_LIST leaves out, shows it.
 */
static void assert_same_vmx(struct kvm_vcpu *vcpu[NR_TWINS], bool has_vmx)
{
	static const u64 features[] = {
		0, FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX, FEAT_CTL_VMX_ENABLED_INSIDE_SMX,
		FEAT_CTL_SGX_ENABLED, FEAT_CTL_SGX_LC_ENABLED, FEAT_CTL_LMCE_ENABLED,
	};
	int i, r[NR_TWINS];

	assert_same_msr(vcpu, MSR_IA32_VMX_CR0_FIXED1);
	assert_same_msr(vcpu, MSR_IA32_VMX_CR4_FIXED1);
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		r[0] = _vcpu_set_msr(vcpu[0], MSR_IA32_FEAT_CTL, FEAT_CTL_LOCKED | features[i]);
		r[1] = _vcpu_set_msr(vcpu[1], MSR_IA32_FEAT_CTL, FEAT_CTL_LOCKED | features[i]);
		TEST_ASSERT(r[0] == r[1], "Feature control 0x%lx: %d and %d", features[i], r[0],
			    r[1]);
		TEST_ASSERT(r[0] || !has_vmx || features[i] & ~FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX,
			    "VMX can't be enabled");
	}
}

/* A new vCPU has the same state as its twin. */
TEST_F_TIMEOUT(twins, same_state, CASE_TIMEOUT_S)
{
	static const u32 ids[] = { 35, 0, 255, 300 };
	const struct kvm_msr_list *msrs = kvm_get_msr_index_list();
	const int nr_ids = quick ? 2 : ARRAY_SIZE(ids);
	static u8 state[NR_TWINS][8192];
	struct kvm_vcpu *vcpu[NR_TWINS];
	struct kvm_cpuid2 *seen, *copy;
	int i, j, r[NR_TWINS];
	u64 index;

	for (i = 0; i < nr_ids; i++) {
		vcpu[UNDER_TABLE] = __vm_vcpu_add(self->vm[UNDER_TABLE], ids[i]);
		vcpu[WITH_COPY] = __vm_vcpu_add(self->vm[WITH_COPY], ids[i]);
		copy = model_new_vcpu(self->table, ids[i]);
		vcpu_ioctl(vcpu[WITH_COPY], KVM_SET_CPUID2, copy);

		seen = vcpu_table(vcpu[UNDER_TABLE]->fd);
		assert_same_cpuid("KVM_GET_CPUID2 and its twin's", seen,
				  vcpu_table(vcpu[WITH_COPY]->fd));

		for (j = 0; j < ARRAY_SIZE(states); j++) {
			memset(state, 0, sizeof(state));
			r[0] = ioctl(vcpu[0]->fd, states[j].cmd, state[0]);
			r[1] = ioctl(vcpu[1]->fd, states[j].cmd, state[1]);
			TEST_ASSERT(r[0] == r[1] && !memcmp(state[0], state[1], states[j].size),
				    "vCPU %u: %s differs", ids[i], states[j].name);
		}
		for (j = 0; j < msrs->nmsrs; j++) {
			if (!is_clock(msrs->indices[j]))
				assert_same_msr(vcpu, msrs->indices[j]);
		}

		/* The VP index is the vCPU's index until userspace sets another one. */
		if (variant->table == hyperv_table) {
			for (j = 0; j < 2; j++) {
				TEST_ASSERT(get_msr(vcpu[UNDER_TABLE], HV_X64_MSR_VP_INDEX,
						    &index) == 1, "No VP index");
				TEST_ASSERT_EQ(index, i + j * 100);
				vcpu_set_msr(vcpu[UNDER_TABLE], HV_X64_MSR_VP_INDEX, i + 100);
			}
		}
		assert_same_vmx(vcpu, kvm_cpuid_has(self->table, X86_FEATURE_VMX));
	}
}

int main(int argc, char *argv[])
{
	take_options(&argc, argv);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));

	return test_harness_run(argc, argv);
}
