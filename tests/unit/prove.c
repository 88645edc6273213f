// SPDX-License-Identifier: GPL-2.0-only
/*
 * What CBMC proves of cpuid_vm.c, for every table of up to NENT entries, whatever is
 * in them.  Besides what is asserted here: that no access is out of bounds, no pointer
 * bad, and no shift or signed sum undefined.
 */
#include "../../linux/arch/x86/kvm/cpuid_vm.c"

#include "reference.h"

#ifndef NENT
#define NENT	3
#endif

/* The one assertion that must fail, or what was assumed before excludes everything. */
#define end()	__CPROVER_assert(0, "the end is reached")

#define ANY_INDEX	KVM_CPUID_INDEX_NOT_SIGNIFICANT

void __CPROVER_assume(_Bool holds);
u32 nondet_u32(void);
u64 nondet_u64(void);
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

/* What kvm_vm_cpuid_check() accepts, in a table of its own. */
static struct kvm_vm_cpuid *any_table(void)
{
	struct kvm_vm_cpuid *table;
	u32 bad;

	any_entries();
	__CPROVER_assume(!kvm_vm_cpuid_check(entries, nent, &bad));

	table = calloc(1, sizeof(*table) + NENT * sizeof(*entries));
	__CPROVER_assume(table != NULL);
	table->nent = nent;
	for (u32 i = 0; i < NENT; i++)
		table->entries[i] = entries[i];

	return table;
}

static bool equal(const entry_t *a, const entry_t *b)
{
	return a->function == b->function && a->index == b->index && a->flags == b->flags &&
	       a->eax == b->eax && a->ebx == b->ebx && a->ecx == b->ecx && a->edx == b->edx;
}

/* Accepted or refused as by the reference, for the same entry. */
void prove_check(void);
void prove_check(void)
{
	u32 bad, expected;
	int r;

	any_entries();
	for (expected = 0; expected < nent && !ref_bad_entry(entries, expected); expected++)
		;

	r = kvm_vm_cpuid_check(entries, nent, &bad);
	assert(r == (expected < nent ? -EINVAL : 0));
	assert(!r || bad == expected);
	end();
}

/*
 * The comparison orders the entries of a table that was accepted, all of them, in the
 * reference's order: so every sort that keeps its word ends with the same table.
 */
void prove_order(void);
void prove_order(void)
{
	struct kvm_vm_cpuid *table = any_table();
	const entry_t *a, *b, *c;
	u32 i = nondet_u32(), j = nondet_u32(), k = nondet_u32();

	__CPROVER_assume(i < nent && j < nent && k < nent);
	a = &table->entries[i];
	b = &table->entries[j];
	c = &table->entries[k];

	assert((kvm_vm_cpuid_cmp(a, b) == 0) == (i == j));
	assert((kvm_vm_cpuid_cmp(a, b) < 0) == (kvm_vm_cpuid_cmp(b, a) > 0));
	assert(kvm_vm_cpuid_cmp(a, b) >= 0 || kvm_vm_cpuid_cmp(b, c) >= 0 ||
	       kvm_vm_cpuid_cmp(a, c) < 0);
	assert((kvm_vm_cpuid_cmp(a, b) < 0) ==
	       (ref_rank(entries, nent, i) < ref_rank(entries, nent, j)));
	end();
}

/* In every sorted table, for every input: the entry that a search from end to end finds. */
void prove_find(void);
void prove_find(void)
{
	struct kvm_vm_cpuid *table = any_table();
	u32 function = nondet_u32();
	u64 index = nondet_u64();
	const entry_t *found;
	int expected;

	__CPROVER_assume(index <= 0xffffffff || index == ANY_INDEX);
	for (u32 i = 1; i < nent; i++)
		__CPROVER_assume(kvm_vm_cpuid_cmp(&entries[i - 1], &entries[i]) < 0);

	expected = index == ANY_INDEX ? ref_find_first(entries, nent, function) :
					ref_find(entries, nent, function, index);

	kvm_vm_cpuid_index(table);
	found = kvm_vm_cpuid_find(table, function, index);
	assert(!found == (expected < 0));
	assert(!found || found == &table->entries[expected]);
	end();
}

/*
 * For every ID, and whatever 0x80000008 and Xen's first leaf say: the vCPU reads what
 * the reference says.  Where Xen's leaves are isn't looked for here, which would take long.
 */
void prove_ids(void);
void prove_ids(void)
{
	struct kvm_vm_cpuid *table = calloc(1, sizeof(*table) + sizeof(*entries));
	u32 id = nondet_u32(), xen_id = nondet_u32();
	entry_t e, expected;
	u16 fields = 0;

	__CPROVER_assume(table != NULL);

	for (u32 i = 0; i < 3; i++) {
		entries[i] = nondet_entry();
		entries[i].flags = 0;
	}
	entries[0].function = 0x80000008;
	entries[1].function = 0x40000100;
	__CPROVER_assume(entries[2].function != entries[0].function &&
			 entries[2].function != entries[1].function);

	table->package_width = ref_package_width(entries, 3);
	table->xen.base = ref_xen_base(entries, 3);

	e = ref_entry(entries, 3, 2, 0, 0);
	for (u32 i = 0; i < ARRAY_SIZE(kvm_vm_cpuid_fields); i++) {
		if (kvm_vm_cpuid_owns(table, &e, &kvm_vm_cpuid_fields[i]))
			fields |= BIT(i);
	}
	kvm_vm_cpuid_set_ids(table, &e, fields, id, xen_id);
	expected = ref_entry(entries, 3, 2, id, xen_id);
	assert(equal(&e, &expected));
	end();
}
