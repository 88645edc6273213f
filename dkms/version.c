// SPDX-License-Identifier: GPL-2.0-only
/*
 * DKMS installs a module in place of the kernel's only if their versions differ.
 * The kernel's KVM modules have none.
 */
#include <linux/module.h>

MODULE_VERSION(KVM_VM_CPUID_VERSION);
