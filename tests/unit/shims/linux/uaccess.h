/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_UACCESS_H
#define SHIM_UACCESS_H

#include "../shim.h"

/* Copy up to the first byte of user memory that is missing; return how much isn't copied. */
static inline size_t shim_copy(void *to, const void *from, size_t size, const void *user)
{
	size_t start = (const char *)user - (const char *)shim.user, good = size;

	if (shim.fault_at && start + size > shim.fault_at)
		good = start < shim.fault_at ? shim.fault_at - start : 0;

	memcpy(to, from, good);
	return size - good;
}

static inline size_t copy_from_user(void *to, const void __user *from, size_t size)
{
	return shim_copy(to, from, size, from);
}

static inline size_t copy_to_user(void __user *to, const void *from, size_t size)
{
	return shim.read_only ? size : shim_copy(to, from, size, to);
}

#define get_user(x, p)	(copy_from_user(&(x), p, sizeof(x)) ? -EFAULT : 0)

#define put_user(x, p)							\
({									\
	__typeof__(*(p)) _x = (x);					\
									\
	copy_to_user(p, &_x, sizeof(_x)) ? -EFAULT : 0;			\
})

#endif
