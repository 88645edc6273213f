// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that a guest can't tell whether its vCPUs inherited the VM's CPUID table, from
 * KVM_VM_SET_CPUID, or got one each, from KVM_SET_CPUID2, with IDs from the VMM: both
 * must read the same in every state that changes what CPUID returns.
 */
#include <linux/kvm_para.h>

#include "kvm_test_harness.h"
#include "util.h"
#include "smm.h"

#define DEFAULT_RANDOM_TABLES	8

#define SMRAM_GPA		0x1000000
#define SMI_RESULT_GPA		(SMRAM_GPA + 0x8800)

enum { UNDER_TABLE, WITH_COPY, NR_TWINS };

static const u32 ids[] = { 300, 0 };

/* Tell the host a hash of all that CPUID returns. */
static void guest_view(void)
{
	static const u32 bases[] = { 0, 0x40000000, 0x40000100, 0x80000000, 0xc0000000 };
	u32 base, function, index, eax, ebx, ecx, edx;
	u64 hash;

	for (;;) {
		hash = 0;
		for (base = 0; base < ARRAY_SIZE(bases); base++) {
			for (function = 0; function < 0x28; function++) {
				for (index = 0; index < 3; index++) {
					__cpuid(bases[base] + function, index, &eax, &ebx, &ecx, &edx);
					hash = hash * 31 + eax;
					hash = hash * 31 + ebx;
					hash = hash * 31 + ecx;
					hash = hash * 31 + edx;
				}
			}
		}
		GUEST_SYNC(hash);
	}
}

static void create_twin_vms(struct kvm_vm *vm[NR_TWINS], const struct kvm_cpuid2 *table)
{
	vm[UNDER_TABLE] = vm_create(1);
	vm[WITH_COPY] = vm_create(1);
	vm_set_cpuid(vm[UNDER_TABLE], table);
}

static void create_twins(struct kvm_vm *vm[NR_TWINS], u32 id, const struct kvm_cpuid2 *table,
			 struct kvm_vcpu *vcpu[NR_TWINS])
{
	vcpu[UNDER_TABLE] = vm_vcpu_add(vm[UNDER_TABLE], id, guest_view);
	vcpu[WITH_COPY] = vm_vcpu_add(vm[WITH_COPY], id, guest_view);
	vcpu_init_cpuid(vcpu[WITH_COPY], model_new_vcpu(table, id));
}

static u64 assert_same_view(struct kvm_vcpu *vcpu[NR_TWINS])
{
	u64 view = run_guest_code(vcpu[UNDER_TABLE]);

	TEST_ASSERT(view == run_guest_code(vcpu[WITH_COPY]), "The guest reads something else");
	assert_same_cpuid("KVM_GET_CPUID2 and its twin's", vcpu_table(vcpu[UNDER_TABLE]->fd),
			  vcpu_table(vcpu[WITH_COPY]->fd));
	return view;
}

/* Turn something on or off, and return whether KVM accepts that. */
static int change_cr4(struct kvm_vcpu *vcpu, u64 bit, bool on)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr4 = on ? sregs.cr4 | bit : sregs.cr4 & ~bit;
	return _vcpu_sregs_set(vcpu, &sregs);
}

static int change_apic(struct kvm_vcpu *vcpu, u64 bit, bool on)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.apic_base = on ? sregs.apic_base | bit : sregs.apic_base & ~bit;
	return _vcpu_sregs_set(vcpu, &sregs);
}

static int change_xcr0(struct kvm_vcpu *vcpu, u64 features, bool on)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = on ? features : 1 };

	return __vcpu_ioctl(vcpu, KVM_SET_XCRS, &xcrs);
}

static int change_xss(struct kvm_vcpu *vcpu, u64 unused, bool on)
{
	const struct kvm_cpuid_entry2 *e = __vcpu_get_cpuid_entry(vcpu, 0xd, 1);

	return _vcpu_set_msr(vcpu, MSR_IA32_XSS, on && e ? e->ecx : 0);
}

