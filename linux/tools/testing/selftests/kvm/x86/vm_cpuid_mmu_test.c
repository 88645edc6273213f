// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that vCPUs under a VM's CPUID table agree on what is reserved in page
 * tables, whichever of them gets there first.
 *
 * vCPUs share shadow pages, whose role doesn't include MAXPHYADDR.  If vCPUs
 * differ in MAXPHYADDR, by KVM_SET_CPUID2, then a wide vCPU makes KVM shadow a
 * PTE in which a narrow vCPU has a reserved bit, and misses its fault from then
 * on.  KVM shadows the guest's page tables without TDP, L1's TDP tables with it.
 */
#include <linux/bitops.h>

#include "kvm_test_harness.h"
#include "test_util.h"
#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"
#include "vmx.h"

#define TIMEOUT		120	/* seconds */
#define TEST_GVA	0x100000000ull
#define TEST_L2_GPA	0x100000000ull
#define TEST_SLOT	1

static void l2_guest_code(void)
{
	READ_ONCE(*(u8 *)TEST_GVA);

	if (host_cpu_is_intel)
		vmcall();
	else
		vmmcall();
}

/* Return true if the load succeeds, false if the PTE has a reserved bit. */
static bool guest_load(void)
{
	u64 error_code;
	u8 vector;

	vector = kvm_asm_safe_ec("testb $1, (%%rax)", error_code, "a"(TEST_GVA));
	if (!vector)
		return true;

	GUEST_ASSERT_EQ(vector, PF_VECTOR);
	GUEST_ASSERT(error_code & PFERR_RSVD_MASK);
	return false;
}

static bool l2_load_svm(struct svm_test_data *svm)
{
	generic_svm_setup(svm, l2_guest_code);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	if (svm->vmcb->control.exit_code == SVM_EXIT_VMMCALL)
		return true;

	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_NPF);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_info_2, TEST_L2_GPA);
	GUEST_ASSERT(svm->vmcb->control.exit_info_1 & PFERR_RSVD_MASK);
	return false;
}

static bool l2_load_vmx(struct vmx_pages *vmx)
{
	GUEST_ASSERT(load_vmcs(vmx));
	prepare_vmcs(vmx, l2_guest_code);
	GUEST_ASSERT(!vmlaunch());
	if (vmreadz(VM_EXIT_REASON) == EXIT_REASON_VMCALL)
		return true;

	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_EPT_MISCONFIG);
	GUEST_ASSERT_EQ(vmreadz(GUEST_PHYSICAL_ADDRESS), TEST_L2_GPA);
	return false;
}

static void guest_code(void *nested)
{
	if (nested && host_cpu_is_intel)
		GUEST_ASSERT(prepare_for_vmx_operation(nested));

	while (true) {
		if (!nested)
			GUEST_SYNC(guest_load());
		else if (host_cpu_is_intel)
			GUEST_SYNC(l2_load_vmx(nested));
		else
			GUEST_SYNC(l2_load_svm(nested));
	}
}

static bool run_load(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		return uc.args[1];
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		TEST_FAIL("Unexpected ucall: %lu", uc.cmd);
	}
	return false;
}

FIXTURE(vm_cpuid_mmu) {
	struct kvm_vm *vm;
	/* MAXPHYADDRs for which the load succeeds, and for which it doesn't. */
	u8 wide;
	u8 narrow;
};

FIXTURE_SETUP(vm_cpuid_mmu)
{
	struct kvm_vm *vm = vm_create(2);
	gpa_t gpa;

	self->vm = vm;
	self->wide = kvm_cpu_property(X86_PROPERTY_MAX_PHY_ADDR);
	self->narrow = __fls(vm->max_gfn) + vm->page_shift;

	/* Map a page at the lowest address that is too high for a narrow vCPU. */
	gpa = BIT_ULL(self->narrow);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, gpa, TEST_SLOT, 1, 0);
	if (kvm_is_tdp_enabled()) {
		virt_map(vm, TEST_GVA, TEST_L2_GPA, 1);
		vm_enable_tdp(vm);
		tdp_map(vm, TEST_L2_GPA, gpa, vm->page_size);
	} else {
		virt_map(vm, TEST_GVA, gpa, 1);
	}
}

