/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_FPU_XSTATE_H
#define SHIM_FPU_XSTATE_H

/* AMX's tile data, and a fictitious one, for bits from EDX. */
#define XFEATURE_MASK_USER_DYNAMIC	(BIT_ULL(18) | BIT_ULL(50))

#endif
