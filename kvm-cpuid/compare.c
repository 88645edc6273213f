// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "fields.h"
#include "util.h"

/* A field and its two values, with their names in JSON. */
static void print_values(const struct kvm_cpuid_entry2 *e, const struct field *f,
			 const char *name_a, uint32_t a, const char *name_b, uint32_t b,
			 bool json)
{
	if (json)
		printf("{");
	field_print(e, f, json);
	if (json) {
		printf(",\"%s\":%u,\"%s\":%u}\n", name_a, a, name_b, b);
		return;
	}
	printf(": ");
	value_print(a);
	printf(" ");
	value_print(b);
	printf("\n");
}

static void print_only(const struct kvm_cpuid_entry2 *e, const struct table *t,
		       const char *name, bool json)
{
	if (json)
		printf("{\"leaf\":\"0x%x\",\"subleaf\":\"0x%x\",\"only\":\"%s\"}\n",
		       e->function, e->index, name);
	else
		printf("0x%x.%x: only in %s\n", e->function, e->index, t->name);
}

int diff(const struct table *a, const struct table *b, bool vcpus, bool json)
{
	struct kvm_cpuid2 *as = cpuid_sorted(a->cpuid), *bs = cpuid_sorted(b->cpuid);
	const struct kvm_cpuid_entry2 *e, *other;
	uint32_t value_a, value_b, ignore;
	int ret = STATUS_OK;
	struct field f;
	enum reg reg;

	for (e = as->entries; e < as->entries + as->nent; e++) {
		other = cpuid_find(b->cpuid, e->function, e->index);
		if (!other) {
			print_only(e, a, "a", json);
			ret = STATUS_NO;
			continue;
		}
		for (reg = EAX; reg < NR_REGS; reg++) {
			ignore = 0;
			if (vcpus)
				ignore = kvm_field_mask(a->cpuid, e, reg) |
					 kvm_field_mask(b->cpuid, other, reg);
			for_each_field(f, e, reg) {
				value_a = field_value(&f, entry_value(e, reg) & ~ignore);
				value_b = field_value(&f, entry_value(other, reg) & ~ignore);
				if (value_a == value_b)
					continue;
				print_values(e, &f, "a", value_a, "b", value_b, json);
				ret = STATUS_NO;
			}
		}
	}
	for (e = bs->entries; e < bs->entries + bs->nent; e++) {
		if (!cpuid_find(a->cpuid, e->function, e->index)) {
			print_only(e, b, "b", json);
			ret = STATUS_NO;
		}
	}
	free(as);
	free(bs);
	return ret;
}

/*
 * How a guest that runs on two hosts should see a field. A field that is not listed
 * is BITS, which also suits counts that may be lower.
 */
enum rule {
	BITS,		/* features: those that both have */
	GIVEN,		/* the same, but KVM gives them even if it does not say so */
	LEAST,		/* a count, a width, or a version: the smaller one */
	LEVEL,		/* the highest leaf or subleaf: the same; fits on any host */
	GONE,		/* what a CPU no longer has: what either lacks */
	FIRST,		/* topology, caches, names, clocks: any value will do */
	SAME,		/* must be the same, if the leaf is not all zeros */
};

#define ANY	UINT32_MAX

