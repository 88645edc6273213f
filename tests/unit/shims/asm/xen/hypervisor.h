/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_XEN_HYPERVISOR_H
#define SHIM_XEN_HYPERVISOR_H

#include <asm/cpuid/api.h>

#define XEN_SIGNATURE	"XenVMMXenVMM"

#endif
