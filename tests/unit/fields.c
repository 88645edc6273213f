// SPDX-License-Identifier: GPL-2.0-only
/*
 * Print the fields that cpuid_vm.c computes, found by passing it entries that are all ones:
 * function, index if it matters, register, mask, source.  tests/docs compares them with
 * the kernel's documentation.
 */
#include "../../linux/arch/x86/kvm/cpuid_vm.c"

/* Index 3 and above are all alike. */
#define INDEXES	4

static u32 reg(const struct kvm_cpuid_entry2 *e, int n)
{
	const u32 regs[] = { e->eax, e->ebx, e->ecx, e->edx };

	return regs[n];
}

static struct kvm_cpuid_entry2 ones(u32 function, u32 index)
{
	return (struct kvm_cpuid_entry2) {
		.function = function, .index = index, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = ~0u, .ebx = ~0u, .ecx = ~0u, .edx = ~0u,
	};
}

/* The bits that are zero in canonical form. */
static u32 cleared(u32 function, u32 index, int n)
{
	struct kvm_cpuid_entry2 e = ones(function, index);

	kvm_vm_cpuid_canonicalize(&e, 1);
	return ~reg(&e, n);
}

/*
 * The lowest bit of the x2APIC ID that changes the register is the lowest bit of that ID, of
 * the core ID or of the node ID.  If a package has 15 bits, ones mean 256 threads per core
 * and 8 nodes, i.e. these IDs begin at bit 0, 8 and 12.
 */
static const char *source(u32 function, u32 index, int n)
{
	static const char * const sources[32] = {
		[0] = "x2apic-id", [8] = "core-id", [12] = "node-id",
	};
	struct kvm_cpuid_entry2 e[2];
	u32 none;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		e[0] = ones(0x80000008, 0);
		e[1] = ones(function, index);
		kvm_vm_cpuid_set_ids(e, 2, 0);
		none = reg(&e[1], n);
		kvm_vm_cpuid_set_ids(e, 2, 1u << bit);
		if (reg(&e[1], n) != none)
			return sources[bit] ?: "unknown-id";
	}

	return "state";
}

static void print_fields(u32 function)
{
	u32 mask[INDEXES];
	bool all;

	for (int n = 0; n < 4; n++) {
		all = true;
		for (u32 index = 0; index < INDEXES; index++) {
			mask[index] = cleared(function, index, n);
			all &= mask[index] == mask[0];
		}

		for (u32 index = 0; index < (all ? 1 : INDEXES); index++) {
			if (!mask[index])
				continue;

			printf("%#x ", function);
			if (all)
				printf("-");
			else
				printf("%u", index);
			printf(" e%cx 0x%08x %s\n", "abcd"[n], mask[index],
			       source(function, index, n));
		}
	}
}

int main(void)
{
	static const u32 bases[] = { 0, 0x40000000, 0x80000000, 0xc0000000 };

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		for (u32 function = bases[i]; function < bases[i] + 0x200; function++)
			print_fields(function);
	}

	return 0;
}
