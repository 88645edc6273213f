// SPDX-License-Identifier: GPL-2.0-only
/*
 * One CPUID table for all vCPUs of a VM.
 *
 * Userspace sets the table before it creates the first vCPU.  Each new vCPU
 * gets a copy of the table, with the vCPU's own IDs, by the code that
 * KVM_SET_CPUID2 runs.  The table is constant from the first vCPU on.
 */
#include <linux/bitfield.h>
#include <linux/kvm_host.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include <asm/fpu/api.h>
#include <asm/fpu/xstate.h>
#include <asm/xen/cpuid.h>

#include "cpuid.h"
#include "cpuid_vm.h"

/* Return the number of the first bad entry, counted from one, or zero. */
static u32 kvm_vm_cpuid_check(const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	const struct kvm_cpuid_entry2 *e, *prev;
	u32 vaddr_bits;

	for (e = entries; e < entries + nent; e++) {
		if (e->flags & ~KVM_CPUID_FLAG_SIGNIFCANT_INDEX ||
		    e->padding[0] || e->padding[1] || e->padding[2])
			return e - entries + 1;

		/*
		 * As for KVM_SET_CPUID2, KVM's checks for canonical addresses
		 * know 4-level and 5-level paging only.
		 */
		vaddr_bits = u32_get_bits(e->eax, GENMASK(15, 8));
		if (e->function == 0x80000008 &&
		    vaddr_bits != 0 && vaddr_bits != 48 && vaddr_bits != 57)
			return e - entries + 1;

		/* Without a significant index, an entry matches every index. */
		for (prev = entries; prev < e; prev++) {
			if (prev->function == e->function &&
			    (!(prev->flags & e->flags) || prev->index == e->index))
				return e - entries + 1;
		}
	}

	return 0;
}

static int kvm_vm_cpuid_cmp(const void *_a, const void *_b)
{
	const struct kvm_cpuid_entry2 *a = _a, *b = _b;

	if (a->function != b->function)
		return a->function < b->function ? -1 : 1;

	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;

	return 0;
}

static bool kvm_vm_cpuid_is_first(const struct kvm_cpuid_entry2 *entries,
				  const struct kvm_cpuid_entry2 *e)
{
	return e == entries || e[-1].function != e->function;
}

/*
 * Set the IDs in sorted entries.  The x2APIC ID is the vCPU ID; core and node
 * IDs are parts of it.
 */
static void kvm_vm_cpuid_set_ids(struct kvm_cpuid_entry2 *entries, u32 nent, u32 id)
{
	unsigned int package_width = 0, node_width, smt_width;
	struct kvm_cpuid_entry2 *e;

	for (e = entries; e < entries + nent; e++) {
		switch (e->function) {
		case 0x1:
			u32p_replace_bits(&e->ebx, id, GENMASK(31, 24));
			break;
		case 0xb:
		case 0x1f:
		case 0x80000026:
			e->edx = id;
			break;
		case 0x80000008:
			/* A width, or where that is zero, the threads less one. */
			if (kvm_vm_cpuid_is_first(entries, e))
				package_width = u32_get_bits(e->ecx, GENMASK(15, 12)) ?:
						fls(u32_get_bits(e->ecx, GENMASK(7, 0)));
			break;
		case 0x8000001e:
			/* Threads of a core and nodes of a package, each less one. */
			smt_width = fls(u32_get_bits(e->ebx, GENMASK(15, 8)));
			node_width = fls(u32_get_bits(e->ecx, GENMASK(10, 8)));
			node_width = package_width - min(node_width, package_width);

			e->eax = id;
			u32p_replace_bits(&e->ebx, (id & (BIT(node_width) - 1)) >> smt_width,
					  GENMASK(7, 0));
			u32p_replace_bits(&e->ecx, id >> node_width, GENMASK(7, 0));
			break;
		}
	}
}

/*
 * Sort the entries and clear what KVM computes for each vCPU no matter what,
 * so that tables that are the same to guests have the same bytes.
 */
static void kvm_vm_cpuid_canonicalize(struct kvm_cpuid_entry2 *entries, u32 nent)
{
	struct kvm_cpuid_entry2 *e;

	for (e = entries; e < entries + nent; e++) {
		if (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX))
			e->index = 0;
	}

	sort(entries, nent, sizeof(*entries), kvm_vm_cpuid_cmp, NULL);

	kvm_vm_cpuid_set_ids(entries, nent, 0);

	/* The entries that kvm_update_cpuid_runtime() finds. */
	for (e = entries; e < entries + nent; e++) {
		if (e->function == 0x1 && kvm_vm_cpuid_is_first(entries, e)) {
			cpuid_entry_clear(e, X86_FEATURE_OSXSAVE);
			cpuid_entry_clear(e, X86_FEATURE_APIC);
		} else if (e->function == 0x7 && e->index == 0) {
			cpuid_entry_clear(e, X86_FEATURE_OSPKE);
		} else if (e->function == 0xd &&
			   (e->index == 0 ||
			    (e->index == 1 && (cpuid_entry_has(e, X86_FEATURE_XSAVES) ||
					       cpuid_entry_has(e, X86_FEATURE_XSAVEC))))) {
			e->ebx = 0;
		}
	}
}

