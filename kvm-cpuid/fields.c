// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "fields.h"
#include "util.h"

/* names[] and NAMES_VERSION, which the build makes from the kernel's cpuid.csv. */
#include "names.inc"

const char names_version[] = NAMES_VERSION;

static const struct field *find_name(const struct kvm_cpuid_entry2 *e, enum reg reg,
				     unsigned int bit)
{
	const struct field *f;

	for (f = names; f < names + ARRAY_SIZE(names); f++) {
		if (f->function == e->function && f->reg == reg &&
		    e->index >= f->first && e->index <= f->last &&
		    bit >= f->low && bit <= f->high)
			return f;
	}
	return NULL;
}

struct field field_at(const struct kvm_cpuid_entry2 *e, enum reg reg, unsigned int low)
{
	const struct field *name = low < 32 ? find_name(e, reg, low) : NULL;
	struct field f = {
		.function = e->function,
		.first = e->index,
		.last = e->index,
		.reg = reg,
		.low = low,
		.high = low,
		.name = "",
		.description = "",
	};

	if (name) {
		f = *name;
		f.low = low;
		return f;
	}
	while (f.high < 31 && !find_name(e, reg, f.high + 1))
		f.high++;
	return f;
}

uint32_t field_mask(const struct field *f)
{
	return (uint32_t)(((1ull << (f->high - f->low + 1)) - 1) << f->low);
}

uint32_t field_value(const struct field *f, uint32_t value)
{
	return (value & field_mask(f)) >> f->low;
}

void value_print(uint32_t value)
{
	printf(value < 10 ? "%u" : "0x%x", value);
}

void field_print(const struct kvm_cpuid_entry2 *e, const struct field *f, bool json)
{
	char bits[8] = "";

	if (f->high == f->low)
		snprintf(bits, sizeof(bits), "%u", f->low);
	else if (f->high - f->low < 31)
		snprintf(bits, sizeof(bits), "%u:%u", f->high, f->low);

	if (json)
		printf("\"leaf\":\"0x%x\",\"subleaf\":\"0x%x\",\"reg\":\"%s\",\"high\":%u,\"low\":%u,\"name\":\"%s\"",
		       e->function, e->index, reg_names[f->reg], f->high, f->low, f->name);
	else
		printf("0x%x.%x %s%s%s%s%s%s", e->function, e->index, reg_names[f->reg],
		       *bits ? "[" : "", bits, *bits ? "]" : "", *f->name ? " " : "", f->name);
}

static const struct kvm_field kvm_fields[] = {
	{ 0x00000001, EBX, 0xff000000, true,  "31:24 APIC ID" },
	{ 0x00000001, ECX, 1u << 27,   false, "27 OSXSAVE" },
	{ 0x00000001, EDX, 1u << 9,    false, "9 APIC" },
	{ 0x00000007, ECX, 1u << 4,    false, "4 OSPKE" },
	{ 0x0000000b, EDX, 0xffffffff, true,  "x2APIC ID" },
	{ 0x0000000d, EBX, 0xffffffff, false, "XSAVE size" },
	{ 0x0000001f, EDX, 0xffffffff, true,  "x2APIC ID" },
	{ 0x8000001e, EAX, 0xffffffff, true,  "x2APIC ID" },
	{ 0x8000001e, EBX, 0x000000ff, true,  "7:0 core ID" },
	{ 0x8000001e, ECX, 0x000000ff, true,  "7:0 node ID" },
	{ 0x80000026, EDX, 0xffffffff, true,  "x2APIC ID" },
};

static const struct kvm_field xen_vcpu_id = {
	.reg = EBX, .mask = 0xffffffff, .name = "Xen vCPU ID",
};

const struct kvm_field *kvm_field(struct kvm_cpuid2 *cpuid,
				  const struct kvm_cpuid_entry2 *e, enum reg reg)
{
	const struct kvm_field *f;
	uint32_t base;

	/* In these, only some subleaves. */
	if (e->function == 0x7 && e->index)
		return NULL;
	if (e->function == 0xd &&
	    (e->index > 1 || (e->index == 1 && !(e->eax & (1u << 1 | 1u << 3)))))
		return NULL;

	for (f = kvm_fields; f < kvm_fields + ARRAY_SIZE(kvm_fields); f++) {
		if (f->function == e->function && f->reg == reg)
			return f;
	}

	if (reg == EBX && (e->function & 0xffff00ff) == 0x40000004 && e->eax & 1u << 3) {
		base = xen_base(cpuid);
		if (base && e->function == base + 4)
			return &xen_vcpu_id;
	}
	return NULL;
}

uint32_t kvm_field_mask(struct kvm_cpuid2 *cpuid,
			const struct kvm_cpuid_entry2 *e, enum reg reg)
{
	const struct kvm_field *f = kvm_field(cpuid, e, reg);

	return f ? f->mask : 0;
}

/* The number of bits that are needed to number @nr things. */
static unsigned int bits_for(unsigned int nr)
{
	return nr > 1 ? 32 - __builtin_clz(nr - 1) : 0;
}

uint32_t kvm_field_id(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_entry2 *e,
		      const struct kvm_field *f, uint32_t vcpu_id)
{
	const struct kvm_cpuid_entry2 *widths = cpuid_find(cpuid, 0x80000008, 0);
	unsigned int package = 0, threads, nodes;

	if (e->function == 0x1)
		return vcpu_id << 24;
	if (e->function != 0x8000001e || f->reg == EAX)
		return vcpu_id;

	/* A core ID is between the threads and the node; a node ID is the rest. */
	if (widths)
		package = widths->ecx >> 12 & 0xf ? : bits_for((widths->ecx & 0xff) + 1);
	threads = bits_for((e->ebx >> 8 & 0xff) + 1);
	nodes = bits_for((e->ecx >> 8 & 7) + 1);
	package -= nodes < package ? nodes : package;
	if (f->reg == ECX)
		return vcpu_id >> package & f->mask;
	return (vcpu_id & ((1u << package) - 1)) >> threads & f->mask;
}

/* Found as KVM finds it: the first signature in steps of 0x100. */
uint32_t xen_base(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e;
	uint32_t base = 0;

	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++) {
		if ((e->function & 0xffff00ff) == 0x40000000 &&
		    (!base || e->function < base) &&
		    e == cpuid_find(cpuid, e->function, 0) &&
		    !memcmp(&e->ebx, "XenVMMXenVMM", 12))
			base = e->function;
	}
	return base;
}
