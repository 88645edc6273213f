// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "fields.h"
#include "lint.h"
#include "util.h"

#define MAX_SHOWN	8	/* vCPUs in a line of text */

/* The tables of one VM, and the findings in them. */
struct vm_tables {
	struct table *t;		/* the first vCPU's */
	unsigned int nr;
	bool json;
	unsigned int nr_ids;		/* fields that KVM would compute differently */
	unsigned int nr_fields;		/* that differ for another reason */
	unsigned int nr_refused;	/* entries that KVM_VM_SET_CPUID refuses */
};

static void start_finding(const struct vm_tables *vm, const char *kind)
{
	if (!vm->json)
		return;
	printf("{\"file\":");
	print_json_string(vm->t->name);
	printf(",\"vm\":%u,\"finding\":\"%s\",", vm->t->vm, kind);
}

static void print_value(const struct vm_tables *vm, unsigned int i, uint32_t value)
{
	if (vm->json) {
		printf("%s%u", i ? "," : "", value);
	} else if (i < MAX_SHOWN) {
		printf(" ");
		value_print(value);
	} else if (i == MAX_SHOWN) {
		printf(" ...");
	}
}

/* A field on all vCPUs; with @kvm, also what KVM computes for it. */
static void print_field(const struct vm_tables *vm, const struct kvm_cpuid_entry2 *e,
			const struct field *f, const struct kvm_field *kvm)
{
	const struct kvm_cpuid_entry2 *own;
	unsigned int i;

	start_finding(vm, kvm ? "id" : "differs");
	field_print(e, f, vm->json);
	printf("%s", vm->json ? ",\"values\":[" : ":");
	for (i = 0; i < vm->nr; i++) {
		own = cpuid_find(vm->t[i].cpuid, e->function, e->index);
		print_value(vm, i, field_value(f, entry_value(own, f->reg)));
	}
	if (kvm) {
		printf("%s", vm->json ? "],\"kvm\":[" : "; KVM computes");
		for (i = 0; i < vm->nr; i++)
			print_value(vm, i, field_value(f, kvm_field_id(vm->t->cpuid, e, kvm,
								       vm->t[i].cpu)));
	}
	printf("%s", vm->json ? "]}\n" : "\n");
}

/* One register on all vCPUs. */
static void lint_register(struct vm_tables *vm, const struct kvm_cpuid_entry2 *e,
			  enum reg reg)
{
	const struct kvm_field *kvm = kvm_field(vm->t->cpuid, e, reg);
	uint32_t value, differs = 0, mask = kvm ? kvm->mask : 0;
	const struct kvm_cpuid_entry2 *own;
	bool wrong_id = false;
	struct field f;
	unsigned int i;

	for (i = 0; i < vm->nr; i++) {
		own = cpuid_find(vm->t[i].cpuid, e->function, e->index);
		if (!own)
			continue;
		value = entry_value(own, reg);
		differs |= (value ^ entry_value(e, reg)) & ~mask;
		if (kvm && kvm->is_id &&
		    (value & mask) != kvm_field_id(vm->t->cpuid, e, kvm, vm->t[i].cpu))
			wrong_id = true;
	}

	for_each_field(f, e, reg) {
		if (wrong_id && field_mask(&f) & mask) {
			print_field(vm, e, &f, kvm);
			vm->nr_ids++;
			wrong_id = false;
		} else if (differs & field_mask(&f)) {
			print_field(vm, e, &f, NULL);
			vm->nr_fields++;
		}
	}
}

static void print_entry(struct vm_tables *vm, const struct kvm_cpuid_entry2 *e,
			uint32_t vcpu, const char *kind, const char *text)
{
	start_finding(vm, kind);
	if (vm->json)
		printf("\"leaf\":\"0x%x\",\"subleaf\":\"0x%x\",\"vcpu\":%u}\n",
		       e->function, e->index, vcpu);
	else
		printf("0x%x.%x: vCPU %u %s\n", e->function, e->index, vcpu, text);
}

/* The entries that one vCPU has and another lacks. */
static void lint_entries(struct vm_tables *vm, unsigned int i)
{
	struct kvm_cpuid2 *first = vm->t->cpuid, *own = vm->t[i].cpuid;
	const struct kvm_cpuid_entry2 *e;

	for (e = first->entries; e < first->entries + first->nent; e++) {
		if (!cpuid_find(own, e->function, e->index)) {
			print_entry(vm, e, vm->t[i].cpu, "missing", "lacks it");
			vm->nr_fields++;
		}
	}
	for (e = own->entries; e < own->entries + own->nent; e++) {
		if (!cpuid_find(first, e->function, e->index)) {
			print_entry(vm, e, vm->t[i].cpu, "extra", "has it, the first one lacks it");
			vm->nr_fields++;
		}
	}
}