static const struct {
	uint32_t function, index;
	enum reg reg;
	uint32_t mask;
	enum rule rule;
} rules[] = {
	{ 0x00000000, ANY, EAX, ~0u,        LEVEL },
	{ 0x00000000, ANY, EBX, ~0u,        SAME },
	{ 0x00000000, ANY, ECX, ~0u,        SAME },
	{ 0x00000000, ANY, EDX, ~0u,        SAME },
	{ 0x00000001, ANY, EAX, ~0u,        FIRST },
	{ 0x00000001, ANY, EBX, ~0u,        FIRST },
	{ 0x00000001, ANY, ECX, 1u << 31 | 1u << 24 | 1u << 21, GIVEN },
	{ 0x00000001, ANY, EDX, 1u << 28,   FIRST },	/* several CPUs */
	{ 0x00000002, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x00000004, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x00000005, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x00000006, ANY, EBX, 0xf,        LEAST },
	{ 0x00000007, 0,   EAX, ~0u,        LEVEL },
	{ 0x00000007, 0,   EBX, 1u << 6 | 1u << 13, GONE },
	{ 0x00000007, 0,   ECX, 0x3e0000,   LEAST },
	{ 0x0000000a, ANY, EAX, 0xff,       LEAST },
	{ 0x0000000a, ANY, EAX, 0xff00,     LEAST },
	{ 0x0000000a, ANY, EAX, 0xff0000,   LEAST },
	{ 0x0000000a, ANY, EAX, 0xff000000, LEAST },
	{ 0x0000000a, ANY, EBX, ~0u,        GONE },
	{ 0x0000000a, ANY, EDX, 0x1f,       LEAST },
	{ 0x0000000a, ANY, EDX, 0x1fe0,     LEAST },
	{ 0x0000000a, ANY, EDX, 1u << 15,   GONE },
	{ 0x0000000b, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x0000000d, 0,   EAX, ~0u,        BITS },
	{ 0x0000000d, 0,   ECX, ~0u,        FIRST },	/* fix_xsave() */
	{ 0x0000000d, 0,   EDX, ~0u,        BITS },
	{ 0x0000000d, 1,   EAX, ~0u,        BITS },
	{ 0x0000000d, 1,   ECX, ~0u,        BITS },
	{ 0x0000000d, 1,   EDX, ~0u,        BITS },
	{ 0x0000000d, ANY, NR_REGS, ~0u,    SAME },	/* where components are */
	{ 0x00000014, 0,   EAX, ~0u,        LEVEL },
	{ 0x00000015, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x00000016, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x00000017, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x00000018, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x0000001a, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x0000001d, ANY, NR_REGS, ~0u,    SAME },
	{ 0x0000001e, 0,   EBX, ~0u,        SAME },
	{ 0x0000001f, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x00000024, 0,   EAX, ~0u,        LEVEL },
	{ 0x00000024, 0,   EBX, 0xff,       LEAST },
	{ 0x40000010, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x80000000, ANY, EAX, ~0u,        LEVEL },
	{ 0x80000000, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x80000001, ANY, EAX, ~0u,        FIRST },
	{ 0x80000001, ANY, EBX, ~0u,        FIRST },
	{ 0x80000001, ANY, ECX, 1u << 1,    FIRST },	/* several CPUs */
	{ 0x80000002, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x80000003, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x80000004, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x80000005, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x80000006, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x80000008, ANY, EAX, 0xff,       LEAST },
	{ 0x80000008, ANY, EAX, 0xff00,     LEAST },
	{ 0x80000008, ANY, EAX, 0xff0000,   LEAST },
	{ 0x80000008, ANY, ECX, ~0u,        FIRST },
	{ 0x80000008, ANY, EDX, 0xffff,     LEAST },
	{ 0x80000008, ANY, EDX, 0xffff0000, LEAST },
	{ 0x8000000a, ANY, EAX, 0xff,       LEAST },
	{ 0x8000000a, ANY, EBX, ~0u,        LEAST },
	{ 0x80000019, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x8000001d, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x8000001e, ANY, NR_REGS, ~0u,    FIRST },
	{ 0x8000001f, ANY, EBX, ~0u,        FIRST },
	{ 0x8000001f, ANY, ECX, ~0u,        LEAST },
	{ 0x8000001f, ANY, EDX, ~0u,        FIRST },
	{ 0x80000021, ANY, EBX, 0xffff,     LEAST },
	{ 0x80000022, ANY, EBX, 0xf,        LEAST },
	{ 0x80000022, ANY, EBX, 0x3f0,      LEAST },
	{ 0x80000022, ANY, EBX, 0xfc00,     LEAST },
	{ 0x80000026, ANY, NR_REGS, ~0u,    FIRST },
	{ 0xc0000000, ANY, EAX, ~0u,        LEVEL },
};

