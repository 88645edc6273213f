/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPUID tables in the text form that "cpuid -r" prints and "cpuid -f" reads
 * (package cpuid):
 *
 *	CPU 0:
 *	   0x00000000 0x00: eax=0x0000000d ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vm_cpuid_uapi.h"

enum reg { EAX, EBX, ECX, EDX, NR_REGS };

extern const char * const reg_names[NR_REGS];

struct table {
	const char *name;		/* of the file, for messages */
	struct kvm_cpuid2 *cpuid;	/* in the file's order, ready for an ioctl */
	unsigned int *lines;		/* where in the file each entry is, from 1 */
};

/*
 * Read the table of the first CPU in the file @path, "-" for stdin. The text
 * has no flags: see set_flags(). Nothing is judged that is the kernel's to
 * judge: a table may be too large, or have an entry twice. Dies with
 * STATUS_USAGE if the file cannot be read, is empty, or has a line that is not
 * of this form.
 */
void table_read(struct table *t, const char *path);

/* Allocate a struct kvm_cpuid2 for @nent entries, all zero but for nent. */
struct kvm_cpuid2 *cpuid_alloc(unsigned int nent);

/* The entry that a CPUID with EAX=@function, ECX=@index reads, or NULL. */
struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function,
				    uint32_t index);

/*
 * True if some CPUID input matches both entries: the same leaf and, where both
 * of them go by the subleaf, the same subleaf.
 */
bool entries_clash(const struct kvm_cpuid_entry2 *a,
		   const struct kvm_cpuid_entry2 *b);

/*
 * "leaf 0xb subleaf 0x1", or "leaf 0x80000008" if it does not go by the
 * subleaf, for messages. Valid until the next call.
 */
const char *entry_name(const struct kvm_cpuid_entry2 *e);

/* One register of an entry, to read and to write. */
uint32_t *entry_reg(struct kvm_cpuid_entry2 *e, enum reg reg);

/* The first leaf of the Xen leaves, 0x40000000 as a rule, 0 if there are none. */
uint32_t cpuid_xen_base(struct kvm_cpuid2 *cpuid);

/* Print in text form, under the header "CPU @cpu:". */
void cpuid_print(FILE *f, unsigned int cpu, const struct kvm_cpuid2 *cpuid);

#endif /* TABLE_H */
