/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What must hold for every table and every vCPU: cpuid_vm.c does what the reference
 * does.  The unit tests and the fuzzers both use this.
 */
#ifndef INVARIANTS_H
#define INVARIANTS_H

#include <linux/kvm_host.h>

#include "reference.h"

/* User memory ends where the table ends, so that a read beyond it is found. */
static int set_cpuid(struct kvm *kvm, const entry_t *entries, u32 nent, u32 *padding)
{
	size_t size = nent <= KVM_MAX_CPUID_ENTRIES ? nent * sizeof(*entries) : 0;
	struct kvm_cpuid2 *user = malloc(sizeof(*user) + size);
	int r;

	user->nent = nent;
	user->padding = *padding;
	if (size)
		memcpy(user->entries, entries, size);

	shim.user = user;
	r = kvm_vm_ioctl_set_cpuid(kvm, user);
	assert(!kvm->lock.held);

	/* Only the padding is ever written. */
	assert(user->nent == nent);
	assert(!size || !memcmp(user->entries, entries, size));
	*padding = user->padding;
	free(user);

	return r;
}

static int get_cpuid(struct kvm *kvm, struct kvm_cpuid2 *user)
{
	int r;

	shim.user = user;
	r = kvm_vm_ioctl_get_cpuid(kvm, user);
	assert(!kvm->lock.held);

	return r;
}

static void free_cpuid(struct kvm *kvm)
{
	kvfree(kvm->arch.cpuid);
	kvm->arch.cpuid = NULL;
}

static int create_vcpu(struct kvm *kvm, u32 id, struct kvm_vcpu *vcpu)
{
	*vcpu = (struct kvm_vcpu){ .kvm = kvm, .vcpu_id = id };

	kvm->created_vcpus++;
	return kvm_vcpu_inherit_cpuid(vcpu);
}

static void destroy_vcpu(struct kvm_vcpu *vcpu)
{
	kvfree(vcpu->arch.cpuid_entries);
	vcpu->kvm->created_vcpus--;
}

/* Are @is the entries that a vCPU of this ID gets, with a Xen vCPU ID if it has one? */
static bool as_reference(const entry_t *is, const entry_t *entries, int nent, u32 id,
			 const u32 *xen_id)
{
	entry_t e;

	for (int i = 0; i < nent; i++) {
		e = ref_entry(entries, nent, i, id);
		if (xen_id && ref_has_xen_id(entries, nent, i))
			e.ebx = *xen_id;

		if (memcmp(&is[ref_rank(entries, nent, i)], &e, sizeof(e)))
			return false;
	}

	return true;
}

static const char *differs_in_vcpu(struct kvm *kvm, const entry_t *entries, int nent, u32 id,
				   u32 xen_id)
{
	const char *what = NULL;
	struct kvm_vcpu vcpu;

	if (create_vcpu(kvm, id, &vcpu))
		return "no vCPU";

	if (vcpu.arch.cpuid_nent != nent)
		what = "the vCPU's number of entries";
	else if (!as_reference(vcpu.arch.cpuid_entries, entries, nent, id, NULL))
		what = "the vCPU's entries";

	kvm_vcpu_set_xen_cpuid(&vcpu, xen_id);
	if (!what && !as_reference(vcpu.arch.cpuid_entries, entries, nent, id, &xen_id))
		what = "the vCPU's entries with a Xen vCPU ID";

	destroy_vcpu(&vcpu);
	return what;
}

/* Read the table, and set it in reverse order: that must change nothing. */
static const char *differs_in_get(struct kvm *kvm, u32 nent)
{
	size_t size = sizeof(struct kvm_cpuid2) + nent * sizeof(entry_t);
	struct kvm_cpuid2 *user = malloc(size);
	entry_t again[KVM_MAX_CPUID_ENTRIES];
	const char *what = NULL;
	u32 padding = 0;

	user->nent = nent;
	user->padding = 1;
	if (get_cpuid(kvm, user) || memcmp(user, kvm->arch.cpuid, size))
		what = "get: not what is stored";

	for (u32 i = 0; i < nent; i++)
		again[i] = user->entries[nent - 1 - i];
	if (!what && (set_cpuid(kvm, again, nent, &padding) ||
		      memcmp(user, kvm->arch.cpuid, size)))
		what = "get, set, get is no fixed point";

	free(user);
	return what;
}

/*
 * Give the table to a VM, and if it accepts it, check its vCPU with this ID.  Return what
 * differs from the reference, or NULL.
 */
static const char *differs(const entry_t *entries, u32 nent, u32 id, u32 xen_id)
{
	u32 padding = 0, expected_padding = 0;
	const char *what = NULL;
	struct kvm kvm = {};
	int expected, r;

	expected = ref_set(entries, nent, &expected_padding, shim.guest_perm);
	r = set_cpuid(&kvm, entries, nent, &padding);

	if (r != expected)
		what = "accepted, or refused";
	else if (padding != expected_padding)
		what = "which entry is bad";
	else if (!kvm.arch.cpuid != (r || !nent))
		what = "a table, or none";
	else if (kvm.arch.cpuid &&
		 (kvm.arch.cpuid->nent != nent || kvm.arch.cpuid->padding))
		what = "the stored header";

	if (!what && kvm.arch.cpuid) {
		what = differs_in_vcpu(&kvm, entries, nent, id, xen_id);
		if (!as_reference(kvm.arch.cpuid->entries, entries, nent, 0, NULL))
			what = "canonical form";
		if (!what)
			what = differs_in_get(&kvm, nent);
	}

	free_cpuid(&kvm);
	if (!what && shim.allocations)
		what = "memory leaked";

	return what;
}

#endif /* INVARIANTS_H */
