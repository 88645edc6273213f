// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test where KVM finds its own CPUID leaves, which may start at any of the 256
 * hypervisor bases, e.g. behind Hyper-V's leaves.  KVM enforces the features
 * of the KVM_CPUID_FEATURES leaf that belongs to the base that it finds.
 */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>

#include "test_util.h"
#include "kvm_util.h"
#include "processor.h"

#define KVM		"KVMKVMKVM\0\0"
#define HYPERV		"Microsoft Hv"
#define XEN		"XenVMMXenVMM"

/* Each base has a feature of its own, which tells the bases apart. */
#define F0		BIT(KVM_FEATURE_CLOCKSOURCE)
#define F1		BIT(KVM_FEATURE_STEAL_TIME)
#define F2		BIT(KVM_FEATURE_POLL_CONTROL)

static const struct {
	u32 index;
	u32 feature;
} msrs[] = {
	{ MSR_KVM_SYSTEM_TIME, F0 },
	{ MSR_KVM_STEAL_TIME, F1 },
	{ MSR_KVM_POLL_CONTROL, F2 },
};

struct hypervisor {
	u32 base;
	const char *signature;
	u32 features;
};

static const struct testcase {
	const char *name;
	u32 features;
	struct hypervisor hypervisors[3];
} testcases[] = {
	{ "no hypervisor", 0 },
	{ "the first base", F0, { { 0x40000000, KVM, F0 } } },
	{ "the last base", F0, { { 0x4000ff00, KVM, F0 } } },
	{ "behind the last base", 0, { { 0x40010000, KVM, F0 } } },
	{ "between two bases", 0, { { 0x40000080, KVM, F0 } } },
	{ "KVM behind Hyper-V", F1,
	  { { 0x40000000, HYPERV, F0 }, { 0x40000100, KVM, F1 } } },
	{ "a signature that differs in the last byte", F1,
	  { { 0x40000000, "KVMKVMKVM\0\0!", F0 }, { 0x40000200, KVM, F1 } } },
	{ "the lowest of three bases, ascending", F0,
	  { { 0x40000100, KVM, F0 }, { 0x40000200, KVM, F1 }, { 0x4000ff00, KVM, F2 } } },
	{ "the lowest of three bases, descending", F0,
	  { { 0x4000ff00, KVM, F2 }, { 0x40000200, KVM, F1 }, { 0x40000100, KVM, F0 } } },
	{ "the same base twice, KVM both times", F0,
	  { { 0x40000100, KVM, F0 }, { 0x40000100, KVM, F1 } } },
	{ "the same base twice, KVM first", F0,
	  { { 0x40000100, KVM, F0 }, { 0x40000100, XEN, F1 }, { 0x40000200, KVM, F2 } } },
	{ "the same base twice, KVM second", F2,
	  { { 0x40000100, XEN, F0 }, { 0x40000100, KVM, F1 }, { 0x40000200, KVM, F2 } } },
	{ "the same base twice, KVM only second", 0,
	  { { 0x40000100, XEN, F0 }, { 0x40000100, KVM, F1 } } },
};

static void guest_code(u32 features)
{
	u64 ignored;
	u8 vector;
	int i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		vector = rdmsr_safe(msrs[i].index, &ignored);
		__GUEST_ASSERT(vector == (features & msrs[i].feature ? 0 : GP_VECTOR),
			       "RDMSR(0x%x) got vector %u with features 0x%x",
			       msrs[i].index, vector, features);
	}

	GUEST_DONE();
}

static void set_hypervisors(struct kvm_vcpu *vcpu, const struct hypervisor *h, int nr)
{
	const struct kvm_cpuid2 *supported = kvm_get_supported_cpuid();
	struct kvm_cpuid2 *cpuid = allocate_kvm_cpuid2(supported->nent + 2 * nr);
	struct kvm_cpuid_entry2 *e = cpuid->entries;
	int i;

	for (i = 0; i < supported->nent; i++) {
		if ((supported->entries[i].function & 0xc0000000) != 0x40000000)
			*e++ = supported->entries[i];
	}

	for (; nr && h->signature; h++, nr--) {
		*e = (struct kvm_cpuid_entry2) {
			.function = h->base,
			.eax = h->base | KVM_CPUID_FEATURES,
		};
		memcpy(&e->ebx, h->signature, 12);
		e++;

		*e++ = (struct kvm_cpuid_entry2) {
			.function = h->base | KVM_CPUID_FEATURES,
			.eax = h->features,
		};
	}

	cpuid->nent = e - cpuid->entries;
	vcpu_init_cpuid(vcpu, cpuid);
	free(cpuid);
}

static void run_testcase(const struct testcase *t)
{
	const struct hypervisor none = { 0x40000000, KVM, 0 };
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct ucall uc;

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	vcpu_enable_cap(vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);

	/* Old kernels keep the features that they found last, if they find none. */
	set_hypervisors(vcpu, &none, 1);
	set_hypervisors(vcpu, t->hypervisors, ARRAY_SIZE(t->hypervisors));
	vcpu_args_set(vcpu, 1, t->features);

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
	kvm_vm_free(vm);
}

int main(void)
{
	int i;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_ENFORCE_PV_FEATURE_CPUID));

	for (i = 0; i < ARRAY_SIZE(testcases); i++) {
		pr_info("testing %s\n", testcases[i].name);
		run_testcase(&testcases[i]);
	}
}
