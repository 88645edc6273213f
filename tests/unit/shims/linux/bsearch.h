/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_BSEARCH_H
#define SHIM_BSEARCH_H

#include "../shim.h"

static __always_inline void *__inline_bsearch(const void *key, const void *base,
					      size_t num, size_t size, cmp_func_t cmp)
{
	size_t low = 0, high = num, mid;
	const char *pivot;
	int result;

	while (low < high) {
		mid = (low + high) / 2;
		pivot = (const char *)base + mid * size;

		result = cmp(key, pivot);
		if (!result)
			return (void *)pivot;

		if (result < 0)
			high = mid;
		else
			low = mid + 1;
	}

	return NULL;
}

#endif
