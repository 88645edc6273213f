// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm-cpuid.h"
#include "table.h"

/*
 * Far above what the kernel takes, so that the kernel can say no, and low
 * enough to notice early that a file is no CPUID table at all.
 */
#define MAX_FILE_ENTRIES	4096

const char * const reg_names[NR_REGS] = { "eax", "ebx", "ecx", "edx" };

struct kvm_cpuid2 *cpuid_alloc(unsigned int nent)
{
	struct kvm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + nent * sizeof(cpuid->entries[0]));
	if (!cpuid)
		die(STATUS_NO, "out of memory");
	cpuid->nent = nent;
	return cpuid;
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

/* Found as KVM finds it: the first signature in steps of 0x100. */
uint32_t cpuid_xen_base(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e;
	uint32_t base;

	for (base = 0x40000000; base < 0x40010000; base += 0x100) {
		e = cpuid_find(cpuid, base, 0);
		if (e && !memcmp(&e->ebx, "XenVMMXenVMM", 12))
			return base;
	}
	return 0;
}

void cpuid_print(FILE *f, unsigned int cpu, const struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e;

	fprintf(f, "CPU %u:\n", cpu);
	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++)
		fprintf(f, "   0x%08x 0x%02x: eax=0x%08x ebx=0x%08x ecx=0x%08x edx=0x%08x\n",
			e->function, e->index, e->eax, e->ebx, e->ecx, e->edx);
}

/*
 * The leaves whose output depends on ECX: cpuid_function_is_indexed() in the
 * kernel's arch/x86/include/asm/cpuid/api.h, and AMD's 0x80000026, which is
 * not on that list.
 */
static bool leaf_is_indexed(uint32_t function)
{
	switch (function) {
	case 0x4:
	case 0x7:
	case 0xb:
	case 0xd:
	case 0xf:
	case 0x10:
	case 0x12:
	case 0x14:
	case 0x17:
	case 0x18:
	case 0x1d:
	case 0x1e:
	case 0x1f:
	case 0x23:
	case 0x24:
	case 0x8000001d:
	case 0x80000026:
		return true;
	}
	return false;
}

/*
 * The text does not say whether an entry goes by its subleaf. It does if the
 * leaf is known to, or if the file itself tells subleaves of the leaf apart
 * (the list is never complete: 0x80000020, 0x40000003 of Xen, what comes next).
 * A line that is there twice tells nothing apart, and stays the duplicate that
 * it is.
 */
static void set_flags(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *e, *other, *end = cpuid->entries + cpuid->nent;
	bool indexed;

	for (e = cpuid->entries; e < end; e++) {
		indexed = leaf_is_indexed(e->function) || e->index;
		for (other = cpuid->entries; other < end && !indexed; other++)
			indexed = other->function == e->function && other->index;
		if (indexed)
			e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	}
}

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/*
 * Parse "@prefix" and a 32-bit number in hex ("0x" optional: none of cpuid's
 * output lacks it, but hand-written files do) or, with @base 10, in decimal.
 * Return what follows, or NULL.
 */
static const char *parse_u32(const char *s, const char *prefix, int base,
			     uint32_t *value)
{
	unsigned long long v;
	char *end;

	s = skip_blanks(s);
	if (strncmp(s, prefix, strlen(prefix)))
		return NULL;
	s += strlen(prefix);

	/* strtoull() would take blanks and signs. */
	if (!isxdigit((unsigned char)*s))
		return NULL;
	errno = 0;
	v = strtoull(s, &end, base);
	if (end == s || errno || v > UINT32_MAX)
		return NULL;
	*value = v;
	return end;
}

/* "CPU 0:", or "CPU:" as "cpuid -1" prints it, which counts as CPU 0. */
static bool parse_header(const char *s, uint32_t *cpu)
{
	*cpu = 0;
	s = skip_blanks(s);
	if (strncmp(s, "CPU", 3))
		return false;
	s += 3;
	if (*s == ' ') {
		s = parse_u32(s, "", 10, cpu);
		if (!s)
			return false;
	}
	return *s == ':' && !*skip_blanks(s + 1);
}

/* The subleaf may be missing: "cpuid -f" takes that too, for its older self. */
static bool parse_entry(const char *s, struct kvm_cpuid_entry2 *e)
{
	char prefix[8];
	enum reg reg;

	memset(e, 0, sizeof(*e));

	s = parse_u32(s, "", 16, &e->function);
	if (!s)
		return false;
	if (*s != ':') {
		s = parse_u32(s, "", 16, &e->index);
		if (!s || *s != ':')
			return false;
	}
	s++;

	for (reg = EAX; reg < NR_REGS; reg++) {
		snprintf(prefix, sizeof(prefix), "%s=", reg_names[reg]);
		s = parse_u32(s, prefix, 16, entry_reg(e, reg));
		if (!s)
			return false;
	}
	return !*skip_blanks(s);
}

static void table_add(struct table *t, const struct kvm_cpuid_entry2 *e,
		      unsigned int line)
{
	if (t->cpuid->nent == MAX_FILE_ENTRIES)
		die(STATUS_USAGE, "%s:%u: more than %u entries: this is no CPUID table",
		    t->name, line, MAX_FILE_ENTRIES);
	t->lines[t->cpuid->nent] = line;
	t->cpuid->entries[t->cpuid->nent++] = *e;
}

void table_read(struct table *t, const char *path)
{
	struct kvm_cpuid_entry2 e;
	uint32_t cpu, first_cpu = 0;
	unsigned int line = 0, nr_cpus = 0;
	char buf[256];
	size_t len;
	FILE *f;

	t->name = strcmp(path, "-") ? path : "<stdin>";
	f = strcmp(path, "-") ? fopen(path, "r") : stdin;
	if (!f)
		die(STATUS_USAGE, "%s: %s", t->name, strerror(errno));

	t->cpuid = cpuid_alloc(MAX_FILE_ENTRIES);
	t->cpuid->nent = 0;
	t->lines = calloc(MAX_FILE_ENTRIES, sizeof(*t->lines));
	if (!t->lines)
		die(STATUS_NO, "out of memory");

	while (fgets(buf, sizeof(buf), f)) {
		line++;
		len = strcspn(buf, "\r\n");
		if (!buf[len] && !feof(f))
			die(STATUS_USAGE, "%s:%u: line too long, or not text", t->name, line);
		buf[len] = '\0';

		if (!*skip_blanks(buf) || *skip_blanks(buf) == '#')
			continue;

		if (parse_header(buf, &cpu)) {
			if (++nr_cpus == 1) {
				/* Entries before any header are a CPU's too. */
				if (t->cpuid->nent)
					nr_cpus++;
				else
					first_cpu = cpu;
			}
			if (nr_cpus == 2)
				warn_line("%s:%u: more CPUs from here on: only the first, CPU %u, is used",
					  t->name, line, first_cpu);
			continue;
		}

		if (!parse_entry(buf, &e))
			die(STATUS_USAGE,
			    "%s:%u: not an entry (0xLEAF 0xSUBLEAF: eax=0x... ebx=0x... ecx=0x... edx=0x...): %.40s",
			    t->name, line, skip_blanks(buf));
		if (nr_cpus < 2)
			table_add(t, &e, line);
	}
	if (ferror(f))
		die(STATUS_USAGE, "%s: %s", t->name, strerror(errno));
	if (f != stdin)
		fclose(f);

	if (!t->cpuid->nent)
		die(STATUS_USAGE, "%s: no entries in it: this is no CPUID table", t->name);
	set_flags(t->cpuid);
}
