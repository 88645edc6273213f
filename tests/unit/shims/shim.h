/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What cpuid_vm.c needs of the kernel, for user space.  Each header has what the file
 * needs of the kernel's header of that name and nothing else, written for these tests.
 * Every function that can fail fails on demand, and checks its caller.
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

#define __user

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define swap(a, b)		do { __typeof__(a) _t = (a); (a) = (b); (b) = _t; } while (0)

typedef uint32_t u32;
typedef uint64_t u64;
typedef int (*cmp_func_t)(const void *a, const void *b);

struct kvm;

static struct shim {
	/* The failures. */
	bool no_memory;
	bool read_only;		/* user memory */
	size_t fault_at;	/* the first byte of user memory that is missing, if any */
	int set_cpuid_error;

	/* Runs while the caller waits for the lock. */
	void (*on_lock)(struct kvm *kvm);

	u64 guest_perm;

	/* User memory. */
	const void *user;

	/* What the caller must release. */
	int allocations;
} shim;

#endif /* SHIM_H */
