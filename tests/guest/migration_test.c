// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that a VM with a CPUID table can be migrated: what KVM_VM_GET_CPUID returns
 * goes to KVM_VM_SET_CPUID of a new VM, whose vCPUs then get the state of the old
 * VM's.  The guest sees no change.
 *
 * And a VMM can tell whether a target has the source's model, by memcmp(), before it
 * creates a vCPU.
 */
#include "kvm_test_harness.h"
#include "util.h"

#define NR_HOPS		4
#define NR_VCPUS	3
#define MAX_INPUTS	128

static const u32 ids[NR_VCPUS] = { 0, 1, 300 };

static struct input {
	u32 function, index;
} inputs[MAX_INPUTS];
static int nr_inputs;

/* Read CPUID again and again, with CR4 and the local APIC in states of each vCPU's own. */
static void guest_code(int n)
{
	static u32 first[NR_VCPUS][MAX_INPUTS][4];
	u32 regs[4];
	int pass, i;

	if (n)
		set_cr4(get_cr4() & ~X86_CR4_OSXSAVE);
	if (n == 1)
		wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) & ~MSR_IA32_APICBASE_ENABLE);

	for (pass = 0; ; pass++) {
		for (i = 0; i < nr_inputs; i++) {
			__cpuid(inputs[i].function, inputs[i].index, &regs[0], &regs[1], &regs[2],
				&regs[3]);
			if (!pass)
				memcpy(first[n][i], regs, sizeof(regs));
			GUEST_ASSERT_EQ(regs[0], first[n][i][0]);
			GUEST_ASSERT_EQ(regs[1], first[n][i][1]);
			GUEST_ASSERT_EQ(regs[2], first[n][i][2]);
			GUEST_ASSERT_EQ(regs[3], first[n][i][3]);
		}
		GUEST_SYNC(pass);
	}
}

EMPTY_FIXTURE(migration)

FIXTURE_VARIANT(migration) {
	struct kvm_cpuid2 *(*table)(void);
};

FIXTURE_VARIANT_ADD(migration, supported) { .table = supported_table };
FIXTURE_VARIANT_ADD(migration, topology) { .table = topology_table };
FIXTURE_VARIANT_ADD(migration, hyperv) { .table = hyperv_table };

/* The target knows only what ioctls returned for the source, and its memory. */
static void migrate(struct kvm_vm *vm, struct kvm_vcpu *vcpus[NR_VCPUS])
{
	struct kvm_x86_state *states[NR_VCPUS];
	struct kvm_cpuid2 *table = vm_get_cpuid(vm), *seen[NR_VCPUS];
	int i;

	for (i = 0; i < NR_VCPUS; i++) {
		states[i] = vcpu_save_state(vcpus[i]);
		seen[i] = vcpu_table(vcpus[i]->fd);
	}
	kvm_vm_release(vm);

	kvm_vm_restart(vm);
	vm_set_cpuid(vm, table);
	assert_same_cpuid("the target's table", vm_get_cpuid(vm), table);
	for (i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = vm_vcpu_recreate(vm, ids[i]);
		vcpu_load_state(vcpus[i], states[i]);
		kvm_x86_state_cleanup(states[i]);
		assert_same_cpuid("KVM_GET_CPUID2", vcpu_table(vcpus[i]->fd), seen[i]);
	}
}

TEST_F_TIMEOUT(migration, running_guest, CASE_TIMEOUT_S)
{
	struct kvm_cpuid2 *table = variant->table();
	struct kvm_vm *vm = vm_create(NR_VCPUS);
	struct kvm_vcpu *vcpus[NR_VCPUS];
	int i, hop;

	/* Include an undefined subleaf, and what is out of range. */
	inputs[nr_inputs++] = (struct input) { 0xb, 0x77 };
	inputs[nr_inputs++] = (struct input) { 0x7fffffff, 0 };
	for (i = 0; i < table->nent && nr_inputs < MAX_INPUTS; i++)
		inputs[nr_inputs++] = (struct input) { table->entries[i].function,
						       table->entries[i].index };
	sync_global_to_guest(vm, inputs);
	sync_global_to_guest(vm, nr_inputs);

	vm_set_cpuid(vm, table);
	for (i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = vm_vcpu_add(vm, ids[i], guest_code);
		vcpu_args_set(vcpus[i], 1, i);
	}

	for (hop = 0; hop <= NR_HOPS; hop++) {
		if (hop)
			migrate(vm, vcpus);
		/* No pass gets lost or repeated. */
		for (i = 0; i < NR_VCPUS; i++)
			TEST_ASSERT_EQ(run_guest_code(vcpus[i]), hop);
	}
	assert_vm_cpuid(vm, table);
	kvm_vm_free(vm);
}

EMPTY_FIXTURE(compare)

/* memcmp() says that two tables are the same if and only if the ABI does; -b: every Nth bit. */
TEST_F_TIMEOUT(compare, every_bit, CASE_TIMEOUT_S)
{
	struct kvm_cpuid2 *table = topology_table(), *source = model_table(table, 0);
	struct kvm_vm *target = vm_create_barebones();
	int bit, nr_same = 0, nr_different = 0;
	struct kvm_cpuid2 *seen, *expected;
	bool is_same;
	u32 *word;

	for (bit = 0; bit < table->nent * 128; bit += number ?: 1) {
		word = &table->entries[bit / 128].eax + bit / 32 % 4;
		*word ^= BIT(bit % 32);
		if (!__vm_set_cpuid(target, table)) {
			seen = vm_get_cpuid(target);
			expected = model_table(table, 0);
			is_same = !memcmp(seen, source, kvm_cpuid2_size(table->nent));
			TEST_ASSERT(is_same == !memcmp(expected, source,
						       kvm_cpuid2_size(table->nent)),
				    "Bit %d of 0x%x.0x%x", bit % 128,
				    table->entries[bit / 128].function,
				    table->entries[bit / 128].index);
			nr_same += is_same;
			nr_different += !is_same;
			free(seen);
			free(expected);
		} else {
			/* An address width, or AMX. */
			TEST_ASSERT(errno == EINVAL || errno == EPERM, "%s", strerror(errno));
			table->padding = 0;
		}
		*word ^= BIT(bit % 32);
	}
	ksft_print_msg("%d targets were the same, %d differed\n", nr_same, nr_different);
	TEST_ASSERT(nr_different && (nr_same || number > 1), "Nothing was compared");
}

int main(int argc, char *argv[])
{
	take_options(&argc, argv);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));

	return test_harness_run(argc, argv);
}
