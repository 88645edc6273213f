// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The smallest VMM that shows how to adopt KVM_VM_SET_CPUID: it gives a VM its CPUID,
 * creates three vCPUs, and lets each of them execute CPUID.  On kernels without the
 * ioctl it does what all VMMs do today, so you see both.
 *
 *   cc -o minimal minimal.c && ./minimal
 *
 * "minimal refuse" adds an entry that the ioctl refuses and KVM_SET_CPUID2 accepts, to
 * show how to fall back.
 *
 * Exit: 0 if each vCPU saw its own x2APIC ID, 1 if something failed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* For headers that do not have them yet.  The numbers are provisional. */
#ifndef KVM_CAP_VM_CPUID
#define KVM_CAP_VM_CPUID	252
#define KVM_VM_SET_CPUID	_IOWR(KVMIO, 0xd6, struct kvm_cpuid2)
#define KVM_VM_GET_CPUID	_IOWR(KVMIO, 0xd7, struct kvm_cpuid2)
#endif

#define MAX_ENTRIES	256
#define CODE		0x1000
#define TSS		0xfffbd000	/* Intel's VMX needs a place for one */

static const uint8_t code[] = {
	0x66, 0xb8, 0x0b, 0, 0, 0,	/* mov $0xb, %eax */
	0x66, 0x31, 0xc9,		/* xor %ecx, %ecx */
	0x0f, 0xa2,			/* cpuid */
	0xf4,				/* hlt */
};

/*
 * Probe.  While the capability's number is provisional, a kernel may use it for
 * something else.  So call the ioctl too: no other returns ENOENT here.
 */
static bool has_vm_cpuid(int vm)
{
	struct kvm_cpuid2 none = { .nent = 0 };

	return ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_VM_CPUID) > 0 &&
	       ioctl(vm, KVM_VM_GET_CPUID, &none) == -1 && errno == ENOENT;
}

/*
 * Set the table once, before the first vCPU.  No field in it is specific to a vCPU.  If KVM
 * refuses it, say why; the VM and the table are as before, so the old way still works.
 */
static bool set_vm_cpuid(int vm, struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *e;

	cpuid->padding = 0;
	if (!ioctl(vm, KVM_VM_SET_CPUID, cpuid))
		return true;

	if (!cpuid->padding) {
		warn("KVM_VM_SET_CPUID");
	} else {
		/* KVM has written the number of the bad entry, counted from one. */
		e = &cpuid->entries[cpuid->padding - 1];
		warnx("KVM refuses CPUID leaf 0x%x subleaf 0x%x", e->function, e->index);
	}
	return false;
}

/*
 * The old way, which you can delete one day: a copy per vCPU, each patched by hand.
 * This is not all: there are 0x8000001e's core and node IDs, 0x80000026, and Xen's vCPU
 * ID.  Every VMM has had the bug of forgetting one.
 */
static void set_vcpu_cpuid(int vcpu, const struct kvm_cpuid2 *cpuid, uint32_t id)
{
	size_t size = sizeof(*cpuid) + cpuid->nent * sizeof(cpuid->entries[0]);
	struct kvm_cpuid2 *copy = malloc(size);
	struct kvm_cpuid_entry2 *e;

	if (!copy)
		err(1, "malloc");
	memcpy(copy, cpuid, size);
	for (e = copy->entries; e < copy->entries + copy->nent; e++) {
		switch (e->function) {
		case 0x1:
			e->ebx = (e->ebx & 0xffffff) | id << 24;
			break;
		case 0xb:
		case 0x1f:
			e->edx = id;
			break;
		case 0x8000001e:
			e->eax = id;
			break;
		}
	}
	if (ioctl(vcpu, KVM_SET_CPUID2, copy))
		err(1, "vCPU %u: KVM_SET_CPUID2", id);
	free(copy);
}

/* Have a vCPU execute the code, in real mode; return what it reads in EDX of leaf 0xb. */
static uint32_t run(int vcpu, size_t run_size)
{
	struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	if (run == MAP_FAILED)
		err(1, "mmap");
	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		err(1, "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs) ||
	    ioctl(vcpu, KVM_SET_MP_STATE, &runnable) || ioctl(vcpu, KVM_RUN, 0))
		err(1, "KVM_RUN");
	if (run->exit_reason != KVM_EXIT_HLT)
		errx(1, "KVM_RUN: exit reason %u, not HLT", run->exit_reason);
	if (ioctl(vcpu, KVM_GET_REGS, &regs))
		err(1, "KVM_GET_REGS");
	munmap(run, run_size);
	return regs.rdx;
}

int main(int argc, char **argv)
{
	static const uint32_t ids[] = { 0, 1, 6 };
	struct kvm_userspace_memory_region region = { .memory_size = 0x2000 };
	struct kvm_cpuid2 *cpuid;
	struct kvm_cpuid_entry2 *e;
	int kvm, vm, vcpu, run_size;
	bool one_table, ok = true;
	unsigned int i, levels;
	uint32_t seen;
	char *memory;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		err(1, "/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vm < 0 || run_size < 0)
		err(1, "KVM_CREATE_VM");

	memory = mmap(NULL, region.memory_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	memcpy(memory + CODE, code, sizeof(code));
	region.userspace_addr = (uintptr_t)memory;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) || ioctl(vm, KVM_SET_TSS_ADDR, TSS))
		err(1, "the VM's memory");

	/* The model: here it is all that KVM supports, with two levels of topology. */
	cpuid = calloc(1, sizeof(*cpuid) + MAX_ENTRIES * sizeof(*e));
	if (!cpuid)
		err(1, "calloc");
	cpuid->nent = MAX_ENTRIES - 2;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid))
		err(1, "KVM_GET_SUPPORTED_CPUID");
	for (e = cpuid->entries, i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function != 0xb)
			*e++ = cpuid->entries[i];
	}
	for (levels = 0; levels < 2; levels++) {
		*e++ = (struct kvm_cpuid_entry2) {
			.function = 0xb,
			.index = levels,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = levels ? 3 : 1,		/* bits of the ID to shift out */
			.ebx = levels ? 8 : 2,		/* CPUs */
			.ecx = levels | (levels + 1) << 8,
		};
	}
	cpuid->nent = e - cpuid->entries;
	cpuid->entries[0].padding[0] = argc > 1 && !strcmp(argv[1], "refuse");

	one_table = has_vm_cpuid(vm) && set_vm_cpuid(vm, cpuid);

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		vcpu = ioctl(vm, KVM_CREATE_VCPU, ids[i]);
		if (vcpu < 0)
			err(1, "KVM_CREATE_VCPU");
		if (!one_table)
			set_vcpu_cpuid(vcpu, cpuid, ids[i]);

		seen = run(vcpu, run_size);
		printf("vCPU %u: CPUID says x2APIC ID %u, by %s\n", ids[i], seen,
		       one_table ? "the VM's table" : "a table of its own");
		ok &= seen == ids[i];
	}

	return ok ? 0 : 1;
}
