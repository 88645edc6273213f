// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz cpuid_vm.c with a sequence of ioctls and new vCPUs, any of which may fail, on one
 * VM: it always has the last table that it accepted, its vCPUs get copies of that, and
 * nothing leaks.
 */
#include "../../linux/arch/x86/kvm/cpuid_vm.c"

#include "../unit/invariants.h"
#include "decode.h"

/* One step, and the entries for it. */
struct fuzz_step {
	uint8_t what;		/* % 8: a new vCPU is 0, get 1 and 2, set the others */
	uint8_t nent;
	uint8_t header;		/* bits 1:0 are 3: padding; 3:2 are 3: more than 256 entries */
	uint8_t failures;	/* % 8: memory 1, a fault 2, a vCPU comes first 3, read-only 4,
				 * kvm_set_cpuid() 5
				 */
	uint16_t fault_at;
	uint16_t id;
};

/* The table that the VM must have, in the order in which userspace gave it. */
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

static void vcpu_comes_first(struct kvm *kvm)
{
	kvm->created_vcpus++;
}

/* Are the first @size bytes of user memory there? */
static bool there(size_t size)
{
	return !shim.fault_at || shim.fault_at >= size;
}

static size_t table_size(uint32_t nent)
{
	return sizeof(struct kvm_cpuid2) + nent * sizeof(entry_t);
}

static void step_set(struct kvm *kvm, struct model *model, const struct fuzz_step *step,
		     struct fuzz_bytes *bytes)
{
	static entry_t entries[KVM_MAX_CPUID_ENTRIES];
	uint32_t nent, padding, expected_padding;
	int r;

	nent = fuzz_table(bytes, entries, step->nent);
	if ((step->header & 0xc) == 0xc)
		nent = KVM_MAX_CPUID_ENTRIES + (step->nent ? step->nent : 1);
	padding = expected_padding = (step->header & 0x3) == 0x3;

	/* In the order in which the errors are checked. */
	if (!there(sizeof(struct kvm_cpuid2)))
		r = -EFAULT;
	else if (nent > KVM_MAX_CPUID_ENTRIES || padding)
		r = ref_set(entries, nent, &expected_padding, 0);
	else if (nent && shim.no_memory)
		r = -ENOMEM;
	else if (!there(table_size(nent)))
		r = -EFAULT;
	else
		r = ref_set(entries, nent, &expected_padding, shim.guest_perm);

	if (!r && (model->has_vcpu || shim.on_lock))
		r = -EBUSY;
	if (shim.read_only)
		expected_padding = padding;

	must(set_cpuid(kvm, entries, nent, &padding) == r, "set: result");
	must(padding == expected_padding, "set: padding");
	if (r)
		return;

	model->nent = nent;
	memcpy(model->entries, entries, nent * sizeof(*entries));
}

static void step_get(struct kvm *kvm, const struct model *model, const struct fuzz_step *step)
{
	struct kvm_cpuid2 *user = malloc(table_size(step->nent));
	uint32_t nent = step->nent;
	int r = 0;

	if (!there(sizeof(user->nent)))
		r = -EFAULT;
	else if (!model->nent)
		r = -ENOENT;
	else if (shim.read_only || (nent >= model->nent && !there(table_size(model->nent))))
		r = -EFAULT;
	else if (nent < model->nent)
		r = -E2BIG;
	if (!r || r == -E2BIG)
		nent = model->nent;

	user->nent = step->nent;
	must(get_cpuid(kvm, user) == r, "get: result");
	must(r == -EFAULT || user->nent == nent, "get: nent");
	must(r || as_reference(user->entries, model->entries, nent, 0, NULL), "get: entries");
	free(user);
}

static void step_vcpu(struct kvm *kvm, const struct model *model, const struct fuzz_step *step)
{
	uint32_t xen_id = ~step->id;
	struct kvm_vcpu vcpu;
	int r = 0;

	if (model->nent)
		r = shim.no_memory ? -ENOMEM : shim.set_cpuid_error;

	must(create_vcpu(kvm, step->id, &vcpu) == r, "vCPU: result");
	must(vcpu.arch.cpuid_nent == (r ? 0 : model->nent), "vCPU: nent");
	if (!r)
		kvm_vcpu_set_xen_cpuid(&vcpu, xen_id);
	must(r || as_reference(vcpu.arch.cpuid_entries, model->entries, model->nent, step->id,
			       &xen_id), "vCPU: entries");
	destroy_vcpu(&vcpu);

	/* Some vCPUs stay. */
	kvm->created_vcpus += step->header & 1;
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
		shim.fault_at = step.failures % 8 == 2 ? step.fault_at : 0;
		shim.on_lock = step.failures % 8 == 3 ? vcpu_comes_first : NULL;
		shim.read_only = step.failures % 8 == 4;
		shim.set_cpuid_error = step.failures % 8 == 5 ? -EPERM : 0;
		shim.guest_perm = step.failures & 0x80 ? ~0ull : 0;

		if (step.what % 8 == 0)
			step_vcpu(&kvm, &model, &step);
		else if (step.what % 8 < 3)
			step_get(&kvm, &model, &step);
		else
			step_set(&kvm, &model, &step, &bytes);
		model.has_vcpu = kvm.created_vcpus;

		must(!kvm.arch.cpuid == !model.nent, "a table, or none");
		must(!model.nent ||
		     (kvm.arch.cpuid->nent == model.nent &&
		      as_reference(kvm.arch.cpuid->entries, model.entries, model.nent, 0, NULL)),
		     "the VM's table");
		must(shim.allocations == !!model.nent, "allocations");
	}

	free_cpuid(&kvm);
	must(!shim.allocations, "memory leaked");

	return 0;
}
