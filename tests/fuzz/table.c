// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz cpuid_vm.c with one table and one vCPU: it must do everything that the naive
 * reference does.
 */
#include "../../linux/arch/x86/kvm/cpuid_vm.c"

#include "../unit/invariants.h"
#include "decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kvm_cpuid_entry2 entries[KVM_MAX_CPUID_ENTRIES + 1];
	struct fuzz_bytes bytes = { data, size };
	struct fuzz_vcpu vcpu;
	const char *what;
	uint32_t nent;

	fuzz_take(&bytes, &vcpu, sizeof(vcpu));
	nent = fuzz_table(&bytes, entries, ARRAY_SIZE(entries));

	/* AMX for every other vCPU: reuse a bit of the input. */
	shim.guest_perm = vcpu.id & 1 ? ~0ull : 0;

	what = differs(entries, nent, vcpu.id, vcpu.xen_id);
	if (what) {
		fprintf(stderr, "not what the reference does: %s\n", what);
		abort();
	}

	return 0;
}
