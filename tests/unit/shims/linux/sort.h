/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_SORT_H
#define SHIM_SORT_H

#include "../shim.h"

/*
 * The kernel's heapsort isn't stable and compares in any order: this is the same,
 * and checks that the comparison agrees in both directions.
 */
static inline void sort(void *base, size_t num, size_t size, cmp_func_t cmp,
			void *swap_func)
{
	char *array = base, *a, *b, tmp[64];
	size_t i, j;
	int result;

	assert(!swap_func && size <= sizeof(tmp));

	for (i = 0; i < num; i++) {
		for (j = i + 1; j < num; j++) {
			a = array + i * size;
			b = array + j * size;

			result = cmp(a, b);
			assert((result < 0) == (cmp(b, a) > 0));
			if (result <= 0)
				continue;

			memcpy(tmp, a, size);
			memcpy(a, b, size);
			memcpy(b, tmp, size);
		}
	}
}

#endif