static int change_mwait(struct kvm_vcpu *vcpu, u64 bit, bool on)
{
	return _vcpu_set_msr(vcpu, MSR_IA32_MISC_ENABLE, on ? bit : 0);
}

static int change_tsx_ctrl(struct kvm_vcpu *vcpu, u64 bit, bool on)
{
	return _vcpu_set_msr(vcpu, MSR_IA32_TSX_CTRL, on ? 0 : bit);
}

static int change_hv_invtsc(struct kvm_vcpu *vcpu, u64 bit, bool on)
{
	return _vcpu_set_msr(vcpu, HV_X64_MSR_TSC_INVARIANT_CONTROL, on ? bit : 0);
}

/* KVM describes the TSC in Xen's leaves, when it next updates the guest's clock. */
static int change_xen(struct kvm_vcpu *vcpu, u64 msr, bool on)
{
	struct kvm_xen_hvm_config config = { .msr = on ? msr : 0 };
	struct kvm_clock_data clock = {};

	return __vm_ioctl(vcpu->vm, KVM_XEN_HVM_CONFIG, &config) ?:
	       __vm_ioctl(vcpu->vm, KVM_SET_CLOCK, &clock);
}

static struct kvm_cpuid2 *xen_table(void)
{
	struct kvm_cpuid_entry2 e = { .function = 0x40000100, .eax = 0x40000104 };
	struct kvm_cpuid2 *t = topology_table();

	memcpy(&e.ebx, "XenVMMXenVMM", 12);
	cpuid_put(t, e);
	for (e.index = 1; e.index < 3; e.index++)
		cpuid_put(t, (struct kvm_cpuid_entry2) {
			.function = 0x40000103, .index = e.index,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX });
	return t;
}

static struct kvm_cpuid2 *hv_invtsc_table(void)
{
	struct kvm_cpuid2 *t = hyperv_table();

	cpuid_put(t, (struct kvm_cpuid_entry2) {
		.function = 0x80000007, .edx = BIT(X86_FEATURE_INVTSC.bit) });
	return t;
}

EMPTY_FIXTURE(state)

FIXTURE_VARIANT(state) {
	struct kvm_cpuid2 *(*table)(void);
	int (*change)(struct kvm_vcpu *vcpu, u64 bits, bool on);
	u64 bits;
};

#define STATE(name, ...)	FIXTURE_VARIANT_ADD(state, name) { __VA_ARGS__ }

STATE(osxsave, topology_table, change_cr4, X86_CR4_OSXSAVE);
STATE(ospke, topology_table, change_cr4, X86_CR4_PKE);
STATE(apic, topology_table, change_apic, MSR_IA32_APICBASE_ENABLE);
STATE(xcr0, topology_table, change_xcr0, XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM);
STATE(xss, topology_table, change_xss);
STATE(mwait, topology_table, change_mwait, MSR_IA32_MISC_ENABLE_MWAIT);
STATE(tsx_ctrl, topology_table, change_tsx_ctrl, TSX_CTRL_CPUID_CLEAR);
STATE(hv_invtsc, hv_invtsc_table, change_hv_invtsc, HV_INVARIANT_TSC_EXPOSED);
STATE(xen_tsc, xen_table, change_xen, 0x40000200);

TEST_F_TIMEOUT(state, same_view, CASE_TIMEOUT_S)
{
	struct kvm_cpuid2 *table = variant->table();
	int i, j, step, r[NR_TWINS], nr_changes = 0;
	struct kvm_vcpu *vcpu[NR_TWINS];
	struct kvm_vm *vm[NR_TWINS];
	u64 view, previous;

	for (i = 0; i < (quick ? 1 : ARRAY_SIZE(ids)); i++) {
		create_twin_vms(vm, table);
		for (j = 0; j < NR_TWINS; j++)
			vm_enable_cap(vm[j], KVM_CAP_DISABLE_QUIRKS2,
				      KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT);
		create_twins(vm, ids[i], table, vcpu);
		previous = assert_same_view(vcpu);

		for (step = 0; step < 4; step++) {
			for (j = 0; j < NR_TWINS; j++)
				r[j] = variant->change(vcpu[j], variant->bits, step & 1);
			TEST_ASSERT_EQ(r[UNDER_TABLE], r[WITH_COPY]);
			view = assert_same_view(vcpu);
			nr_changes += view != previous;
			previous = view;
		}
		assert_vm_cpuid(vm[UNDER_TABLE], table);
		kvm_vm_free(vm[UNDER_TABLE]);
		kvm_vm_free(vm[WITH_COPY]);
	}
	if (!nr_changes)
		SKIP(return, "CPUID doesn't change");
}

