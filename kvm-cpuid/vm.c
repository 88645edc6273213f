// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"
#include "vm.h"

#define PAGE_SIZE	4096

/*
 * The guest's memory is the page with the reset vector, so a new vCPU runs the
 * guest code as it is, in real mode, and no segment or control register has to
 * be set.
 */
#define GUEST_PAGE	0xfffff000ul
#define RESET_IP	0xfff0		/* CS base is 0xffff0000 */

/*
 * VMX without unrestricted guest needs a place for a TSS and a page table to
 * run real mode: below the guest's page, where QEMU has them too.
 */
#define IDENTITY_MAP	0xfffbc000ul
#define TSS		(IDENTITY_MAP + PAGE_SIZE)

#define EXIT_PORT	0x80

static const uint8_t guest_code[] = {
	0x0f, 0xa2,		/* 1:	cpuid */
	0xe6, EXIT_PORT,	/*	out %al, $EXIT_PORT */
	0xeb, 0xfa,		/*	jmp 1b */
};

/* linux/prctl.h of older headers lacks these. */
#define ARCH_REQ_XCOMP_GUEST_PERM	0x1025
#define XFEATURE_XTILE_DATA		18

int kvm_open(void)
{
	const char *hint = "";
	int kvm, api;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0) {
		if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
			hint = ": load kvm_amd or kvm_intel; in a VM, turn on nested virtualization";
		else if (errno == EACCES)
			hint = ": become root, or join the group that owns it";
		die(STATUS_NO_KVM, "/dev/kvm: %s%s", strerror(errno), hint);
	}

	api = ioctl(kvm, KVM_GET_API_VERSION, 0);
	if (api != KVM_API_VERSION)
		die(STATUS_NO_KVM, "/dev/kvm: API version %d, not %d: is this KVM?",
		    api, KVM_API_VERSION);
	return kvm;
}

struct kvm_cpuid2 *kvm_get_supported_cpuid(int kvm)
{
	struct kvm_cpuid2 *cpuid;
	unsigned int nent;

	/* The kernel says that its table is larger, but not how large. */
	for (nent = 256; ; nent *= 2) {
		cpuid = cpuid_alloc(nent);
		if (!ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid))
			return cpuid;
		if (errno != E2BIG || nent > 4096)
			die(STATUS_NO, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
		free(cpuid);
	}
}

void vm_create(struct vm *vm)
{
	struct kvm_enable_cap split_irqchip = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { 24 },		/* pins of the I/O APIC */
	};
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = GUEST_PAGE,
		.memory_size = PAGE_SIZE,
	};
	uint64_t identity_map = IDENTITY_MAP;
	void *page;
	int size;

	vm->kvm = kvm_open();
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		die(STATUS_NO_KVM, "KVM_CREATE_VM: %s", strerror(errno));

	size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(struct kvm_run))
		die(STATUS_NO, "KVM_GET_VCPU_MMAP_SIZE: %d", size);
	vm->run_size = size;

	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map))
		die(STATUS_NO, "KVM_SET_IDENTITY_MAP_ADDR: %s", strerror(errno));
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS))
		die(STATUS_NO, "KVM_SET_TSS_ADDR: %s", strerror(errno));

	/* Without a local APIC in the kernel, CPUID would show the guest none. */
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &split_irqchip))
		die(STATUS_NO, "KVM_CAP_SPLIT_IRQCHIP: %s", strerror(errno));

	page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		die(STATUS_NO, "out of memory");
	memcpy(page + RESET_IP % PAGE_SIZE, guest_code, sizeof(guest_code));

	region.userspace_addr = (uintptr_t)page;
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		die(STATUS_NO, "KVM_SET_USER_MEMORY_REGION: %s", strerror(errno));
}

/*
 * The numbers are provisional: a kernel may use 252 for something else one day.
 * So trust the capability only if the ioctl also answers as it should: its number
 * encodes direction and size, and no other ioctl returns ENOENT here.
 */
unsigned int vm_probe(const struct vm *vm)
{
	struct kvm_cpuid2 none = { .nent = 0 };
	int limit;

	limit = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_VM_CPUID);
	if (limit <= 0)
		die(STATUS_NO_KVM,
		    "this kernel's KVM has no KVM_CAP_VM_CPUID (%d): boot one with the KVM_VM_SET_CPUID patches",
		    KVM_CAP_VM_CPUID);
	if (ioctl(vm->fd, KVM_VM_GET_CPUID, &none) != -1 || errno != ENOENT)
		die(STATUS_NO_KVM,
		    "capability %d of this kernel's KVM is not KVM_CAP_VM_CPUID: KVM_VM_GET_CPUID says %s, not ENOENT",
		    KVM_CAP_VM_CPUID, strerror(errno));
	return limit;
}

/*
 * For some features (AMX), a process needs permission before its guests may have
 * them. Ask for it as a VMM does, and let KVM refuse if that failed.
 */
static void request_guest_xfeatures(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, 0xd, 0);

	if (e && (e->eax & (1u << XFEATURE_XTILE_DATA)))
		syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_GUEST_PERM, XFEATURE_XTILE_DATA);
}

int vm_set_cpuid(const struct vm *vm, struct kvm_cpuid2 *cpuid)
{
	request_guest_xfeatures(cpuid);
	return ioctl(vm->fd, KVM_VM_SET_CPUID, cpuid) ? -errno : 0;
}

struct kvm_cpuid2 *vm_get_cpuid(const struct vm *vm)
{
	struct kvm_cpuid2 none = { .nent = 0 };
	struct kvm_cpuid2 *cpuid;

