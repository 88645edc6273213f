/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_UACCESS_H
#define SHIM_UACCESS_H

#include "../shim.h"

/* Both return the number of bytes that were not copied. */
static inline size_t shim_copy(void *to, const void *from, size_t size)
{
	size_t good = size;

	if (shim.fault && shim.fault_after < size)
		good = shim.fault_after;

	memcpy(to, from, good);
	return size - good;
}

static inline size_t copy_from_user(void *to, const void __user *from, size_t size)
{
	return shim_copy(to, from, size);
}

static inline size_t copy_to_user(void __user *to, const void *from, size_t size)
{
	return shim_copy(to, from, size);
}

#endif
