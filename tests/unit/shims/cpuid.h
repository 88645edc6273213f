/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_CPUID_H
#define SHIM_CPUID_H

#include <linux/kvm_host.h>

/* The register, EAX to EDX, and the bit in it. */
#define X86_FEATURE_XSAVEC	(0 * 32 + 1)
#define X86_FEATURE_XSAVES	(0 * 32 + 3)
#define X86_FEATURE_OSPKE	(2 * 32 + 4)
#define X86_FEATURE_OSXSAVE	(2 * 32 + 27)
#define X86_FEATURE_APIC	(3 * 32 + 9)

static inline bool cpuid_entry_has(const struct kvm_cpuid_entry2 *e, unsigned int feature)
{
	const u32 regs[] = { e->eax, e->ebx, e->ecx, e->edx };

	return regs[feature / 32] & BIT(feature % 32);
}

static inline void cpuid_entry_clear(struct kvm_cpuid_entry2 *e, unsigned int feature)
{
	u32 *regs[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

	*regs[feature / 32] &= ~BIT(feature % 32);
}

/* The vCPU keeps the entries, unless this fails. */
static inline int kvm_set_cpuid(struct kvm_vcpu *vcpu, struct kvm_cpuid_entry2 *e2, int nent)
{
	assert(!vcpu->arch.cpuid_entries);

	if (shim.set_cpuid_error)
		return shim.set_cpuid_error;

	vcpu->arch.cpuid_entries = e2;
	vcpu->arch.cpuid_nent = nent;
	return 0;
}

#endif
