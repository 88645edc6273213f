// SPDX-License-Identifier: GPL-2.0-only
/*
 * What CBMC proves about cpuid_vm.c, for every table of up to NENT entries, whatever is in
 * them: the assertions here, and that no access is out of bounds, no pointer invalid, and
 * no shift or signed sum undefined.
 */
#include "../../linux/arch/x86/kvm/cpuid_vm.c"

#include "reference.h"

#ifndef NENT
#define NENT	3
#endif

/* This assertion must fail; if not, the assumptions before it exclude everything. */
#define end()	__CPROVER_assert(0, "the end is reached")

void __CPROVER_assume(_Bool holds);
_Bool nondet_bool(void);
int nondet_int(void);
u32 nondet_u32(void);
entry_t nondet_entry(void);

static entry_t entries[NENT];
static u32 nent;

static void any_entries(void)
{
	nent = nondet_u32();
	__CPROVER_assume(nent >= 1 && nent <= NENT);

	for (u32 i = 0; i < NENT; i++)
		entries[i] = nondet_entry();
}

static void any_good_entries(void)
{
	any_entries();
	__CPROVER_assume(!kvm_vm_cpuid_check(entries, nent));
}

static bool equal(const entry_t *a, const entry_t *b)
{
	return a->function == b->function && a->index == b->index && a->flags == b->flags &&
	       a->eax == b->eax && a->ebx == b->ebx && a->ecx == b->ecx && a->edx == b->edx &&
	       a->padding[0] == b->padding[0] && a->padding[1] == b->padding[1] &&
	       a->padding[2] == b->padding[2];
}

/* It accepts or refuses what the reference does, because of the same entry. */
void prove_check(void);
void prove_check(void)
{
	any_entries();
	assert(kvm_vm_cpuid_check(entries, nent) == ref_check(entries, nent));
	end();
}

/*
 * The comparison totally orders canonical entries, in the reference's order, so that every
 * correct sort ends with the same table.
 */
void prove_order(void);
void prove_order(void)
{
	u32 i = nondet_u32(), j = nondet_u32(), k = nondet_u32();
	entry_t a, b, c;

	any_good_entries();
	__CPROVER_assume(i < nent && j < nent && k < nent);
	a = ref_entry(entries, nent, i, 0);
	b = ref_entry(entries, nent, j, 0);
	c = ref_entry(entries, nent, k, 0);

	assert((kvm_vm_cpuid_cmp(&a, &b) == 0) == (i == j));
	assert((kvm_vm_cpuid_cmp(&a, &b) < 0) == (kvm_vm_cpuid_cmp(&b, &a) > 0));
	assert(kvm_vm_cpuid_cmp(&a, &b) >= 0 || kvm_vm_cpuid_cmp(&b, &c) >= 0 ||
	       kvm_vm_cpuid_cmp(&a, &c) < 0);
	assert((kvm_vm_cpuid_cmp(&a, &b) < 0) ==
	       (ref_rank(entries, nent, i) < ref_rank(entries, nent, j)));
	end();
}

/* Canonical form is the reference's, and making it again changes nothing. */
void prove_canonical(void);
void prove_canonical(void)
{
	entry_t canonical[NENT], expected;
	u32 i = nondet_u32();

	any_good_entries();
	__CPROVER_assume(i < nent);
	for (u32 n = 0; n < NENT; n++)
		canonical[n] = entries[n];

	kvm_vm_cpuid_canonicalize(canonical, nent);
	expected = ref_entry(entries, nent, i, 0);
	assert(equal(&canonical[ref_rank(entries, nent, i)], &expected));

	expected = canonical[i];
	kvm_vm_cpuid_canonicalize(canonical, nent);
	assert(equal(&canonical[i], &expected));
	end();
}

/* For every ID, the entries of a vCPU are the reference's. */
void prove_ids(void);
void prove_ids(void)
{
	u32 i = nondet_u32(), id = nondet_u32();
	entry_t of_vcpu[NENT], expected;

	any_good_entries();
	__CPROVER_assume(i < nent);
	for (u32 n = 0; n < nent; n++) {
		__CPROVER_assume(ref_rank(entries, nent, n) == n);
		of_vcpu[n] = ref_entry(entries, nent, n, 0);
	}

	kvm_vm_cpuid_set_ids(of_vcpu, nent, id);
	expected = ref_entry(entries, nent, i, id);
	assert(equal(&of_vcpu[i], &expected));
	end();
}

/* A new vCPU has a copy of all entries, or nothing on failure; the table does not change. */
void prove_inherit(void);
void prove_inherit(void)
{
	struct kvm_cpuid2 *table = malloc(sizeof(*table) + sizeof(entries));
	struct kvm kvm = { .arch.cpuid = table };
	struct kvm_vcpu vcpu = { .kvm = &kvm, .vcpu_id = nondet_int() };
	u32 i = nondet_u32();
	const entry_t *e;
	int r;

	any_entries();
	__CPROVER_assume(table && i < NENT && nent == NENT);

	nent = table->nent = NENT;
	for (u32 n = 0; n < NENT; n++)
		table->entries[n] = entries[n];

	shim.set_cpuid_error = nondet_bool() ? -EINVAL : 0;
	r = kvm_vcpu_inherit_cpuid(&vcpu);
	e = vcpu.arch.cpuid_entries;
	assert(!r == !!e && !r == shim.allocations);
	assert(!shim.set_cpuid_error || r);
	assert(r || (vcpu.arch.cpuid_nent == NENT && e != table->entries));
	assert(r || (e[i].function == entries[i].function && e[i].index == entries[i].index));
	assert(equal(&table->entries[i], &entries[i]));
	end();
}
