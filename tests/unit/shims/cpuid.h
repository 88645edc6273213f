/* SPDX-License-Identifier: GPL-2.0-only */
/* arch/x86/kvm/cpuid.h, with what that includes. */
#ifndef SHIM_CPUID_H
#define SHIM_CPUID_H

#include <asm/kvm_para.h>
#include <linux/kvm_host.h>

#define X86_FEATURE_APIC	(0 * 32 + 9)
#define X86_FEATURE_OSXSAVE	(4 * 32 + 27)
#define X86_FEATURE_XSAVEC	(10 * 32 + 1)
#define X86_FEATURE_XSAVES	(10 * 32 + 3)
#define X86_FEATURE_OSPKE	(16 * 32 + 4)

#define NR_KVM_CPU_CAPS		1

/* What follows from a table in the kernel at hand. */
struct kvm_vm_cpuid;

static inline void kvm_vm_cpuid_init_cpu_caps(struct kvm_vm_cpuid *table)
{
	shim.has_caps = table;
}

#define KVM_CPUID_INDEX_NOT_SIGNIFICANT	-1ull

static inline u32 kvm_max_vm_cpuid_entries(struct kvm *kvm)
{
	return kvm->arch.vm_type == KVM_X86_TDX_VM ? 0 : KVM_MAX_CPUID_ENTRIES;
}

#endif
