/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_FPU_XSTATE_H
#define SHIM_FPU_XSTATE_H

/* AMX's tile data, and one that isn't real, for what comes from EDX. */
#define XFEATURE_MASK_USER_DYNAMIC	(BIT_ULL(18) | BIT_ULL(50))

#endif
