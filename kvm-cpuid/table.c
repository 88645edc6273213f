// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "util.h"

const char * const reg_names[NR_REGS] = { "eax", "ebx", "ecx", "edx" };

struct kvm_cpuid2 *cpuid_alloc(unsigned int nent)
{
	struct kvm_cpuid2 *cpuid;

	cpuid = xcalloc(1, sizeof(*cpuid) + nent * sizeof(cpuid->entries[0]));
	cpuid->nent = nent;
	return cpuid;
}

static int compare_entries(const void *_a, const void *_b)
{
	const struct kvm_cpuid_entry2 *a = _a, *b = _b;

	if (a->function != b->function)
		return a->function < b->function ? -1 : 1;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return 0;
}

struct kvm_cpuid2 *cpuid_sorted(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid2 *copy = cpuid_alloc(cpuid->nent);
	const struct kvm_cpuid_entry2 *e;

	copy->nent = 0;
	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++) {
		if (cpuid_find(cpuid, e->function, e->index) == e)
			copy->entries[copy->nent++] = *e;
	}
	qsort(copy->entries, copy->nent, sizeof(copy->entries[0]), compare_entries);
	return copy;
}

struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function,
				    uint32_t index)
{
	struct kvm_cpuid_entry2 *e;

	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++) {
		if (e->function == function &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

bool entries_clash(const struct kvm_cpuid_entry2 *a,
		   const struct kvm_cpuid_entry2 *b)
{
	return a->function == b->function &&
	       (!(a->flags & b->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
		a->index == b->index);
}

const char *entry_name(const struct kvm_cpuid_entry2 *e)
{
	static char name[40];
	int len;

	len = snprintf(name, sizeof(name), "leaf 0x%x", e->function);
	if (e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)
		snprintf(name + len, sizeof(name) - len, " subleaf 0x%x", e->index);
	return name;
}

uint32_t *entry_reg(struct kvm_cpuid_entry2 *e, enum reg reg)
{
	switch (reg) {
	case EAX:
		return &e->eax;
	case EBX:
		return &e->ebx;
	case ECX:
		return &e->ecx;
	default:
		return &e->edx;
	}
}

uint32_t entry_value(const struct kvm_cpuid_entry2 *e, enum reg reg)
{
	return e ? *entry_reg((struct kvm_cpuid_entry2 *)e, reg) : 0;
}

static void print_json(uint32_t cpu, const struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e;

	printf("{\"cpu\":%u,\"entries\":[", cpu);
	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++)
		printf("%s{\"leaf\":\"0x%x\",\"subleaf\":\"0x%x\",\"eax\":%u,\"ebx\":%u,\"ecx\":%u,\"edx\":%u}",
		       e == cpuid->entries ? "" : ",", e->function, e->index,
		       e->eax, e->ebx, e->ecx, e->edx);
	printf("]}\n");
}

void cpuid_print(uint32_t cpu, const struct kvm_cpuid2 *cpuid, bool json)
{
	const struct kvm_cpuid_entry2 *e;

	if (json) {
		print_json(cpu, cpuid);
		return;
	}
	printf("CPU %u:\n", cpu);
	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++)
		printf("   0x%08x 0x%02x: eax=0x%08x ebx=0x%08x ecx=0x%08x edx=0x%08x\n",
		       e->function, e->index, e->eax, e->ebx, e->ecx, e->edx);
}
