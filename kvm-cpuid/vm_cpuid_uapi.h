/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The constants of KVM_VM_SET_CPUID, for VMMs that are built against kernel
 * headers which do not have them yet. The numbers are provisional until
 * upstream assigns them, so a VMM must probe: vm_probe() in vm.c shows how.
 */
#ifndef VM_CPUID_UAPI_H
#define VM_CPUID_UAPI_H

#include <linux/kvm.h>

#ifndef KVM_CAP_VM_CPUID
#define KVM_CAP_VM_CPUID	252
#endif

#ifndef KVM_VM_SET_CPUID
#define KVM_VM_SET_CPUID	_IOWR(KVMIO, 0xd6, struct kvm_cpuid2)
#endif

#ifndef KVM_VM_GET_CPUID
#define KVM_VM_GET_CPUID	_IOWR(KVMIO, 0xd7, struct kvm_cpuid2)
#endif

#endif /* VM_CPUID_UAPI_H */
