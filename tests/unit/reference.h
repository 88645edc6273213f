/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A second implementation of what KVM_VM_SET_CPUID promises, written from the text of
 * its ABI and not from the code, field by field, with slow linear searches over the
 * table in userspace's order.  Entries go by their number in that order; -1 is none.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <linux/kvm.h>

typedef struct kvm_cpuid_entry2 entry_t;

/* Does this entry answer CPUID with @function in EAX and @index in ECX? */
static bool ref_answers(const entry_t *e, uint32_t function, uint32_t index)
{
	if (e->flags == KVM_CPUID_FLAG_SIGNIFCANT_INDEX)
		return e->function == function && e->index == index;

	return e->function == function;
}

static int ref_find(const entry_t *entries, int nent, uint32_t function, uint32_t index)
{
	for (int i = 0; i < nent; i++) {
		if (ref_answers(&entries[i], function, index))
			return i;
	}

	return -1;
}

/* If the index does not matter, that is the function's entry with the lowest one. */
static int ref_find_first(const entry_t *entries, int nent, uint32_t function)
{
	int first = -1;

	for (int i = 0; i < nent; i++) {
		if (entries[i].function == function &&
		    (first < 0 || entries[i].index < entries[first].index))
			first = i;
	}

	return first;
}

static bool ref_bad_entry(const entry_t *entries, int i)
{
	const entry_t *e = &entries[i];
	int vaddr_bits = e->eax / 0x100 % 0x100;

	if (e->flags != 0 && e->flags != KVM_CPUID_FLAG_SIGNIFCANT_INDEX)
		return true;

	if (e->padding[0] != 0 || e->padding[1] != 0 || e->padding[2] != 0)
		return true;

	if (e->function == 0x80000008)
		if (vaddr_bits != 0 && vaddr_bits != 48 && vaddr_bits != 57)
			return true;

	/* Is there an input that this entry and an earlier one would answer? */
	for (int j = 0; j < i; j++) {
		if (ref_answers(e, entries[j].function, entries[j].index) ||
		    ref_answers(&entries[j], e->function, e->index))
			return true;
	}

	return false;
}

/* The number of the first bad entry, counted from one, or 0. */
static uint32_t ref_check(const entry_t *entries, int nent)
{
	for (int i = 0; i < nent; i++) {
		if (ref_bad_entry(entries, i))
			return i + 1;
	}

	return 0;
}

/* Does the table have a dynamic xfeature that isn't allowed? */
static bool ref_forbidden(const entry_t *entries, int nent, uint64_t guest_perm)
{
	/* The shims have one dynamic xfeature in each half. */
	const uint32_t amx = 1 << 18, unreal = 1 << (50 - 32);
	bool may_amx = guest_perm >> 18 & 1, may_unreal = guest_perm >> 50 & 1;
	int i = ref_find(entries, nent, 0xd, 0);

	return i >= 0 && (((entries[i].eax & amx) && !may_amx) ||
			  ((entries[i].edx & unreal) && !may_unreal));
}

/*
 * What KVM_VM_SET_CPUID returns before it looks for vCPUs, if nothing else is wrong.
 * *padding becomes what it writes to userspace.
 */
static int ref_set(const entry_t *entries, uint32_t nent, uint32_t *padding,
		   uint64_t guest_perm)
{
	if (nent > 256)
		return -E2BIG;

	if (*padding)
		return -EINVAL;

	*padding = ref_check(entries, nent);
	if (*padding)
		return -EINVAL;

	return ref_forbidden(entries, nent, guest_perm) ? -EPERM : 0;
}

/* Where Xen's leaves start, or 0 if there are none; the lowest place, if there are several. */
static uint32_t ref_xen_base(const entry_t *entries, int nent)
{
	uint32_t base = 0;

	for (int i = 0; i < nent; i++) {
		const entry_t *e = &entries[i];

		if (e->function < 0x40000000 || e->function > 0x4000ffff || e->function % 0x100)
			continue;

		if (memcmp(&e->ebx, "XenV", 4) || memcmp(&e->ecx, "MMXe", 4) ||
		    memcmp(&e->edx, "nVMM", 4) ||
		    i != ref_find_first(entries, nent, e->function))
			continue;

		if (!base || e->function < base)
			base = e->function;
	}

	return base;
}

