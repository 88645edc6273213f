/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ARCH_X86_KVM_CPUID_VM_H
#define ARCH_X86_KVM_CPUID_VM_H

#include <linux/bitmap.h>
#include <linux/kvm_host.h>

/*
 * The CPUID table of a VM, i.e. of all of its vCPUs: sorted by function and
 * index, without duplicates, and with zeros for the fields that KVM computes
 * for each vCPU.  The table is never written once it is in kvm->arch.cpuid.
 */
struct kvm_vm_cpuid {
	u32 nent;

	/* Number of bits in the x2APIC ID that number the CPUs of a package. */
	u8 package_width;

	/* KVM's and Xen's leaves, if any. */
	const struct kvm_cpuid_entry2 *pv_features;
	struct kvm_hypervisor_cpuid xen;

	/* Entries with a field that depends on who the vCPU is. */
	DECLARE_BITMAP(has_ids, KVM_MAX_CPUID_ENTRIES);

	/* Entries with a field that may depend on the vCPU's current state. */
	DECLARE_BITMAP(has_runtime, KVM_MAX_CPUID_ENTRIES);

	struct kvm_cpuid_entry2 entries[];
};

const struct kvm_cpuid_entry2 *kvm_vm_cpuid_find(const struct kvm_vm_cpuid *table,
						 u32 function, u64 index);
void kvm_vm_cpuid_set_ids(const struct kvm_vm_cpuid *table,
			  struct kvm_cpuid_entry2 *entry, u32 x2apic_id,
			  u32 xen_vcpu_id);

static inline bool kvm_vm_cpuid_has_ids(const struct kvm_vm_cpuid *table,
					const struct kvm_cpuid_entry2 *entry)
{
	return test_bit(entry - table->entries, table->has_ids);
}

static inline bool kvm_vm_cpuid_has_runtime(const struct kvm_vm_cpuid *table,
					    const struct kvm_cpuid_entry2 *entry)
{
	return test_bit(entry - table->entries, table->has_runtime);
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
void kvm_vm_cpuid_create_debugfs(struct kvm *kvm);

#endif /* ARCH_X86_KVM_CPUID_VM_H */
