// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a guest that spins with interrupts disabled, and interrupt it by a signal.
 *
 * The host's timer interrupt must make the guest exit: then this exits with 0.  Otherwise
 * the whole machine hangs.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>

#define CODE_GPA	0x1000

/* cli; jmp . */
static const unsigned char code[] = { 0xfa, 0xeb, 0xfe };

static void on_alarm(int signal)
{
}

int main(void)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = CODE_GPA,
		.memory_size = 4096,
	};
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };
	struct itimerval timer = { .it_value.tv_usec = 100000 };
	struct sigaction action = { .sa_handler = on_alarm };
	int kvm, vm, vcpu, i;
	struct kvm_sregs sregs;
	void *memory;

	kvm = open("/dev/kvm", O_RDWR);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (kvm < 0 || vm < 0 || memory == MAP_FAILED)
		err(1, "cannot create a VM");
	memcpy(memory, code, sizeof(code));
	region.userspace_addr = (unsigned long)memory;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0 || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) ||
	    ioctl(vcpu, KVM_GET_SREGS, &sregs))
		err(1, "cannot create a vCPU");
	sregs.cs.base = sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		err(1, "cannot set registers");
	if (sigaction(SIGALRM, &action, NULL))
		err(1, "sigaction");

	for (i = 0; i < 3; i++) {
		if (setitimer(ITIMER_REAL, &timer, NULL))
			err(1, "setitimer");
		if (ioctl(vcpu, KVM_RUN, 0) != -1 || errno != EINTR)
			err(1, "KVM_RUN was not interrupted");
		if (ioctl(vcpu, KVM_GET_REGS, &regs) || regs.rip != CODE_GPA + 1)
			errx(1, "the guest doesn't spin: RIP is 0x%llx", regs.rip);
		printf("the guest was interrupted\n");
	}
	return 0;
}
