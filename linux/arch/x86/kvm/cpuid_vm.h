/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ARCH_X86_KVM_CPUID_VM_H
#define ARCH_X86_KVM_CPUID_VM_H

#include <linux/bits.h>
#include <linux/kvm_host.h>

#include "cpuid.h"

/* An entry has a field that may depend on the vCPU's current state. */
#define KVM_VM_CPUID_HAS_RUNTIME	BIT(15)

/* What is known of an entry, besides what is in it. */
struct kvm_vm_cpuid_info {
	/*
	 * Of the first entry of a function: the first entry of the next function
	 * in the same bucket, if any, and how many more entries the function has.
	 */
	u8 next;
	u8 nr_more;

	/*
	 * Fields that depend on who the vCPU is, as bits that stand for rows of
	 * kvm_vm_cpuid_fields[], and KVM_VM_CPUID_HAS_RUNTIME.
	 */
	u16 computed;
};

/*
 * The CPUID table of a VM, i.e. of all of its vCPUs: sorted by function and
 * index, without duplicates, and with zeros for the fields that KVM computes
 * for each vCPU.  The table is never written once it is in kvm->arch.cpuid.
 */
struct kvm_vm_cpuid {
	u32 nent;

	/* Number of bits in the x2APIC ID that number the CPUs of a package. */
	u8 package_width;

	/* What a vCPU with these entries may use, before anything of its own counts. */
	u32 cpu_caps[NR_KVM_CPU_CAPS];

	/* KVM's and Xen's leaves, if any. */
	const struct kvm_cpuid_entry2 *pv_features;
	struct kvm_hypervisor_cpuid xen;

	/* The first entry of a function, by the function's hash. */
	u8 buckets[KVM_MAX_CPUID_ENTRIES];
	struct kvm_vm_cpuid_info info[KVM_MAX_CPUID_ENTRIES];

	struct kvm_cpuid_entry2 entries[];
};

const struct kvm_cpuid_entry2 *kvm_vm_cpuid_find(const struct kvm_vm_cpuid *table,
						 u32 function, u64 index);
void kvm_vm_cpuid_set_ids(const struct kvm_vm_cpuid *table,
			  struct kvm_cpuid_entry2 *entry, u16 fields,
			  u32 x2apic_id, u32 xen_vcpu_id);

/* Zero if all vCPUs read @entry, an entry of @table, as it is. */
static inline u16 kvm_vm_cpuid_computed(const struct kvm_vm_cpuid *table,
					const struct kvm_cpuid_entry2 *entry)
{
	return table->info[entry - table->entries].computed;
}

static inline u32 kvm_vcpu_xen_id(const struct kvm_vcpu *vcpu)
{
#ifdef CONFIG_KVM_XEN
	return vcpu->arch.xen.vcpu_id;
#else
	return 0;
#endif
}

int kvm_vm_ioctl_set_cpuid(struct kvm *kvm, struct kvm_cpuid2 *cpuid,
			   struct kvm_cpuid_entry2 __user *entries);
int kvm_vm_ioctl_get_cpuid(struct kvm *kvm, struct kvm_cpuid2 *cpuid,
			   struct kvm_cpuid_entry2 __user *entries);

#endif /* ARCH_X86_KVM_CPUID_VM_H */
