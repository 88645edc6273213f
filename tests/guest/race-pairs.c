// SPDX-License-Identifier: GPL-2.0-only
/*
 * Have two threads each repeat an ioctl as fast as they can: the more often two accesses
 * meet, the more likely KCSAN, which watches few of them, sees a data race.  This checks
 * for errors only; race_test checks the results.
 *
 * usage: race-pairs SECONDS
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "../../kvm-cpuid/vm_cpuid_uapi.h"

/* How long a VM lives before a vCPU ends the race for its table, in milliseconds. */
#define ROUND	2000

struct table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry;
};

static int vm;
static atomic_bool done;
static unsigned long sets, gets;

static void *set(void *arg)
{
	struct table table = { .entry.function = 1 };

	do {
		table.head.nent = 1;
		table.entry.eax = sets;
		sets++;
	} while (!ioctl(vm, KVM_VM_SET_CPUID, &table));
	if (errno != EBUSY)
		err(1, "KVM_VM_SET_CPUID");
	return NULL;
}

static void *get(void *arg)
{
	struct table table;

	while (!atomic_load(&done)) {
		table.head.nent = 1;
		gets++;
		if (ioctl(vm, KVM_VM_GET_CPUID, &table) && errno != ENOENT)
			err(1, "KVM_VM_GET_CPUID");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 0);
	int kvm = open("/dev/kvm", O_RDWR), vcpu, rounds = 0;
	pthread_t setter, getter;

	do {
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
		if (vm < 0)
			err(1, "KVM_CREATE_VM");
		atomic_store(&done, false);
		if (pthread_create(&setter, NULL, set, NULL) || pthread_create(&getter, NULL, get, NULL))
			errx(1, "cannot create threads");
		usleep(ROUND * 1000);
		vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
		if (vcpu < 0)
			err(1, "KVM_CREATE_VCPU");
		pthread_join(setter, NULL);
		atomic_store(&done, true);
		pthread_join(getter, NULL);
		close(vcpu);
		close(vm);
		rounds++;
	} while (time(NULL) < end);
	printf("# %d VMs, %lu sets, %lu gets\n", rounds, sets, gets);
	return 0;
}
