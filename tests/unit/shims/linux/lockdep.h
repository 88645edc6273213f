/* SPDX-License-Identifier: GPL-2.0-only */
/* cpuid_vm.c asserts no lock. */
