/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ARCH_X86_KVM_CPUID_VM_H
#define ARCH_X86_KVM_CPUID_VM_H

#include <linux/kvm_host.h>

int kvm_vm_ioctl_set_cpuid(struct kvm *kvm, struct kvm_cpuid2 __user *cpuid);
int kvm_vm_ioctl_get_cpuid(struct kvm *kvm, struct kvm_cpuid2 __user *cpuid);
int kvm_vcpu_inherit_cpuid(struct kvm_vcpu *vcpu);
void kvm_vcpu_set_xen_cpuid(struct kvm_vcpu *vcpu, u32 xen_vcpu_id);

#endif /* ARCH_X86_KVM_CPUID_VM_H */
