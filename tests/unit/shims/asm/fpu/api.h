/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_FPU_API_H
#define SHIM_FPU_API_H

#include "../../shim.h"

static inline u64 xstate_get_guest_group_perm(void)
{
	return shim.guest_perm;
}

#endif
