/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What cpuid_vm.c takes from the kernel, for user space.  Each header has what
 * the file needs from the kernel's header of that name and nothing else, written
 * for these tests.  Every function can be made to fail, and watches its caller.
 */
#ifndef SHIM_H
#define SHIM_H

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define __user
#define BITS_PER_LONG		64
#define KBUILD_MODNAME		"kvm"

#define U8_MAX			UINT8_MAX
#define BUILD_BUG_ON(condition)	_Static_assert(!(condition), #condition)
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define min_t(type, a, b)	((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define swap(a, b)		do { __typeof__(a) _t = (a); (a) = (b); (b) = _t; } while (0)

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int (*cmp_func_t)(const void *a, const void *b);

struct kvm;
struct kvm_vm_cpuid;

static struct shim {
	/* What goes wrong. */
	bool no_memory;
	bool no_seq_file;
	bool fault;		/* after this many bytes */
	size_t fault_after;

	/* What happens while the caller waits for the lock. */
	void (*on_lock)(struct kvm *kvm);

	u64 guest_perm;

	/* The table whose capabilities were initialized last. */
	const struct kvm_vm_cpuid *has_caps;

	/* What the caller holds. */
	int allocations;
	int references;
	int locks;
} shim;

#endif /* SHIM_H */
