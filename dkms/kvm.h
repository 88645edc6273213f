/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The system's <linux/kvm.h>, with what KVM_VM_SET_CPUID adds to it: build with
 * `pkg-config --cflags kvm-vm-cpuid`.
 */
#include_next <linux/kvm.h>
#include <linux/vm_cpuid_uapi.h>
