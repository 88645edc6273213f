// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Linked into QEMU in place of its ioctl(), to see that the tests would see it.  As
 * $SABOTAGE says,
 *
 *   first    every vCPU gets the CPUID table of the first one
 *   refuse   KVM gets a table for the VM that it refuses for its fourth entry
 */
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#define KVM_VM_SET_CPUID	_IOWR(KVMIO, 0xd6, struct kvm_cpuid2)

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
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

	if ((unsigned int)request == KVM_VM_SET_CPUID && !strcmp(sabotage, "refuse"))
		cpuid->entries[3].padding[0] = 1;

	return __real_ioctl(fd, request, arg);
}
