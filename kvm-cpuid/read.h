/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Read CPUID tables from text in one of these forms: what "cpuid -r" prints and
 * "cpuid -f" reads (package cpuid),
 *
 *	CPU 0:
 *	   0x00000000 0x00: eax=0x0000000d ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65
 *
 * a log of a VMM's KVM_SET_CPUID2 by "strace -f -v -e trace=ioctl", and JSON: CPU
 * templates of Firecracker, and what cpuid_print() prints.
 */
#ifndef READ_H
#define READ_H

#include "table.h"

struct table {
	const char *name;		/* of the file, for messages */
	unsigned int vm;		/* which one of a log, from 1; 0 in text */
	uint32_t cpu;			/* of "CPU 0:"; in a log, the vCPU ID */
	struct kvm_cpuid2 *cpuid;	/* in the file's order, ready for an ioctl */
	unsigned int *lines;		/* where in the file each entry is, from 1 */
};

struct tables {
	struct table *table;
	unsigned int nr;
};

/*
 * Add the tables of all CPUs in the file @path, "-" for stdin, to @all. Leave to
 * the kernel what it checks: a table may be too large, or have an entry twice.
 * Dies with STATUS_USAGE if the file cannot be read, has no entries, or has a
 * malformed line.
 */
void tables_read(struct tables *all, const char *path);

/*
 * Read one table: the first one in @path, or that of CPU N if @path is FILE@N.
 * Warns if there are more and @path chooses none.
 */
void table_read(struct table *t, const char *path);

#endif /* READ_H */
