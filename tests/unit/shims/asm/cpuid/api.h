/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_CPUID_API_H
#define SHIM_CPUID_API_H

#define for_each_possible_cpuid_base_hypervisor(base) \
	for (base = 0x40000000; base < 0x40010000; base += 0x100)

#endif