static void guest_kick_cpu(u64 id, bool has_unhalt)
{
	GUEST_ASSERT_EQ(this_cpu_has(X86_FEATURE_KVM_PV_UNHALT), has_unhalt);
	GUEST_ASSERT_EQ(kvm_hypercall(KVM_HC_KICK_CPU, 0, id, 0, 0), has_unhalt ? 0 : -KVM_ENOSYS);
	GUEST_DONE();
}

EMPTY_FIXTURE(view)

/* PV_UNHALT and its hypercall are gone when HLT doesn't exit. */
TEST_F_TIMEOUT(view, pv_unhalt, CASE_TIMEOUT_S)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int disable;

	if (!kvm_cpu_has(X86_FEATURE_KVM_PV_UNHALT) ||
	    !(kvm_check_cap(KVM_CAP_X86_DISABLE_EXITS) & KVM_X86_DISABLE_EXITS_HLT))
		SKIP(return, "No PV_UNHALT, or HLT always exits");

	for (disable = 0; disable < 2; disable++) {
		vm = vm_create(1);
		vm_set_cpuid(vm, supported_table());
		if (disable)
			vm_enable_cap(vm, KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_HLT);
		vcpu = vm_vcpu_add(vm, 1, guest_kick_cpu);
		vcpu_args_set(vcpu, 2, 1, !disable);
		vcpu_enable_cap(vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);
		/* Older kernels hide it when something else that CPUID shows changes. */
		change_apic(vcpu, MSR_IA32_APICBASE_ENABLE, false);
		run_guest_code(vcpu);
		assert_vm_cpuid(vm, supported_table());
		kvm_vm_free(vm);
	}
}

/* 16-bit code, with flat segments, as at the start of SMM. */
extern const char smi_handler[], smi_handler_end[];
asm(".pushsection .rodata\n"
	".code16\n"
	"smi_handler:\n"
	"	mov	$1, %eax\n"
	"	cpuid\n"
	"	mov	$" __stringify(SMI_RESULT_GPA) ", %edi\n"
	"	addr32 movl %ecx, (%edi)\n"
	"	rsm\n"
	"smi_handler_end:\n"
	".code64\n"
	".popsection\n");

static void guest_has_osxsave(void)
{
	GUEST_ASSERT(this_cpu_has(X86_FEATURE_OSXSAVE));
	GUEST_DONE();
}

/* Entering SMM clears CR4, and leaving it restores CR4. */
TEST_F_TIMEOUT(view, smm, CASE_TIMEOUT_S)
{
	struct kvm_vm *vm = vm_create(1);
	struct kvm_vcpu *vcpu;
	u32 *result;

	if (!kvm_has_cap(KVM_CAP_X86_SMM) || !kvm_cpu_has(X86_FEATURE_XSAVE))
		SKIP(return, "No SMM, or no XSAVE");

	vm_set_cpuid(vm, supported_table());
	vcpu = vm_vcpu_add(vm, 1, guest_has_osxsave);
	setup_smram(vm, vcpu, SMRAM_GPA, smi_handler, smi_handler_end - smi_handler);
	result = addr_gpa2hva(vm, SMI_RESULT_GPA);
	inject_smi(vcpu);
	run_guest_code(vcpu);
	TEST_ASSERT(*result & BIT(X86_FEATURE_XSAVE.bit), "The handler didn't run");
	TEST_ASSERT(!(*result & BIT(X86_FEATURE_OSXSAVE.bit)), "OSXSAVE is set in SMM");
	kvm_vm_free(vm);
}

