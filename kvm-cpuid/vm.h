/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of a VMM that sets CPUID tables and has guest code execute CPUID: raw
 * KVM ioctls, one page of guest memory.
 *
 * Functions that return an int return 0 or -errno. "Dies" means that the program
 * ends with one line on stderr.
 */
#ifndef VM_H
#define VM_H

#include <stdint.h>

#include "table.h"

struct vm {
	int kvm;			/* /dev/kvm */
	int fd;
	size_t run_size;		/* bytes of a vCPU's struct kvm_run mapping */
};

struct vcpu {
	unsigned int id;		/* vcpu_id, and with it the x2APIC ID */
	int fd;
	struct kvm_run *run;
};

/* Open /dev/kvm. Dies with STATUS_NO_KVM, saying what to do. */
int kvm_open(void);

/* KVM_GET_SUPPORTED_CPUID, to be freed by the caller. Dies on errors. */
struct kvm_cpuid2 *kvm_get_supported_cpuid(int kvm);

/*
 * Create a VM as VMMs do, with guest memory and the interrupt controllers split
 * between kernel and VMM, and no vCPU. Dies on errors.
 */
void vm_create(struct vm *vm);

/*
 * The largest table that KVM_VM_SET_CPUID takes, in entries. Dies with
 * STATUS_NO_KVM if this kernel has no such ioctl. @vm must have no table yet.
 */
unsigned int vm_probe(const struct vm *vm);

/*
 * KVM_VM_SET_CPUID. On -EINVAL, cpuid->padding is the number of the entry that
 * the kernel refuses, from 1.
 */
int vm_set_cpuid(const struct vm *vm, struct kvm_cpuid2 *cpuid);

/* KVM_VM_GET_CPUID, to be freed by the caller. Dies on errors. */
struct kvm_cpuid2 *vm_get_cpuid(const struct vm *vm);

/*
 * Create a vCPU that can run at once. Dies with STATUS_USAGE if KVM does not take
 * @id, with STATUS_NO on other errors.
 */
void vcpu_create(const struct vm *vm, struct vcpu *vcpu, unsigned int id);

/*
 * Tell KVM the vCPU's Xen vCPU ID, as a VMM with Xen guests must. Does nothing if
 * KVM cannot run Xen guests. Dies on errors.
 */
void vcpu_set_xen_id(const struct vm *vm, const struct vcpu *vcpu, unsigned int xen_id);

/* KVM_SET_CPUID2 */
int vcpu_set_cpuid2(const struct vcpu *vcpu, struct kvm_cpuid2 *cpuid);

/* KVM_SET_CPUID, with one entry, the fewest that it takes. */
int vcpu_set_cpuid1(const struct vcpu *vcpu);

/* KVM_GET_CPUID2, to be freed by the caller. Dies on errors. */
struct kvm_cpuid2 *vcpu_get_cpuid2(const struct vcpu *vcpu);

/*
 * Have the guest execute CPUID with EAX=@e->function and ECX=@e->index, and
 * store what it reads in the other members of @e. Dies if that takes more than
 * RUN_SECONDS.
 */
#define RUN_SECONDS	10
void vcpu_cpuid(struct vcpu *vcpu, struct kvm_cpuid_entry2 *e);

#endif /* VM_H */
