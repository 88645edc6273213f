/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "vm_cpuid_uapi.h"

enum reg { EAX, EBX, ECX, EDX, NR_REGS };

extern const char * const reg_names[NR_REGS];

/* Allocate a struct kvm_cpuid2 for @nent entries, all zero but for nent. */
struct kvm_cpuid2 *cpuid_alloc(unsigned int nent);

/* A copy with its entries sorted by leaf and subleaf, without those that no input reads. */
struct kvm_cpuid2 *cpuid_sorted(struct kvm_cpuid2 *cpuid);

/* The entry that a CPUID with EAX=@function, ECX=@index reads, or NULL. */
struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function,
				    uint32_t index);

/*
 * True if some CPUID input matches both entries: they have the same leaf and, if
 * the subleaf matters in both, the same subleaf.
 */
bool entries_clash(const struct kvm_cpuid_entry2 *a,
		   const struct kvm_cpuid_entry2 *b);

/*
 * "leaf 0xb subleaf 0x1", or "leaf 0x80000008" if the subleaf does not matter,
 * for messages. Valid until the next call.
 */
const char *entry_name(const struct kvm_cpuid_entry2 *e);

/* One register of an entry, to write and to read; 0 if @e is NULL. */
uint32_t *entry_reg(struct kvm_cpuid_entry2 *e, enum reg reg);
uint32_t entry_value(const struct kvm_cpuid_entry2 *e, enum reg reg);

/* Print on stdout in text form, under the header "CPU @cpu:", or as JSON. */
void cpuid_print(uint32_t cpu, const struct kvm_cpuid2 *cpuid, bool json);

#endif /* TABLE_H */
