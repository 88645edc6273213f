// SPDX-License-Identifier: GPL-2.0-only
/*
 * Let KVM's selftest library run on kernels before 6.8, which lack
 * KVM_SET_USER_MEMORY_REGION2.  Every test is linked with this ioctl().
 */
#include <errno.h>
#include <stdarg.h>

#include <linux/kvm.h>

int __real_ioctl(int fd, unsigned long cmd, void *arg);
int __wrap_ioctl(int fd, unsigned long cmd, ...);

int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;
	void *arg;
	int r;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);

	/* The library only asks whether the ioctl works, and it does. */
	if (cmd == KVM_CHECK_EXTENSION && arg == (void *)KVM_CAP_USER_MEMORY2)
		return 1;

	r = __real_ioctl(fd, cmd, arg);

	/* The old struct is the beginning of the new one. */
	if (cmd == KVM_SET_USER_MEMORY_REGION2 && r < 0 && errno == ENOTTY)
		r = __real_ioctl(fd, KVM_SET_USER_MEMORY_REGION, arg);
	return r;
}
