/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_XEN_CPUID_H
#define SHIM_XEN_CPUID_H

#define XEN_CPUID_FIRST_LEAF		0x40000000
#define XEN_CPUID_LEAF(i)		(XEN_CPUID_FIRST_LEAF + (i))
#define XEN_HVM_CPUID_VCPU_ID_PRESENT	(1u << 3)

#endif
