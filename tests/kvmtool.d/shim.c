// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into lkvm, it changes what KVM says, by the words in $HOST:
 *   amd     KVM supports what it would on an AMD host with 8 cores and TOPOEXT, and the newer
 *           topology leaves of Intel and AMD besides
 *   refuse  KVM refuses the fourth entry of the VM's table
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define KVM_VM_SET_CPUID	_IOWR(KVMIO, 0xd6, struct kvm_cpuid2)
#define INDEXED			KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static bool host_is(const char *word)
{
	const char *host = getenv("HOST");

	return host && strstr(host, word);
}

static void make_amd(struct kvm_cpuid2 *cpuid)
{
	static const struct kvm_cpuid_entry2 added[] = {
		{ .function = 0x1f, .flags = INDEXED, .edx = 77 },
		{ .function = 0x8000001e },
		{ .function = 0x80000026, .flags = INDEXED, .edx = 77 },
	};
	struct kvm_cpuid_entry2 *e, *end = cpuid->entries;
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++) {
		e = &cpuid->entries[i];
		if (e->function == 0x1f || e->function == 0x8000001e || e->function == 0x80000026)
			continue;
		if (e->function == 0 && e->eax < 0x1f)
			e->eax = 0x1f;
		if (e->function == 0x80000000)
			e->eax = 0x80000026;
		if (e->function == 0x80000001)
			e->ecx |= 1 << 22;
		if (e->function == 0x80000008)
			e->ecx = 0x3007;
		*end++ = *e;
	}
	memcpy(end, added, sizeof(added));
	cpuid->nent = end - cpuid->entries + 3;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	struct kvm_cpuid2 *cpuid;
	va_list list;
	int r;

	va_start(list, request);
	cpuid = va_arg(list, struct kvm_cpuid2 *);
	va_end(list);

	if (request == KVM_VM_SET_CPUID && host_is("refuse"))
		cpuid->entries[3].padding[0] = 1;
	r = real(fd, request, cpuid);
	if (!r && request == KVM_GET_SUPPORTED_CPUID && host_is("amd"))
		make_amd(cpuid);
	return r;
}