/* INIT clears CR4. */
TEST_F_TIMEOUT(view, init, CASE_TIMEOUT_S)
{
	/* To all local APICs. */
	struct kvm_msi init = { .address_lo = 0xfeeff000, .data = 5 << 8 };
	struct kvm_vm *vm = vm_create(1);
	struct kvm_mp_state mp_state;
	struct kvm_vcpu *vcpu;

	if (!kvm_cpu_has(X86_FEATURE_XSAVE))
		SKIP(return, "No XSAVE");

	vm_set_cpuid(vm, supported_table());
	vcpu = vm_vcpu_add(vm, 1, guest_has_osxsave);
	run_guest_code(vcpu);
	TEST_ASSERT(__vm_ioctl(vm, KVM_SIGNAL_MSI, &init) > 0, "INIT wasn't delivered");
	/* This is also what makes it happen. */
	vcpu_mp_state_get(vcpu, &mp_state);
	TEST_ASSERT_EQ(mp_state.mp_state, KVM_MP_STATE_INIT_RECEIVED);
	vcpu_get_cpuid(vcpu);
	TEST_ASSERT(!vcpu_cpuid_has(vcpu, X86_FEATURE_OSXSAVE), "OSXSAVE is set after INIT");
	kvm_vm_free(vm);
}

/* The host compares: a guest would die of what a random table doesn't allow. */
static void change_any(struct kvm_vcpu *vcpu[NR_TWINS])
{
	static int (* const changes[])(struct kvm_vcpu *vcpu, u64 bits, bool on) = {
		change_cr4, change_cr4, change_apic, change_xcr0, change_mwait, change_tsx_ctrl,
	};
	static const u64 bits[] = {
		X86_CR4_OSXSAVE, X86_CR4_PKE, MSR_IA32_APICBASE_ENABLE, 7,
		MSR_IA32_MISC_ENABLE_MWAIT, TSX_CTRL_CPUID_CLEAR,
	};
	int i = random_below(ARRAY_SIZE(changes)), on = random_below(2), r;

	r = changes[i](vcpu[UNDER_TABLE], bits[i], on);
	TEST_ASSERT_EQ(changes[i](vcpu[WITH_COPY], bits[i], on), r);
}

TEST_F_TIMEOUT(view, random_tables, CASE_TIMEOUT_S)
{
	int i, j, nr_tables = number ?: quick ? 1 : DEFAULT_RANDOM_TABLES;
	struct kvm_vcpu *vcpu[NR_TWINS];
	struct kvm_vm *vm[NR_TWINS];
	struct kvm_cpuid2 *table;
	u64 seed = new_seed();
	u32 id;

	for (i = 0; i < nr_tables; i++) {
		random_state = seed + i;
		table = random_table();
		ksft_print_msg("table %d of seed 0x%lx: %u entries\n", i, seed, table->nent);
		create_twin_vms(vm, table);
		id = random_below(kvm_check_cap(KVM_CAP_MAX_VCPU_ID));
		vcpu[UNDER_TABLE] = __vm_vcpu_add(vm[UNDER_TABLE], id);
		vcpu[WITH_COPY] = __vm_vcpu_add(vm[WITH_COPY], id);
		vcpu_ioctl(vcpu[WITH_COPY], KVM_SET_CPUID2, model_new_vcpu(table, id));
		for (j = 0; j < 8; j++) {
			assert_same_cpuid("KVM_GET_CPUID2 and its twin's",
					  vcpu_table(vcpu[UNDER_TABLE]->fd),
					  vcpu_table(vcpu[WITH_COPY]->fd));
			change_any(vcpu);
		}
		kvm_vm_free(vm[UNDER_TABLE]);
		kvm_vm_free(vm[WITH_COPY]);
	}
}

int main(int argc, char *argv[])
{
	take_options(&argc, argv);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));

	return test_harness_run(argc, argv);
}