/* Report what KVM_SET_CPUID2 accepts and KVM_VM_SET_CPUID refuses. */
static void lint_refused(struct vm_tables *vm)
{
	const struct kvm_cpuid2 *cpuid = vm->t->cpuid;
	const struct kvm_cpuid_entry2 *e, *other;

	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++) {
		for (other = cpuid->entries; other < e && !entries_clash(other, e); other++)
			;
		if (other < e) {
			print_entry(vm, e, vm->t->cpu, "twice",
				    "has two entries for one input: KVM_VM_SET_CPUID refuses the second");
			vm->nr_refused++;
		}
		if (e->flags & ~KVM_CPUID_FLAG_SIGNIFCANT_INDEX) {
			print_entry(vm, e, vm->t->cpu, "flags",
				    "has flags that KVM ignores and KVM_VM_SET_CPUID refuses: mask them");
			vm->nr_refused++;
		}
	}
}

static void print_verdict(const struct vm_tables *vm)
{
	bool one = !vm->nr_fields && !vm->nr_refused;
	unsigned int i;

	if (vm->json) {
		start_finding(vm, "verdict");
		printf("\"one_table\":%s,\"wrong_ids\":%u,\"differ\":%u,\"refused\":%u,\"vcpus\":[",
		       one ? "true" : "false", vm->nr_ids, vm->nr_fields, vm->nr_refused);
		for (i = 0; i < vm->nr; i++)
			printf("%s%u", i ? "," : "", vm->t[i].cpu);
		printf("]}\n");
		return;
	}

	printf("%s: ", vm->t[vm->nr - 1].name == vm->t->name ? vm->t->name : "these files");
	if (vm->t->vm)
		printf("VM %u: ", vm->t->vm);
	printf("%u %s, %u entries: ", vm->nr, vm->nr == 1 ? "vCPU" : "vCPUs", vm->t->cpuid->nent);
	if (one && !vm->nr_ids)
		printf("one table does, and guests read the same\n");
	else if (one)
		printf("one table does, and KVM corrects %u %s\n", vm->nr_ids,
		       vm->nr_ids == 1 ? "field" : "fields");
	else
		printf("not one table as it is: %u differ, %u refused; %u wrong %s\n",
		       vm->nr_fields, vm->nr_refused, vm->nr_ids, vm->nr_ids == 1 ? "ID" : "IDs");
}

static int lint_vm(struct vm_tables *vm)
{
	const struct kvm_cpuid2 *cpuid = vm->t->cpuid;
	const struct kvm_cpuid_entry2 *e;
	unsigned int i, j;
	enum reg reg;

	for (i = 1; i < vm->nr; i++) {
		for (j = 0; j < i; j++) {
			if (vm->t[i].cpu == vm->t[j].cpu)
				die(STATUS_USAGE, "%s:%u: CPU %u is there twice: this is not one VM",
				    vm->t[i].name, vm->t[i].lines[0], vm->t[i].cpu);
		}
	}

	lint_refused(vm);
	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++) {
		/* No input reads it: there is nothing to compare. */
		if (cpuid_find(vm->t->cpuid, e->function, e->index) != e)
			continue;
		for (reg = EAX; reg < NR_REGS; reg++)
			lint_register(vm, e, reg);
	}
	for (i = 1; i < vm->nr; i++)
		lint_entries(vm, i);
	print_verdict(vm);
	return vm->nr_ids || vm->nr_fields || vm->nr_refused ? STATUS_NO : STATUS_OK;
}

int lint(struct tables *all, bool json)
{
	struct vm_tables vm;
	unsigned int i, end;
	int ret = STATUS_OK;

	for (i = 0; i < all->nr; i = end) {
		/* A log contains whole VMs; all text files together are one VM. */
		for (end = i + 1; end < all->nr && all->table[end].vm == all->table[i].vm; end++) {
			if (all->table[i].vm && all->table[end].name != all->table[i].name)
				break;
		}
		vm = (struct vm_tables){ .t = all->table + i, .nr = end - i, .json = json };
		ret |= lint_vm(&vm);
	}
	return ret;
}