/*
 * The rule for the lowest bit in @left. @mask becomes that bit, or all bits of the
 * register that form one value with it.
 */
static enum rule find_rule(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_entry2 *e,
			   enum reg reg, uint32_t left, uint32_t *mask)
{
	uint32_t bit = left & -left, kvm = kvm_field_mask(cpuid, e, reg);
	unsigned int i;

	if (bit & kvm) {
		*mask = kvm;
		return FIRST;
	}

	*mask = bit;
	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		if (rules[i].function != e->function ||
		    (rules[i].index != ANY && rules[i].index != e->index) ||
		    (rules[i].reg != NR_REGS && rules[i].reg != reg))
			continue;
		if (bit & rules[i].mask) {
			if (rules[i].rule != BITS && rules[i].rule != GIVEN && rules[i].rule != GONE)
				*mask = rules[i].mask & left & ~kvm;
			return rules[i].rule;
		}
	}

	/* The first leaf of a hypervisor, which must have the same name. */
	if ((e->function & 0xffff00ff) == 0x40000000) {
		*mask = left;
		return reg == EAX ? LEVEL : SAME;
	}
	return BITS;
}

/* The field that the lowest bit of @mask is in, for messages. */
static struct field field_of(const struct kvm_cpuid_entry2 *e, enum reg reg, uint32_t mask)
{
	struct field f;

	for_each_field(f, e, reg) {
		if (mask & field_mask(&f))
			break;
	}
	return f;
}

/* As is a leaf that a CPU has no use for. */
static bool is_zero(const struct kvm_cpuid_entry2 *e)
{
	return !(e->eax | e->ebx | e->ecx | e->edx);
}

/* Merge the fields of @host into @e; false if fields differ that must be the same. */
static bool merge_entry(struct kvm_cpuid2 *cpuid, struct kvm_cpuid_entry2 *e,
			const struct kvm_cpuid_entry2 *host, enum reg *reg)
{
	bool unused = is_zero(e) || is_zero(host);
	uint32_t left, mask, mine, theirs, value;
	enum rule rule;

	for (*reg = EAX; *reg < NR_REGS; ++*reg) {
		for (left = ~0u; left; left &= ~mask) {
			rule = find_rule(cpuid, e, *reg, left, &mask);
			mine = entry_value(e, *reg) & mask;
			theirs = entry_value(host, *reg) & mask;
			value = mine;
			switch (rule) {
			case BITS:
			case GIVEN:
				value = mine & theirs;
				break;
			case LEAST:
			case LEVEL:
				value = mine < theirs ? mine : theirs;
				break;
			case GONE:
				value = mine | theirs;
				break;
			case SAME:
				if (unused)
					value = 0;
				else if (mine != theirs)
					return false;
				break;
			case FIRST:
				break;
			}
			*entry_reg(e, *reg) = (entry_value(e, *reg) & ~mask) | value;
		}
	}
	return true;
}

static void remove_entry(struct kvm_cpuid2 *cpuid, struct kvm_cpuid_entry2 *e)
{
	struct kvm_cpuid_entry2 *end = cpuid->entries + cpuid->nent--;

	memmove(e, e + 1, (end - e - 1) * sizeof(*e));
}

