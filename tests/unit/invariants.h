/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything that holds for every table and every vCPU: what cpuid_vm.c does is what
 * the reference does.  The unit tests and the fuzzers both end up here.
 */
#ifndef INVARIANTS_H
#define INVARIANTS_H

#include <linux/kvm_host.h>

#include "reference.h"

/* Userspace's memory: as large as it says, so that reading on is found. */
static int set_cpuid(struct kvm *kvm, const entry_t *entries, struct kvm_cpuid2 *header)
{
	size_t size = header->nent <= KVM_MAX_CPUID_ENTRIES ? header->nent * sizeof(*entries) : 0;
	entry_t *user = malloc(size);
	int r;

	if (size)
		memcpy(user, entries, size);
	r = kvm_vm_ioctl_set_cpuid(kvm, header, user);
	assert(!size || !memcmp(user, entries, size));
	assert(!kvm->lock.held);
	free(user);

	return r;
}

static void free_cpuid(struct kvm *kvm)
{
	kvfree(kvm->arch.cpuid);
	kvm->arch.cpuid = NULL;
}

/* What a guest reads, but for bits that follow its vCPU's state; as KVM's callers do it. */
static bool read_cpuid(const struct kvm_vm_cpuid *table, u32 function, u64 index,
		       u32 id, u32 xen_id, entry_t *e)
{
	const entry_t *found = kvm_vm_cpuid_find(table, function, index);

	if (!found)
		return false;

	assert(found >= table->entries && found < table->entries + table->nent);

	*e = *found;
	kvm_vm_cpuid_set_ids(table, e, kvm_vm_cpuid_computed(table, found), id, xen_id);

	return true;
}

/* The lookups whose results could differ: each function, each index, their neighbours. */
static const char *differs_in_find(const struct kvm_vm_cpuid *table, const entry_t *entries,
				   int nent, u32 id, u32 xen_id)
{
	const u64 any = KVM_CPUID_INDEX_NOT_SIGNIFICANT;
	entry_t e, expected;

	for (int i = 0; i < nent; i++) {
		u32 index = entries[i].index;
		u64 indexes[] = { index - 1u, index, index + 1u, 0, 1, ~0u,
				  entries[(i + 1) % nent].index, any };

		for (u32 function = entries[i].function - 1, f = 0; f < 3; f++, function++) {
			for (size_t n = 0; n < ARRAY_SIZE(indexes); n++) {
				int found = indexes[n] == any ?
					    ref_find_first(entries, nent, function) :
					    ref_find(entries, nent, function, indexes[n]);

				if (read_cpuid(table, function, indexes[n], id, xen_id, &e) !=
				    (found >= 0))
					return "find: an entry, or none";
				if (found < 0)
					continue;

				/* Finding is all that the neighbours are for. */
				if (e.function != entries[found].function ||
				    e.index != entries[found].index)
					return "find: which entry";
				if (found != i || indexes[n] != index)
					continue;

				expected = ref_entry(entries, nent, i, id, xen_id);
				if (memcmp(&e, &expected, sizeof(e)))
					return "what the vCPU reads";
			}
		}
	}

	return NULL;
}

/* What canonical form is, and what the table remembers besides. */
static const char *differs_in_table(const struct kvm_vm_cpuid *table, const entry_t *entries,
				    int nent)
{
	int pv = ref_pv_features(entries, nent);
	entry_t canonical;
	const entry_t *e;
	u16 computed;

	if ((int)table->nent != nent)
		return "number of entries";

	for (int i = 0; i < nent; i++) {
		e = &table->entries[ref_rank(entries, nent, i)];

		canonical = ref_entry(entries, nent, i, 0, 0);
		if (memcmp(e, &canonical, sizeof(*e)))
			return "canonical form";

		computed = kvm_vm_cpuid_computed(table, e);
		if (!(computed & ~KVM_VM_CPUID_HAS_RUNTIME) == ref_has_ids(entries, nent, i))
			return "computed: IDs";
		if (!(computed & KVM_VM_CPUID_HAS_RUNTIME) == ref_is_runtime(entries, nent, i))
			return "computed: run-time fields";
		if (i == pv ? e != table->pv_features : e == table->pv_features)
			return "pv_features";
	}

	if (pv < 0 && table->pv_features)
		return "pv_features, but there are none";
	if (table->package_width != ref_package_width(entries, nent))
		return "package_width";
	if (table->xen.base != ref_xen_base(entries, nent))
		return "xen.base";
	if (table->xen.base &&
	    table->xen.limit != entries[ref_find_first(entries, nent, table->xen.base)].eax)
		return "xen.limit";

	return NULL;
}

/*
 * Give the table to a VM, and if it takes it, be its vCPU with this id.  Returns what
 * differs from the reference, or NULL.  entries[] has at least one entry.
 */
static const char *differs(const entry_t *entries, u32 nent, u32 id, u32 xen_id)
{
	struct kvm_cpuid2 header = { .nent = nent };
	entry_t out[KVM_MAX_CPUID_ENTRIES];
	entry_t again[KVM_MAX_CPUID_ENTRIES];
	size_t size = nent * sizeof(*entries);
	struct kvm_vm_cpuid *before;
	struct kvm kvm = {};
	const char *what;
	u32 bad = nent;
	int r;

	r = ref_check(entries, &bad, shim.guest_perm);
	if (set_cpuid(&kvm, entries, &header) != r)
		return "accepted, or refused";
	if (header.nent != bad)
		return "which entry is bad";
	if (r)
		return kvm.arch.cpuid ? "refused, but stored" : NULL;

	if (shim.has_caps != kvm.arch.cpuid)
		return "capabilities";

	before = malloc(sizeof(*before) + size);
	memcpy(before, kvm.arch.cpuid, sizeof(*before) + size);

	what = differs_in_table(kvm.arch.cpuid, entries, nent);
	if (!what)
		what = differs_in_find(kvm.arch.cpuid, entries, nent, id, xen_id);

	memset(out, 0xff, sizeof(out));
	header.padding = 1;
	if (kvm_vm_ioctl_get_cpuid(&kvm, &header, out) || header.nent != nent || header.padding)
		what = "get";
	else if (memcmp(out, before->entries, size))
		what = "get: not what is stored";
	else if (nent < KVM_MAX_CPUID_ENTRIES && out[nent].function != ~0u)
		what = "get: writes on";

	if (memcmp(before, kvm.arch.cpuid, sizeof(*before) + size))
		what = "the stored table was written";

	/* The order in which userspace gives the entries changes nothing. */
	for (u32 i = 0; i < nent; i++)
		again[i] = out[nent - 1 - i];
	if (set_cpuid(&kvm, again, &header) ||
	    kvm_vm_ioctl_get_cpuid(&kvm, &header, again) || memcmp(out, again, size))
		what = "get, set, get is no fixed point";

	free(before);
	free_cpuid(&kvm);
	if (shim.allocations)
		what = "memory leaked";

	return what;
}

#endif /* INVARIANTS_H */
