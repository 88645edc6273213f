// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Linked into QEMU in place of its ioctl(), to make sure that the tests see bugs.  With
 * $SABOTAGE,
 *
 *   first    every vCPU gets the CPUID table of the first one
 *   refuse   KVM gets a table for the VM that it refuses for its fourth entry
 *   memory   KVM has no memory for a VM's table
 *   late     KVM takes the first table of a VM, and says of the second that it is too late
 *   cache    every vCPU but the first one has another L3 cache in its table
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#define KVM_VM_SET_CPUID	_IOWR(KVMIO, 0xd6, struct kvm_cpuid2)

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

/* In leaf 0x80000006, EDX describes the L3 cache. */
static void other_l3(struct kvm_cpuid2 *cpuid)
{
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == 0x80000006)
			cpuid->entries[i].edx ^= 1 << 18;
	}
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	static unsigned int vm_tables, vcpu_tables;
	static struct kvm_cpuid2 *first;
	const char *sabotage = getenv("SABOTAGE");
	struct kvm_cpuid2 *cpuid = arg;
	size_t size;

	if (!sabotage)
		return __real_ioctl(fd, request, arg);

	/* QEMU passes the request as an int to some. */
	if ((unsigned int)request == KVM_SET_CPUID2 && !strcmp(sabotage, "first")) {
		if (!first) {
			size = sizeof(*cpuid) + cpuid->nent * sizeof(cpuid->entries[0]);
			first = malloc(size);
			if (!first)
				abort();
			memcpy(first, cpuid, size);
		}
		arg = first;
	}

	if ((unsigned int)request == KVM_VM_SET_CPUID) {
		vm_tables++;
		if (!strcmp(sabotage, "refuse"))
			cpuid->entries[3].padding[0] = 1;
		if (!strcmp(sabotage, "memory") || (!strcmp(sabotage, "late") && vm_tables > 1)) {
			errno = *sabotage == 'm' ? ENOMEM : EBUSY;
			return -1;
		}
	}

	/* A VM's first two tables are for the first vCPU: QEMU tries one, then sets it. */
	if (!strcmp(sabotage, "cache") &&
	    (((unsigned int)request == KVM_VM_SET_CPUID && vm_tables > 2) ||
	     ((unsigned int)request == KVM_SET_CPUID2 && ++vcpu_tables > 1)))
		other_l3(cpuid);

	return __real_ioctl(fd, request, arg);
}