	/* No room for an entry: the kernel says how many there are. */
	if (ioctl(vm->fd, KVM_VM_GET_CPUID, &none) != -1 || errno != E2BIG)
		die(STATUS_NO, "KVM_VM_GET_CPUID with nent = 0: %s, not E2BIG", strerror(errno));
	cpuid = cpuid_alloc(none.nent);
	if (ioctl(vm->fd, KVM_VM_GET_CPUID, cpuid))
		die(STATUS_NO, "KVM_VM_GET_CPUID: %s", strerror(errno));
	return cpuid;
}

void vcpu_create(const struct vm *vm, struct vcpu *vcpu, unsigned int id)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	int max_id;

	max_id = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID);
	if (max_id > 0 && id >= (unsigned int)max_id)
		die(STATUS_USAGE, "vCPU id %u: this kernel's KVM takes ids up to %d",
		    id, max_id - 1);

	vcpu->id = id;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0)
		die(STATUS_NO, "vCPU %u: KVM_CREATE_VCPU: %s", id, strerror(errno));

	vcpu->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		die(STATUS_NO, "vCPU %u: mmap: %s", id, strerror(errno));

	/* All but vCPU 0 would wait for an INIT that no one sends. */
	if (ioctl(vcpu->fd, KVM_SET_MP_STATE, &runnable))
		die(STATUS_NO, "vCPU %u: KVM_SET_MP_STATE: %s", id, strerror(errno));
}

void vcpu_set_xen_id(const struct vm *vm, const struct vcpu *vcpu, unsigned int xen_id)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID,
		.u.vcpu_id = xen_id,
	};

	if (ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_XEN_HVM) <= 0)
		return;
	if (ioctl(vcpu->fd, KVM_XEN_VCPU_SET_ATTR, &attr))
		die(STATUS_NO, "vCPU %u: KVM_XEN_VCPU_SET_ATTR: %s", vcpu->id, strerror(errno));
}

int vcpu_set_cpuid2(const struct vcpu *vcpu, struct kvm_cpuid2 *cpuid)
{
	return ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) ? -errno : 0;
}

int vcpu_set_cpuid1(const struct vcpu *vcpu)
{
	struct kvm_cpuid *cpuid;
	int err;

	cpuid = calloc(1, sizeof(*cpuid) + sizeof(cpuid->entries[0]));
	if (!cpuid)
		die(STATUS_NO, "out of memory");
	cpuid->nent = 1;
	err = ioctl(vcpu->fd, KVM_SET_CPUID, cpuid) ? -errno : 0;
	free(cpuid);
	return err;
}

struct kvm_cpuid2 *vcpu_get_cpuid2(const struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = cpuid_alloc(256);

	if (ioctl(vcpu->fd, KVM_GET_CPUID2, cpuid))
		die(STATUS_NO, "vCPU %u: KVM_GET_CPUID2: %s", vcpu->id, strerror(errno));
	return cpuid;
}

/* The vCPU that runs, for the signal handler. */
static struct kvm_run *current_run;

static void on_alarm(int sig)
{
	(void)sig;

	/* So that the signal counts even if it comes before KVM_RUN. */
	current_run->immediate_exit = 1;
}

static void vcpu_set_regs(const struct vcpu *vcpu, struct kvm_regs *regs)
{
	if (ioctl(vcpu->fd, KVM_SET_REGS, regs))
		die(STATUS_NO, "vCPU %u: KVM_SET_REGS: %s", vcpu->id, strerror(errno));
}

/* Run the guest to its OUT and complete that, within a time limit. */
static void vcpu_run(struct vcpu *vcpu)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	struct kvm_run *run = vcpu->run;
	int r, err;

	current_run = run;
	run->immediate_exit = 0;
	sigaction(SIGALRM, &action, NULL);
	alarm(RUN_SECONDS);
	do {
		r = ioctl(vcpu->fd, KVM_RUN, 0);
		err = errno;
	} while (r && err == EINTR && !run->immediate_exit);
	alarm(0);

	if (r && err == EINTR)
		die(STATUS_NO, "vCPU %u: the guest did not execute CPUID in %d seconds",
		    vcpu->id, RUN_SECONDS);
	if (r)
		die(STATUS_NO, "vCPU %u: KVM_RUN: %s", vcpu->id, strerror(err));
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != EXIT_PORT)
		die(STATUS_NO, "vCPU %u: KVM_RUN: exit reason %u, not the guest's OUT",
		    vcpu->id, run->exit_reason);

	/*
	 * Only another KVM_RUN completes the OUT, and makes the registers the
	 * guest's.
	 */
	run->immediate_exit = 1;
	if (!ioctl(vcpu->fd, KVM_RUN, 0) || errno != EINTR)
		die(STATUS_NO, "vCPU %u: KVM_RUN with immediate_exit: %s, not EINTR",
		    vcpu->id, strerror(errno));
}

void vcpu_cpuid(struct vcpu *vcpu, struct kvm_cpuid_entry2 *e)
{
	struct kvm_regs regs = {
		.rax = e->function,
		.rcx = e->index,
		.rip = RESET_IP,
		.rflags = 0x2,		/* the bit that is always set */
	};

	vcpu_set_regs(vcpu, &regs);
	vcpu_run(vcpu);
	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs))
		die(STATUS_NO, "vCPU %u: KVM_GET_REGS: %s", vcpu->id, strerror(errno));

	e->eax = regs.rax;
	e->ebx = regs.rbx;
	e->ecx = regs.rcx;
	e->edx = regs.rdx;
}
