/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FIELDS_H
#define FIELDS_H

#include "table.h"

/* Bits @high to @low of a register, for subleaves @first to @last of a leaf. */
struct field {
	uint32_t function;
	uint32_t first, last;
	enum reg reg;
	unsigned int high, low;
	const char *name, *description;		/* empty if there is no name */
};

/* The source of the names, and its version. */
extern const char names_version[];

/*
 * The field that begins at bit @low, or that contains it. Bits without a name
 * are one field, up to the next bit that has a name.
 */
struct field field_at(const struct kvm_cpuid_entry2 *e, enum reg reg, unsigned int low);

/* For all fields of a register. */
#define for_each_field(f, e, reg)					\
	for (f = field_at(e, reg, 0); f.low < 32;			\
	     f = field_at(e, reg, f.high + 1))

uint32_t field_mask(const struct field *f);
uint32_t field_value(const struct field *f, uint32_t value);

/* A value: in decimal if that is one digit, else in hex. */
void value_print(uint32_t value);

/* "0x7.0 ebx[5] avx2", as text or as members of a JSON object. */
void field_print(const struct kvm_cpuid_entry2 *e, const struct field *f, bool json);

/* What KVM computes for each vCPU, whatever the table has. */
struct kvm_field {
	uint32_t function;
	enum reg reg;
	uint32_t mask;
	bool is_id;		/* made from the vCPU ID alone */
	const char *name;
};

/*
 * The field of KVM's in a register of an entry of @cpuid, or NULL. Xen's vCPU
 * ID is one: KVM computes it once userspace has set it.
 */
const struct kvm_field *kvm_field(struct kvm_cpuid2 *cpuid,
				  const struct kvm_cpuid_entry2 *e, enum reg reg);

/* Its mask, or 0. */
uint32_t kvm_field_mask(struct kvm_cpuid2 *cpuid,
			const struct kvm_cpuid_entry2 *e, enum reg reg);

/* What KVM computes for a field that is_id, all other bits zero. */
uint32_t kvm_field_id(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_entry2 *e,
		      const struct kvm_field *f, uint32_t vcpu_id);

/* The first of the Xen leaves, usually 0x40000000, or 0 if there are none. */
uint32_t xen_base(struct kvm_cpuid2 *cpuid);

#endif /* FIELDS_H */
