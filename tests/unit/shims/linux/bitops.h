/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_BITOPS_H
#define SHIM_BITOPS_H

#include "../shim.h"

#define BIT(nr)			(1ul << (nr))
#define BIT_ULL(nr)		(1ull << (nr))
#define GENMASK(high, low)	((~0ul >> (BITS_PER_LONG - 1 - (high))) & (~0ul << (low)))

static inline int fls(unsigned int x)
{
	int bits = 0;

	for (; x; x >>= 1)
		bits++;

	return bits;
}

static inline unsigned long __ffs(unsigned long x)
{
	unsigned long bit = 0;

	assert(x);
	for (; !(x & 1); x >>= 1)
		bit++;

	return bit;
}

#endif
