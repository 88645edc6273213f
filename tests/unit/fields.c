// SPDX-License-Identifier: GPL-2.0-only
/*
 * Print kvm_vm_cpuid_fields, one field per line: function, index if it matters, register,
 * mask, source.  tests/docs compares that with the kernel's documentation.
 */
#include <limits.h>
#include <stdio.h>

#include "../../linux/arch/x86/kvm/cpuid_vm.c"

int main(void)
{
	static const char * const sources[] = {
		[KVM_VM_CPUID_X2APIC_ID] = "x2apic-id",
		[KVM_VM_CPUID_CORE_ID] = "core-id",
		[KVM_VM_CPUID_NODE_ID] = "node-id",
		[KVM_VM_CPUID_XEN_VCPU_ID] = "xen-vcpu-id",
		[KVM_VM_CPUID_RUNTIME] = "state",
	};
	const struct kvm_vm_cpuid_field *field;

	for (size_t i = 0; i < ARRAY_SIZE(kvm_vm_cpuid_fields); i++) {
		field = &kvm_vm_cpuid_fields[i];
		printf("%#x ", field->function);
		/* No index, and the first of all, are not told apart by the documentation. */
		if (field->index <= UINT_MAX)
			printf("%d", (int)field->index);
		else
			printf("-");
		printf(" e%cx %#010x %s\n", "abcd"[(field->reg - offsetof(struct kvm_cpuid_entry2, eax)) / 4],
		       field->mask, sources[field->source]);
	}

	return 0;
}