/* Does EBX of entry @i become the Xen vCPU ID? */
static bool ref_has_xen_id(const entry_t *entries, int nent, int i)
{
	uint32_t base = ref_xen_base(entries, nent);

	return base && entries[i].function == base + 4 && (entries[i].eax & (1 << 3));
}

/* The number of bits that number that many things. */
static unsigned int ref_bits(unsigned int things)
{
	unsigned int bits = 0;

	while ((1u << bits) < things)
		bits++;

	return bits;
}

static unsigned int ref_package_width(const entry_t *entries, int nent)
{
	int i = ref_find_first(entries, nent, 0x80000008);
	unsigned int width, threads;

	if (i < 0)
		return 0;

	width = entries[i].ecx / 0x1000 % 0x10;
	threads = entries[i].ecx % 0x100 + 1;
	return width ? width : ref_bits(threads);
}

/* Does KVM always compute a field of entry @i from the vCPU's state? */
static bool ref_is_runtime(const entry_t *entries, int nent, int i)
{
	switch (entries[i].function) {
	case 0x1:
		return i == ref_find_first(entries, nent, 0x1);
	case 0x7:
		return i == ref_find(entries, nent, 0x7, 0);
	case 0xd:
		if (i == ref_find(entries, nent, 0xd, 0))
			return true;
		/* The size of the compacted area, where XSAVEC or XSAVES makes one. */
		return i == ref_find(entries, nent, 0xd, 1) &&
		       (entries[i].eax & (1 << 1) || entries[i].eax & (1 << 3));
	}

	return false;
}

/*
 * Entry @i as a vCPU of this ID gets it, with state bits zero.  With ID 0 that is
 * canonical form.
 */
static entry_t ref_entry(const entry_t *entries, int nent, int i, uint32_t id)
{
	unsigned int package, nodes, node_width, threads;
	entry_t e = entries[i];

	if (e.flags != KVM_CPUID_FLAG_SIGNIFCANT_INDEX)
		e.index = 0;

	switch (e.function) {
	case 0x1:
		e.ebx = e.ebx % 0x1000000 + id % 0x100 * 0x1000000;
		break;
	case 0xb:
	case 0x1f:
	case 0x80000026:
		e.edx = id;
		break;
	case 0x8000001e:
		package = ref_package_width(entries, nent);
		nodes = ref_bits(e.ecx / 0x100 % 8 + 1);
		node_width = package > nodes ? package - nodes : 0;
		threads = ref_bits(e.ebx / 0x100 % 0x100 + 1);

		e.eax = id;
		e.ebx = e.ebx / 0x100 * 0x100 + (id % (1u << node_width) / (1u << threads)) % 0x100;
		e.ecx = e.ecx / 0x100 * 0x100 + (id / (1u << node_width)) % 0x100;
		break;
	}

	if (ref_is_runtime(entries, nent, i)) {
		switch (e.function) {
		case 0x1:
			e.ecx &= ~(1u << 27);
			e.edx &= ~(1u << 9);
			break;
		case 0x7:
			e.ecx &= ~(1u << 4);
			break;
		case 0xd:
			e.ebx = 0;
			break;
		}
	}

	return e;
}

/* The place of entry @i in canonical order. */
static int ref_rank(const entry_t *entries, int nent, int i)
{
	int rank = 0;

	for (int j = 0; j < nent; j++) {
		if (entries[j].function < entries[i].function ||
		    (entries[j].function == entries[i].function &&
		     entries[j].index < entries[i].index))
			rank++;
	}

	return rank;
}

#endif /* REFERENCE_H */