FIXTURE_TEARDOWN(vm_cpuid_mmu)
{
	kvm_vm_free(self->vm);
}

static void add_vcpus(struct kvm_vm *vm, struct kvm_vcpu *vcpus[])
{
	gva_t nested = 0;
	int i;

	for (i = 0; i < 2; i++) {
		vcpus[i] = vm_vcpu_add(vm, i, guest_code);
		if (kvm_is_tdp_enabled()) {
			if (host_cpu_is_intel)
				vcpu_alloc_vmx(vm, &nested);
			else
				vcpu_alloc_svm(vm, &nested);
		}
		vcpu_args_set(vcpus[i], 1, nested);
	}

	if (kvm_is_tdp_enabled())
		tdp_identity_map_default_memslots(vm);
}

static void set_vm_maxphyaddr(struct kvm_vm *vm, u8 maxphyaddr)
{
	const struct kvm_cpuid2 *supported = kvm_get_supported_cpuid();
	struct kvm_cpuid2 *cpuid = allocate_kvm_cpuid2(supported->nent);
	struct kvm_cpuid_entry2 *e;

	memcpy(cpuid, supported, kvm_cpuid2_size(supported->nent));
	e = (struct kvm_cpuid_entry2 *)get_cpuid_entry(cpuid, 0x80000008, 0);
	e->eax = (e->eax & ~0xff) | maxphyaddr;
	vm_set_cpuid(vm, cpuid);
	free(cpuid);
}

/* vCPUs of a VM with a table can't be given another MAXPHYADDR. */
static void test_table(struct kvm_vm *vm, u8 maxphyaddr, u8 other, bool loads)
{
	struct kvm_vcpu *vcpus[2];
	struct kvm_cpuid_entry2 *e;
	int i;

	set_vm_maxphyaddr(vm, maxphyaddr);
	add_vcpus(vm, vcpus);

	e = vcpu_get_cpuid_entry(vcpus[0], 0x80000008);
	e->eax = (e->eax & ~0xff) | other;
	TEST_ASSERT(__vcpu_set_cpuid(vcpus[0]) == -1 && errno == EBUSY,
		    "KVM_SET_CPUID2 didn't fail");

	for (i = 0; i < 4; i++)
		TEST_ASSERT(run_load(vcpus[i % 2]) == loads, "vCPU %d %s fault", i % 2,
			    loads ? "gets a" : "misses its");
}

TEST_F_TIMEOUT(vm_cpuid_mmu, narrow_table, TIMEOUT)
{
	test_table(self->vm, self->narrow, self->wide, false);
}

TEST_F_TIMEOUT(vm_cpuid_mmu, wide_table, TIMEOUT)
{
	test_table(self->vm, self->wide, self->narrow, true);
}

/* Without a table, the narrow vCPU is sure to get its fault only if it is first. */
TEST_F_TIMEOUT(vm_cpuid_mmu, no_table, TIMEOUT)
{
	struct kvm_vcpu *vcpus[2], *narrow, *wide;

	add_vcpus(self->vm, vcpus);
	narrow = vcpus[0];
	wide = vcpus[1];
	vcpu_set_cpuid_property(narrow, X86_PROPERTY_MAX_PHY_ADDR, self->narrow);

	TEST_ASSERT(!run_load(narrow), "The narrow vCPU misses its fault");
	TEST_ASSERT(run_load(wide), "The wide vCPU gets a fault");
	ksft_print_msg("After the wide vCPU, the narrow vCPU %s fault\n",
		       run_load(narrow) ? "misses its" : "gets its");
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));
	TEST_REQUIRE(!kvm_is_tdp_enabled() || kvm_cpu_has_tdp());

	return test_harness_run(argc, argv);
}
