/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_KVM_HOST_H
#define SHIM_KVM_HOST_H

#include "bitfield.h"

#define KVM_CAP_VM_CPUID	252
#define KVM_MAX_CPUID_ENTRIES	256
#define KVM_X86_TDX_VM		5

#define GFP_KERNEL_ACCOUNT	0x400cc0

/* As with KASAN, the bytes behind an array are not the caller's. */
#define struct_size(p, array, n)	(sizeof(*(p)) + (n) * sizeof((p)->array[0]))
#define array_size(n, size)		((size_t)(n) * (size))

struct mutex {
	bool held;
};

struct kvm {
	struct mutex lock;
	int created_vcpus;
	struct {
		unsigned long vm_type;
		struct kvm_cpuid2 *cpuid;
	} arch;
};

struct kvm_vcpu {
	struct kvm *kvm;
	int vcpu_id;
	struct {
		struct kvm_cpuid_entry2 *cpuid_entries;
		int cpuid_nent;
	} arch;
};

static inline int kvm_vm_ioctl_check_extension(struct kvm *kvm, long ext)
{
	assert(ext == KVM_CAP_VM_CPUID);
	return kvm->arch.vm_type == KVM_X86_TDX_VM ? 0 : KVM_MAX_CPUID_ENTRIES;
}

/* The only lock here is that of a VM. */
static inline void mutex_lock(struct mutex *lock)
{
	struct kvm *kvm = (void *)((char *)lock - offsetof(struct kvm, lock));

	if (shim.on_lock)
		shim.on_lock(kvm);

	assert(!lock->held);
	lock->held = true;
}

static inline void mutex_unlock(struct mutex *lock)
{
	assert(lock->held);
	lock->held = false;
}

static inline void *kvmalloc(size_t size, unsigned int gfp)
{
	void *p = shim.no_memory ? NULL : malloc(size);

	/* Memory that a process can make the kernel hold must be charged to it. */
	assert(gfp == GFP_KERNEL_ACCOUNT);

	shim.allocations += !!p;
	return p;
}

static inline void kvfree(const void *p)
{
	shim.allocations -= !!p;
	free((void *)p);
}

#endif