/* Fail early for what would make the creation of each vCPU fail. */
static int kvm_vm_cpuid_check_xfeatures(const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	const struct kvm_cpuid_entry2 *e;
	u64 xfeatures;

	for (e = entries; e < entries + nent; e++) {
		if (e->function != 0xd || e->index)
			continue;

		xfeatures = e->eax | ((u64)e->edx << 32);
		xfeatures &= XFEATURE_MASK_USER_DYNAMIC;
		if (xfeatures & ~xstate_get_guest_group_perm())
			return -EPERM;
	}

	return 0;
}

int kvm_vm_ioctl_set_cpuid(struct kvm *kvm, struct kvm_cpuid2 __user *cpuid)
{
	u32 max_nent = kvm_vm_ioctl_check_extension(kvm, KVM_CAP_VM_CPUID);
	struct kvm_cpuid2 *table = NULL, header;
	u32 bad;
	int r;

	if (!max_nent)
		return -ENOTTY;

	if (copy_from_user(&header, cpuid, sizeof(header)))
		return -EFAULT;

	if (header.nent > max_nent)
		return -E2BIG;

	if (header.padding)
		return -EINVAL;

	if (header.nent) {
		table = kvmalloc(struct_size(table, entries, header.nent),
				 GFP_KERNEL_ACCOUNT);
		if (!table)
			return -ENOMEM;

		*table = header;

		r = -EFAULT;
		if (copy_from_user(table->entries, cpuid->entries,
				   array_size(table->nent, sizeof(*table->entries))))
			goto out;

		bad = kvm_vm_cpuid_check(table->entries, table->nent);
		if (bad) {
			/* The table is bad even if userspace can't be told where. */
			(void)put_user(bad, &cpuid->padding);
			r = -EINVAL;
			goto out;
		}

		kvm_vm_cpuid_canonicalize(table->entries, table->nent);

		r = kvm_vm_cpuid_check_xfeatures(table->entries, table->nent);
		if (r)
			goto out;
	}

	mutex_lock(&kvm->lock);
	r = kvm->created_vcpus ? -EBUSY : 0;
	if (!r)
		swap(kvm->arch.cpuid, table);
	mutex_unlock(&kvm->lock);

out:
	/* The new table, or the one that it replaced. */
	kvfree(table);
	return r;
}

int kvm_vm_ioctl_get_cpuid(struct kvm *kvm, struct kvm_cpuid2 __user *cpuid)
{
	const struct kvm_cpuid2 *table;
	u32 nent;
	int r;

	if (!kvm_vm_ioctl_check_extension(kvm, KVM_CAP_VM_CPUID))
		return -ENOTTY;

	if (get_user(nent, &cpuid->nent))
		return -EFAULT;

	mutex_lock(&kvm->lock);
	table = kvm->arch.cpuid;
	if (!table)
		r = -ENOENT;
	else if (nent < table->nent)
		r = put_user(table->nent, &cpuid->nent) ?: -E2BIG;
	else
		r = copy_to_user(cpuid, table, struct_size(table, entries, table->nent)) ?
		    -EFAULT : 0;
	mutex_unlock(&kvm->lock);

	return r;
}

/* Give a new vCPU its VM's CPUID table, if the VM has one. */
int kvm_vcpu_inherit_cpuid(struct kvm_vcpu *vcpu)
{
	const struct kvm_cpuid2 *table = vcpu->kvm->arch.cpuid;
	struct kvm_cpuid_entry2 *entries;
	size_t size;
	int r;

	if (!table)
		return 0;

	size = array_size(table->nent, sizeof(*entries));
	entries = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;

	memcpy(entries, table->entries, size);
	kvm_vm_cpuid_set_ids(entries, table->nent, vcpu->vcpu_id);

	r = kvm_set_cpuid(vcpu, entries, table->nent);
	if (r)
		kvfree(entries);

	return r;
}

/* Set the Xen vCPU ID, which userspace gives a vCPU after its creation. */
void kvm_vcpu_set_xen_cpuid(struct kvm_vcpu *vcpu, u32 xen_vcpu_id)
{
	struct kvm_cpuid_entry2 *entries = vcpu->arch.cpuid_entries, *e;
	u32 base = 0;

	if (!vcpu->kvm->arch.cpuid)
		return;

	/* The entries are sorted: the first base with Xen's signature counts. */
	for (e = entries; e < entries + vcpu->arch.cpuid_nent; e++) {
		if (!base && (e->function & 0xffff00ff) == XEN_CPUID_FIRST_LEAF &&
		    kvm_vm_cpuid_is_first(entries, e) &&
		    e->ebx == XEN_CPUID_SIGNATURE_EBX &&
		    e->ecx == XEN_CPUID_SIGNATURE_ECX &&
		    e->edx == XEN_CPUID_SIGNATURE_EDX)
			base = e->function;
		else if (base && e->function == base + 4 &&
			 (e->eax & XEN_HVM_CPUID_VCPU_ID_PRESENT))
			e->ebx = xen_vcpu_id;
	}
}
