/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_BITFIELD_H
#define SHIM_BITFIELD_H

#include "../shim.h"

#define BIT(nr)			(1ul << (nr))
#define BIT_ULL(nr)		(1ull << (nr))
#define GENMASK(high, low)	((~0ul >> (63 - (high))) & (~0ul << (low)))

static inline u32 u32_get_bits(u32 value, u32 mask)
{
	return (value & mask) / (mask & -mask);
}

static inline void u32p_replace_bits(u32 *p, u32 value, u32 mask)
{
	*p = (*p & ~mask) | (value * (mask & -mask) & mask);
}

static inline int fls(unsigned int x)
{
	int bits = 0;

	for (; x; x >>= 1)
		bits++;

	return bits;
}

#endif
