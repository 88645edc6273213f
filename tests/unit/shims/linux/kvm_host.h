/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_KVM_HOST_H
#define SHIM_KVM_HOST_H

#include "debugfs.h"

/* The proofs make do with less. */
#ifndef KVM_MAX_CPUID_ENTRIES
#define KVM_MAX_CPUID_ENTRIES	256
#endif
#define KVM_X86_TDX_VM		5

#define GFP_KERNEL_ACCOUNT	0x400cc0

/* As with KASAN: the bytes behind an array are not the caller's. */
#define struct_size(p, array, n)	(sizeof(*(p)) + (n) * sizeof((p)->array[0]))
#define array_size(n, size)		((size_t)(n) * (size))

struct mutex {
	bool held;
};

struct kvm_hypervisor_cpuid {
	u32 base;
	u32 limit;
};

struct kvm_vm_cpuid;

struct kvm {
	struct mutex lock;
	int created_vcpus;
	bool dying;
	struct dentry *debugfs_dentry;
	struct {
		unsigned long vm_type;
		struct kvm_vm_cpuid *cpuid;
	} arch;
};

struct kvm_vcpu {
	struct {
		struct {
			u32 vcpu_id;
		} xen;
	} arch;
};

/* The only lock here is a VM's. */
static inline void mutex_lock(struct mutex *lock)
{
	struct kvm *kvm = (void *)((char *)lock - offsetof(struct kvm, lock));

	if (shim.on_lock)
		shim.on_lock(kvm);

	assert(!lock->held);
	lock->held = true;
	shim.locks++;
}

static inline void mutex_unlock(struct mutex *lock)
{
	assert(lock->held);
	lock->held = false;
}

static inline bool kvm_get_kvm_safe(struct kvm *kvm)
{
	if (kvm->dying)
		return false;

	shim.references++;
	return true;
}

static inline void kvm_put_kvm(struct kvm *kvm)
{
	assert(!kvm->dying);
	shim.references--;
}

static inline void *kvzalloc(size_t size, unsigned int gfp)
{
	/* What a process can make the kernel hold is to be charged to it. */
	assert(gfp == GFP_KERNEL_ACCOUNT);

	if (shim.no_memory)
		return NULL;

	shim.allocations++;
	return calloc(1, size);
}

static inline void kvfree(const void *p)
{
	if (p)
		shim.allocations--;
	free((void *)p);
}

#endif
