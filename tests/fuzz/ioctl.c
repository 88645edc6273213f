// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz the ioctls of cpuid_vm.c with a sequence of them, any of which may fail, on
 * one VM: what it has is always the last table that it took, and nothing leaks.
 */
#include "../../linux/arch/x86/kvm/cpuid_vm.c"

#include "../unit/invariants.h"
#include "decode.h"

/* One step, and the entries for it. */
struct fuzz_step {
	uint8_t what;		/* % 8: a new vCPU is 0, get 1 and 2, set the others */
	uint8_t nent;
	uint8_t header;		/* bits 1:0 are 3: padding; 3:2 are 3: more than 256 entries */
	uint8_t failures;	/* % 8: memory 1, a copy 2, a vCPU comes first 3 */
	uint16_t fault_after;
	uint16_t spare;
};

/* What the VM has to be like. */
struct model {
	entry_t entries[KVM_MAX_CPUID_ENTRIES];
	uint32_t nent;
	bool has_vcpu;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
	if (holds)
		return;

	fprintf(stderr, "not what the model does: %s\n", what);
	abort();
}

static void create_vcpu(struct kvm *kvm)
{
	kvm->created_vcpus++;
}

static void step_set(struct kvm *kvm, struct model *model, const struct fuzz_step *step,
		     struct fuzz_bytes *bytes)
{
	static entry_t entries[KVM_MAX_CPUID_ENTRIES];
	struct kvm_cpuid2 header = {};
	uint32_t bad;
	size_t left;
	int r, rank;

	header.nent = fuzz_table(bytes, entries, step->nent);
	if ((step->header & 0xc) == 0xc)
		header.nent = KVM_MAX_CPUID_ENTRIES + (step->nent ? step->nent : 1);
	header.padding = (step->header & 0x3) == 0x3;

	bad = header.nent;
	left = bad * sizeof(*entries);

	/* In the order in which the errors are checked. */
	if (bad > KVM_MAX_CPUID_ENTRIES)
		r = ref_check(entries, &bad, 0);
	else if (!bad || header.padding)
		r = -EINVAL;
	else if (shim.no_memory)
		r = -ENOMEM;
	else if (shim.fault && shim.fault_after < left)
		r = -EFAULT;
	else
		r = ref_check(entries, &bad, shim.guest_perm);

	if (!r && (model->has_vcpu || shim.on_lock))
		r = -EBUSY;

	must(set_cpuid(kvm, entries, &header) == r, "set: result");
	must(header.nent == bad, "set: nent");
	if (r)
		return;

	model->nent = bad;
	for (uint32_t i = 0; i < bad; i++) {
		rank = ref_rank(entries, bad, i);
		model->entries[rank] = ref_entry(entries, bad, i, 0, 0);
	}
}

static void step_get(struct kvm *kvm, const struct model *model, const struct fuzz_step *step)
{
	struct kvm_cpuid2 header = { .nent = step->nent, .padding = step->header };
	size_t size = step->nent * sizeof(entry_t);
	entry_t *user = malloc(size);
	int r = 0;

	if (!model->nent)
		r = -ENOENT;
	else if (step->nent < model->nent)
		r = -E2BIG;
	else if (shim.fault && shim.fault_after < model->nent * sizeof(*user))
		r = -EFAULT;

	must(kvm_vm_ioctl_get_cpuid(kvm, &header, user) == r, "get: result");
	must(header.nent == (model->nent ? model->nent : step->nent), "get: nent");
	must(r || !memcmp(user, model->entries, model->nent * sizeof(*user)), "get: entries");
	free(user);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model;
	struct fuzz_bytes bytes = { data, size };
	struct fuzz_step step;
	struct kvm kvm = {};

	model.nent = 0;
	model.has_vcpu = false;

	while (bytes.size) {
		fuzz_take(&bytes, &step, sizeof(step));

		shim.no_memory = step.failures % 8 == 1;
		shim.fault = step.failures % 8 == 2;
		shim.fault_after = step.fault_after;
		shim.on_lock = step.failures % 8 == 3 ? create_vcpu : NULL;
		shim.guest_perm = step.failures & 0x80 ? ~0ull : 0;

		if (step.what % 8 == 0)
			create_vcpu(&kvm);
		else if (step.what % 8 < 3)
			step_get(&kvm, &model, &step);
		else
			step_set(&kvm, &model, &step, &bytes);
		model.has_vcpu = kvm.created_vcpus;

		must(!kvm.lock.held, "the lock is held");
		must(!kvm.arch.cpuid == !model.nent, "a table, or none");
		must(!model.nent ||
		     (kvm.arch.cpuid->nent == model.nent &&
		      !memcmp(kvm.arch.cpuid->entries, model.entries,
			      model.nent * sizeof(*model.entries))), "the VM's table");
		must(shim.allocations == !!model.nent, "allocations");
	}

	free_cpuid(&kvm);
	must(!shim.allocations, "memory leaked");

	return 0;
}