/* The components that are left, and where the last of them ends. */
static void fix_xsave(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *main = cpuid_find(cpuid, 0xd, 0), *sub, *e;
	uint64_t user, all;
	uint32_t end;

	if (!main)
		return;
	user = main->eax | (uint64_t)main->edx << 32;
	sub = cpuid_find(cpuid, 0xd, 1);
	all = user | (sub ? sub->ecx | (uint64_t)sub->edx << 32 : 0);

	/* x87 and SSE, and the header. */
	main->ecx = user ? 512 + 64 : 0;
	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent;) {
		if (e->function != 0xd || e->index < 2) {
			e++;
		} else if (e->index > 63 || !(all >> e->index & 1)) {
			remove_entry(cpuid, e);
		} else {
			end = e->ebx + e->eax;
			if (user >> e->index & 1 && end > main->ecx)
				main->ecx = end;
			e++;
		}
	}
}

/* Nothing above the highest leaf of its range, which may have become lower. */
static void remove_unreachable(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *first;
	struct kvm_cpuid_entry2 *e;

	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent;) {
		first = cpuid_find(cpuid, e->function & 0xffff0000, 0);
		if ((e->function >> 16 & 0xfff) == 0 && e->function >> 28 != 4 &&
		    first && e->function > first->eax)
			remove_entry(cpuid, e);
		else
			e++;
	}
}

struct kvm_cpuid2 *common(const struct tables *hosts)
{
	struct kvm_cpuid2 *cpuid = cpuid_sorted(hosts->table[0].cpuid);
	struct kvm_cpuid_entry2 *e, *host;
	const struct table *t;
	struct field f;
	enum reg reg;

	for (t = hosts->table + 1; t < hosts->table + hosts->nr; t++) {
		for (e = cpuid->entries; e < cpuid->entries + cpuid->nent;) {
			host = cpuid_find(t->cpuid, e->function, e->index);
			if (!host) {
				remove_entry(cpuid, e);
				continue;
			}
			if (!merge_entry(cpuid, e, host, &reg)) {
				f = field_of(e, reg, entry_value(e, reg) ^ entry_value(host, reg));
				die(STATUS_NO, "no common table: 0x%x.%x %s %s is 0x%x in %s, 0x%x in %s",
				    e->function, e->index, reg_names[reg], f.name,
				    entry_value(e, reg), hosts->table[0].name,
				    entry_value(host, reg), t->name);
			}
			e++;
		}
		remove_unreachable(cpuid);
	}
	fix_xsave(cpuid);
	return cpuid;
}

/* Whether a leaf belongs to a hypervisor other than the host's: KVM gives any such leaf. */
static bool is_foreign(const struct table *t, const struct table *host,
		       const struct kvm_cpuid_entry2 *e)
{
	const struct kvm_cpuid_entry2 *a, *b;

	if (e->function >> 16 != 0x4000)
		return false;
	a = cpuid_find(t->cpuid, e->function & ~0xffu, 0);
	b = cpuid_find(host->cpuid, e->function & ~0xffu, 0);
	return !a || !b || memcmp(&a->ebx, &b->ebx, 12);
}

int fits(const struct table *t, const struct table *host, bool json)
{
	struct kvm_cpuid2 *cpuid = cpuid_sorted(t->cpuid);
	uint32_t left, mask, want, have;
	const struct kvm_cpuid_entry2 *e, *h;
	int ret = STATUS_OK;
	struct field f;
	enum rule rule;
	enum reg reg;

	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++) {
		if (is_foreign(t, host, e))
			continue;
		h = cpuid_find(host->cpuid, e->function, e->index);
		for (reg = EAX; reg < NR_REGS; reg++) {
			for (left = ~0u; left; left &= ~mask) {
				rule = find_rule(t->cpuid, e, reg, left, &mask);
				want = entry_value(e, reg) & mask;
				have = entry_value(h, reg) & mask;
				if (rule == BITS ? !(want & ~have) :
				    rule == LEAST ? want <= have :
				    rule == SAME ? !h || is_zero(e) || want == have : true)
					continue;

				f = field_of(e, reg, mask);
				print_values(e, &f, "table", field_value(&f, want),
					     "host", field_value(&f, have), json);
				ret = STATUS_NO;
			}
		}
	}
	free(cpuid);
	return ret;
}
