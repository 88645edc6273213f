// SPDX-License-Identifier: GPL-2.0-only
/*
 * DKMS installs a module in place of the kernel's only if their versions differ,
 * and those of the kernel's KVM have none.
 */
#include <linux/module.h>

MODULE_VERSION(KVM_VM_CPUID_VERSION);
