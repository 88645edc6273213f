// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of cpuid_vm.c itself.  Each case is a line of a table: a name, the input,
 * the expected output.  Prints TAP.
 */
#include "../../linux/arch/x86/kvm/cpuid_vm.c"

#include "invariants.h"
#include "tables.h"

/* A function's only entry, where just one register matters. */
#define EAX(_function, val)	LEAF(_function, val, 0, 0, 0)
#define ECX(_function, val)	LEAF(_function, 0, 0, val, 0)

#define ONES	~0u, ~0u, ~0u, ~0u

/* Xen's signature, in EBX, ECX and EDX. */
#define XEN	0x566e6558, 0x65584d4d, 0x4d4d566e

/* The entries of a case end where the first is all zero. */
#define MAX_ENTRIES	6

static int tests, failures;

__attribute__((format(printf, 2, 3)))
static void result(bool ok, const char *format, ...)
{
	va_list args;

	failures += !ok;
	printf("%sok %d - ", ok ? "" : "not ", ++tests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

static void print_entry(const char *what, const entry_t *e)
{
	printf("# %s 0x%x 0x%x flags %x: %08x %08x %08x %08x\n", what, e->function, e->index,
	       e->flags, e->eax, e->ebx, e->ecx, e->edx);
}

static int count_entries(const entry_t *entries)
{
	static const entry_t none;
	int nent = 0;

	while (nent < MAX_ENTRIES && memcmp(&entries[nent], &none, sizeof(none)))
		nent++;

	return nent;
}

/* A VM with this table. */
static struct kvm vm_with(const entry_t *entries, int nent)
{
	struct kvm kvm = {};
	u32 padding = 0;

	assert(!set_cpuid(&kvm, entries, nent, &padding));
	return kvm;
}

/* The first entry that is refused, none by default. */
#define ACCEPTED	-1

static const struct {
	const char *name;
	int bad;
	entry_t entries[MAX_ENTRIES];
} check_cases[] = {
	{ "one entry", ACCEPTED, { EAX(0, 1) } },
	{ "one indexed entry", ACCEPTED, { SUBLEAF(4, 1, ONES) } },
	{ "the highest function and index", ACCEPTED, { SUBLEAF(~0u, ~0u, ONES) } },

	{ "flag STATEFUL_FUNC", 0, { { .function = 2, .flags = 2 } } },
	{ "flag STATE_READ_NEXT", 0, { { .function = 2, .flags = 4 } } },
	{ "highest flag", 0, { { .function = 2, .flags = 1u << 31 } } },
	{ "a good and a bad flag", 0, { { .function = 2, .flags = 1 | 2 } } },
	{ "bad flag in the second entry", 1, { EAX(1, 1), { .function = 2, .flags = 2 } } },
	{ "bad flag in the last entry", 2,
	  { EAX(1, 1), EAX(2, 1), { .function = 3, .flags = 2 } } },

	{ "padding[0]", 0, { { .function = 2, .padding = { 1, 0, 0 } } } },
	{ "padding[1]", 0, { { .function = 2, .padding = { 0, 1, 0 } } } },
	{ "padding[2]", 0, { { .function = 2, .padding = { 0, 0, 1 } } } },
	{ "padding, highest bit", 1, { EAX(1, 1), { .padding = { 0, 0, 1u << 31 } } } },

	{ "address width 0", ACCEPTED, { EAX(0x80000008, 0x0030) } },
	{ "address width 48", ACCEPTED, { EAX(0x80000008, 0x3030) } },
	{ "address width 57", ACCEPTED, { EAX(0x80000008, 0x3934) } },
	{ "address width 48, other bits set", ACCEPTED, { EAX(0x80000008, 0xffff30ff) } },
	{ "address width 1", 0, { EAX(0x80000008, 0x0100) } },
	{ "address width 47", 0, { EAX(0x80000008, 0x2f00) } },
	{ "address width 49", 0, { EAX(0x80000008, 0x3100) } },
	{ "address width 56", 0, { EAX(0x80000008, 0x3800) } },
	{ "address width 58", 0, { EAX(0x80000008, 0x3a00) } },
	{ "address width 128", 0, { EAX(0x80000008, 0x8000) } },
	{ "address width 176, its low bits are 48", 0, { EAX(0x80000008, 0xb000) } },
	{ "address width 255", 0, { EAX(0x80000008, 0xff00) } },
	{ "address width 64 after a good entry", 1, { EAX(1, 1), EAX(0x80000008, 0x4000) } },
	{ "address width in a later subleaf", 1,
	  { SUBLEAF(0x80000008, 0, 0x3000, 0, 0, 0), SUBLEAF(0x80000008, 1, 0x4000, 0, 0, 0) } },
	{ "no address width in 0x80000007", ACCEPTED, { EAX(0x80000007, 0x4000) } },
	{ "no address width in 0x80000009", ACCEPTED, { EAX(0x80000009, 0x4000) } },
	{ "no address width in 0x8", ACCEPTED, { EAX(0x8, 0x4000) } },

	{ "two functions, same index", ACCEPTED, { EAX(1, 1), EAX(2, 1) } },
	{ "two functions, same significant index", ACCEPTED,
	  { SUBLEAF(4, 1, 0, 0, 0, 0), SUBLEAF(7, 1, 0, 0, 0, 0) } },
	{ "one function, two significant indexes", ACCEPTED,
	  { SUBLEAF(4, 1, 0, 0, 0, 0), SUBLEAF(4, 0, 0, 0, 0, 0) } },
	{ "the same entry twice", 1, { EAX(1, 1), EAX(1, 1) } },
	{ "the same indexed entry twice", 1,
	  { SUBLEAF(4, 1, 0, 0, 0, 0), SUBLEAF(4, 1, 1, 0, 0, 0) } },
	{ "index significant only in the first", 1,
	  { SUBLEAF(4, 1, 0, 0, 0, 0), EAX(4, 1) } },
	{ "index significant only in the second", 1,
	  { EAX(4, 1), SUBLEAF(4, 1, 0, 0, 0, 0) } },
	{ "index significant in neither", 1,
	  { { .function = 4, .index = 1 }, { .function = 4, .index = 2 } } },
	{ "a clash with the first of four", 3,
	  { EAX(1, 1), EAX(2, 1), EAX(3, 1), EAX(1, 2) } },
	{ "a clash with the entry before", 3,
	  { EAX(1, 1), EAX(2, 1), EAX(3, 1), EAX(3, 2) } },
	{ "two bad entries: the first counts", 1,
	  { EAX(1, 1), EAX(1, 1), { .function = 2, .flags = 2 } } },
	{ "two bad entries, the other way round", 1,
	  { EAX(1, 1), { .function = 2, .flags = 2 }, EAX(1, 1) } },
};

static void test_check(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(check_cases); i++) {
		int nent = count_entries(check_cases[i].entries), bad = check_cases[i].bad;
		struct kvm kvm = {};
		u32 padding = 0;
		int r;

		r = set_cpuid(&kvm, check_cases[i].entries, nent, &padding);
		result(bad == ACCEPTED ? !r && kvm.arch.cpuid && !padding :
		       r == -EINVAL && !kvm.arch.cpuid && (int)padding == bad + 1,
		       "check: %s", check_cases[i].name);
		free_cpuid(&kvm);
	}
}

static const struct {
	const char *name;
	entry_t entries[MAX_ENTRIES];
	entry_t expected[MAX_ENTRIES];
} canonical_cases[] = {
	{ "sorted by function",
	  { EAX(0x80000000, 1), EAX(3, 1), EAX(~0u, 1), EAX(2, 1) },
	  { EAX(2, 1), EAX(3, 1), EAX(0x80000000, 1), EAX(~0u, 1) } },
	{ "then by index",
	  { SUBLEAF(4, ~0u, 1, 1, 1, 1), SUBLEAF(4, 0x80000000, 1, 1, 1, 1),
	    SUBLEAF(5, 1, 1, 1, 1, 1), SUBLEAF(4, 0, 1, 1, 1, 1), SUBLEAF(3, 2, 1, 1, 1, 1) },
	  { SUBLEAF(3, 2, 1, 1, 1, 1), SUBLEAF(4, 0, 1, 1, 1, 1),
	    SUBLEAF(4, 0x80000000, 1, 1, 1, 1), SUBLEAF(4, ~0u, 1, 1, 1, 1),
	    SUBLEAF(5, 1, 1, 1, 1, 1) } },
	{ "an index that isn't significant goes",
	  { { .function = 3, .index = 9, .eax = 1 }, { .function = 2, .index = 77, .eax = 2 },
	    SUBLEAF(4, 9, 1, 1, 1, 1) },
	  { EAX(2, 2), EAX(3, 1), SUBLEAF(4, 9, 1, 1, 1, 1) } },
	{ "0x1: initial APIC ID, OSXSAVE, APIC",
	  { LEAF(0x1, ONES) },
	  { LEAF(0x1, ~0u, 0x00ffffff, 0xf7ffffff, 0xfffffdff) } },
	{ "0x1: whatever EAX is",
	  { LEAF(0x1, 0, ~0u, ~0u, ~0u) },
	  { LEAF(0x1, 0, 0x00ffffff, 0xf7ffffff, 0xfffffdff) } },
	{ "0x1: with subleaves, the state is in the first only",
	  { SUBLEAF(0x1, 7, ONES), SUBLEAF(0x1, 3, ONES) },
	  { SUBLEAF(0x1, 3, ~0u, 0x00ffffff, 0xf7ffffff, 0xfffffdff),
	    SUBLEAF(0x1, 7, ~0u, 0x00ffffff, ~0u, ~0u) } },
	{ "0x7.0: OSPKE",
	  { SUBLEAF(0x7, 1, ONES), SUBLEAF(0x7, 0, ONES) },
	  { SUBLEAF(0x7, 0, ~0u, ~0u, 0xffffffef, ~0u), SUBLEAF(0x7, 1, ONES) } },
	{ "0x7.0: whatever EAX is",
	  { SUBLEAF(0x7, 0, 0, 0, ~0u, 0) }, { SUBLEAF(0x7, 0, 0, 0, 0xffffffef, 0) } },
	{ "0x7 for every index: OSPKE",
	  { { .function = 0x7, .index = 5, .ecx = ~0u } }, { ECX(0x7, 0xffffffef) } },
	{ "0x7: OSPKE is in index 0, not in the first",
	  { SUBLEAF(0x7, 1, ONES) }, { SUBLEAF(0x7, 1, ONES) } },
	{ "0xb: x2APIC ID in every subleaf",
	  { SUBLEAF(0xb, 0, ONES), SUBLEAF(0xb, 1, ONES), SUBLEAF(0xb, 200, ONES) },
	  { SUBLEAF(0xb, 0, ~0u, ~0u, ~0u, 0), SUBLEAF(0xb, 1, ~0u, ~0u, ~0u, 0),
	    SUBLEAF(0xb, 200, ~0u, ~0u, ~0u, 0) } },
	{ "0xd: sizes of 0 and 1",
	  { SUBLEAF(0xd, 0, 7, ~0u, ~0u, 0), SUBLEAF(0xd, 1, ONES), SUBLEAF(0xd, 2, ONES) },
	  { SUBLEAF(0xd, 0, 7, 0, ~0u, 0), SUBLEAF(0xd, 1, ~0u, 0, ~0u, ~0u),
	    SUBLEAF(0xd, 2, ONES) } },
	{ "0xd for every index: size",
	  { { .function = 0xd, .index = 5, .ebx = ~0u } }, { EAX(0xd, 0) } },
	{ "0xd.0: whatever EAX is",
	  { SUBLEAF(0xd, 0, 0, ~0u, 0, 0) }, { SUBLEAF(0xd, 0, 0, 0, 0, 0) } },
	{ "0xd.1: with XSAVEC only",
	  { SUBLEAF(0xd, 1, 2, ~0u, ~0u, ~0u) }, { SUBLEAF(0xd, 1, 2, 0, ~0u, ~0u) } },
	{ "0xd.1: with XSAVES only",
	  { SUBLEAF(0xd, 1, 8, ~0u, ~0u, ~0u) }, { SUBLEAF(0xd, 1, 8, 0, ~0u, ~0u) } },
	{ "0xd.1: with neither",
	  { SUBLEAF(0xd, 1, ~10u, ~0u, ~0u, ~0u) }, { SUBLEAF(0xd, 1, ~10u, ~0u, ~0u, ~0u) } },
	{ "0xd.2 has no condition",
	  { SUBLEAF(0xd, 2, ONES) }, { SUBLEAF(0xd, 2, ONES) } },
	{ "0x1f: x2APIC ID",
	  { SUBLEAF(0x1f, 0, ONES), SUBLEAF(0x1f, 3, ONES) },
	  { SUBLEAF(0x1f, 0, ~0u, ~0u, ~0u, 0), SUBLEAF(0x1f, 3, ~0u, ~0u, ~0u, 0) } },
	{ "0x8000001e: x2APIC ID, core, node",
	  { LEAF(0x8000001e, ONES) },
	  { LEAF(0x8000001e, 0, 0xffffff00, 0xffffff00, ~0u) } },
	{ "0x80000026: x2APIC ID",
	  { SUBLEAF(0x80000026, 0, ONES), SUBLEAF(0x80000026, 2, ONES) },
	  { SUBLEAF(0x80000026, 0, ~0u, ~0u, ~0u, 0), SUBLEAF(0x80000026, 2, ~0u, ~0u, ~0u, 0) } },
	{ "functions beside those with fields",
	  { LEAF(0x2, ONES), LEAF(0xa, ONES), LEAF(0xc, ONES), LEAF(0xe, ONES),
	    LEAF(0x1e, ONES), LEAF(0x20, ONES) },
	  { LEAF(0x2, ONES), LEAF(0xa, ONES), LEAF(0xc, ONES), LEAF(0xe, ONES),
	    LEAF(0x1e, ONES), LEAF(0x20, ONES) } },
	{ "extended functions beside those with fields",
	  { LEAF(0x8000001d, ONES), LEAF(0x8000001f, ONES), LEAF(0x80000025, ONES),
	    LEAF(0x80000027, ONES), LEAF(0x8000000b, ONES), LEAF(0x80000001, ONES) },
	  { LEAF(0x80000001, ONES), LEAF(0x8000000b, ONES), LEAF(0x8000001d, ONES),
	    LEAF(0x8000001f, ONES), LEAF(0x80000025, ONES), LEAF(0x80000027, ONES) } },
	{ "Xen's leaf is the table's",
	  { LEAF(0x40000000, 1, XEN), LEAF(0x40000004, ONES) },
	  { LEAF(0x40000000, 1, XEN), LEAF(0x40000004, ONES) } },
};

static void test_canonical(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(canonical_cases); i++) {
		int nent = count_entries(canonical_cases[i].entries);
		struct kvm kvm = vm_with(canonical_cases[i].entries, nent);
		const entry_t *e = canonical_cases[i].expected;
		const entry_t *is = kvm.arch.cpuid->entries;
		bool ok = !memcmp(is, e, nent * sizeof(*e));

		result(ok, "canonical form: %s", canonical_cases[i].name);
		for (int n = 0; !ok && n < nent; n++) {
			print_entry("expected", &e[n]);
			print_entry("is      ", &is[n]);
		}
		free_cpuid(&kvm);
	}

	/* A sort may ask, although no two entries of a table are equal. */
	result(!kvm_vm_cpuid_cmp(&amd[0], &amd[0]), "canonical form: an entry equals itself");
}

#define XEN_ID	0x78

/* The vCPU's x2APIC ID, and what becomes of the last entry in canonical order. */
static const struct id_case {
	const char *name;
	u32 id;
	entry_t entries[MAX_ENTRIES];
	entry_t expected;
} id_cases[] = {
	{ "0x1: initial APIC ID", 0x12,
	  { LEAF(0x1, 1, 0xff345678, 0, 0) }, LEAF(0x1, 1, 0x12345678, 0, 0) },
	{ "0x1: eight bits of the ID", 0x1fe,
	  { LEAF(0x1, 0, 0, 0, 0) }, LEAF(0x1, 0, 0xfe000000, 0, 0) },
	{ "0x1: second subleaf too", 0x12,
	  { SUBLEAF(0x1, 0, ONES), SUBLEAF(0x1, 1, ONES) },
	  SUBLEAF(0x1, 1, ~0u, 0x12ffffff, ~0u, ~0u) },
	{ "0xb.0", 0x12345678,
	  { SUBLEAF(0xb, 0, 1, 2, 0x100, 9) }, SUBLEAF(0xb, 0, 1, 2, 0x100, 0x12345678) },
	{ "0xb.1", ~0u,
	  { SUBLEAF(0xb, 0, 0, 0, 0, 0), SUBLEAF(0xb, 1, 5, 6, 7, 8) },
	  SUBLEAF(0xb, 1, 5, 6, 7, ~0u) },
	{ "0xb for every index", 300,
	  { LEAF(0xb, 1, 1, 1, 1) }, LEAF(0xb, 1, 1, 1, 300) },
	{ "0x1f.2", 77,
	  { SUBLEAF(0x1f, 2, 1, 2, 3, 4) }, SUBLEAF(0x1f, 2, 1, 2, 3, 77) },
	{ "0x80000026.3", 77,
	  { SUBLEAF(0x80000026, 3, 1, 2, 3, 4) }, SUBLEAF(0x80000026, 3, 1, 2, 3, 77) },
	{ "0x7: no ID", 77,
	  { SUBLEAF(0x7, 0, 1, 2, 3, 4) }, SUBLEAF(0x7, 0, 1, 2, 3, 4) },
	{ "0xd.1: no ID", 77,
	  { SUBLEAF(0xd, 1, 0, 2, 3, 4) }, SUBLEAF(0xd, 1, 0, 2, 3, 4) },

	/* One node, no threads: ECX[15:12] of 0x80000008 numbers the cores. */
	{ "0x8000001e: without 0x80000008", 5,
	  { LEAF(0x8000001e, 9, 9, 9, 9) }, LEAF(0x8000001e, 5, 0, 5, 9) },
	{ "0x8000001e: second subleaf too", 5,
	  { SUBLEAF(0x8000001e, 0, 9, 9, 9, 9), SUBLEAF(0x8000001e, 1, 9, 9, 9, 9) },
	  SUBLEAF(0x8000001e, 1, 5, 0, 5, 9) },
	{ "0x8000001e: width from ECX[15:12]", 5,
	  { ECX(0x80000008, 0x4000), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 5, 5, 0, 0) },
	{ "0x8000001e: ECX[15:12] before ECX[7:0]", 5,
	  { ECX(0x80000008, 0x1007), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 5, 1, 2, 0) },
	{ "0x8000001e: width from ECX[7:0], 8 threads", 13,
	  { ECX(0x80000008, 0x0007), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 13, 5, 1, 0) },
	{ "0x8000001e: 2 threads need 1 bit", 13,
	  { ECX(0x80000008, 0x0001), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 13, 1, 6, 0) },
	{ "0x8000001e: 9 threads need 4 bits", 13,
	  { ECX(0x80000008, 0x0008), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 13, 13, 0, 0) },
	{ "0x8000001e: 1 thread needs none", 13,
	  { ECX(0x80000008, 0x0000), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 13, 0, 13, 0) },
	{ "0x8000001e: 256 threads need 8", 0x3ff,
	  { ECX(0x80000008, 0x00ff), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 0x3ff, 0xff, 3, 0) },
	{ "0x8000001e: other bits of 0x80000008 ECX", 0x15,
	  { ECX(0x80000008, 0xffff4fff), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 0x15, 5, 1, 0) },
	{ "0x8000001e: other bits of 0x80000008 ECX, 8 threads", 13,
	  { ECX(0x80000008, 0xffff0f07), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 13, 5, 1, 0) },
	{ "0x8000001e: no width from other functions", 5,
	  { ECX(0x1, 0x4000), ECX(0xb, 0x4000), ECX(0x80000007, 0x4000), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 5, 0, 5, 0) },
	{ "0x8000001e: width 15, core ID has 8 bits", 0x12345,
	  { ECX(0x80000008, 0xf000), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 0x12345, 0x45, 2, 0) },
	{ "0x8000001e: 2 threads a core", 13,
	  { ECX(0x80000008, 0x4000), LEAF(0x8000001e, 0, 0x1ff, 0, 0) },
	  LEAF(0x8000001e, 13, 0x106, 0, 0) },
	{ "0x8000001e: 3 threads need 2 bits", 13,
	  { ECX(0x80000008, 0x4000), LEAF(0x8000001e, 0, 0x200, 0, 0) },
	  LEAF(0x8000001e, 13, 0x203, 0, 0) },
	{ "0x8000001e: 256 threads a core leave no core", 13,
	  { ECX(0x80000008, 0x4000), LEAF(0x8000001e, 0, 0xff00, 0, 0) },
	  LEAF(0x8000001e, 13, 0xff00, 0, 0) },
	{ "0x8000001e: 128 threads a core, EBX[15]", 0xffff,
	  { ECX(0x80000008, 0xf000), LEAF(0x8000001e, 0, 0x8000, 0, 0) },
	  LEAF(0x8000001e, 0xffff, 0x807f, 1, 0) },
	{ "0x8000001e: EBX[31:16] is not ours", 13,
	  { ECX(0x80000008, 0x4000), LEAF(0x8000001e, 0, 0xffff0000, 0, 0) },
	  LEAF(0x8000001e, 13, 0xffff000d, 0, 0) },
	{ "0x8000001e: 2 nodes", 13,
	  { ECX(0x80000008, 0x4000), LEAF(0x8000001e, 0, 0, 0x1ff, 0) },
	  LEAF(0x8000001e, 13, 5, 0x101, 0) },
	{ "0x8000001e: 3 nodes need 2 bits", 13,
	  { ECX(0x80000008, 0x4000), LEAF(0x8000001e, 0, 0, 0x200, 0) },
	  LEAF(0x8000001e, 13, 1, 0x203, 0) },
	{ "0x8000001e: 8 nodes", 0x6d,
	  { ECX(0x80000008, 0x7000), LEAF(0x8000001e, 0, 0, 0x700, 0) },
	  LEAF(0x8000001e, 0x6d, 0xd, 0x706, 0) },
	{ "0x8000001e: ECX[31:11] is not ours", 13,
	  { ECX(0x80000008, 0x4000), LEAF(0x8000001e, 0, 0, 0xfffff800, 0) },
	  LEAF(0x8000001e, 13, 13, 0xfffff800, 0) },
	{ "0x8000001e: as many nodes as the package has bits", 13,
	  { ECX(0x80000008, 0x2000), LEAF(0x8000001e, 0, 0, 0x300, 0) },
	  LEAF(0x8000001e, 13, 0, 0x30d, 0) },
	{ "0x8000001e: more nodes than the package has bits", 13,
	  { ECX(0x80000008, 0x2000), LEAF(0x8000001e, 0, 0, 0x700, 0) },
	  LEAF(0x8000001e, 13, 0, 0x70d, 0) },
	{ "0x8000001e: more nodes, no 0x80000008", 0x1ff,
	  { LEAF(0x8000001e, 0, 0, 0x700, 0) }, LEAF(0x8000001e, 0x1ff, 0, 0x7ff, 0) },
	{ "0x8000001e: nodes and threads", 0x35,
	  { ECX(0x80000008, 0x5000), LEAF(0x8000001e, 0, 0x100, 0x300, 0) },
	  LEAF(0x8000001e, 0x35, 0x102, 0x306, 0) },
	{ "0x8000001e: highest ID", ~0u,
	  { ECX(0x80000008, 0x5000), LEAF(0x8000001e, 0, 0x100, 0x300, 0) },
	  LEAF(0x8000001e, ~0u, 0x103, 0x3ff, 0) },

	{ "0x8000001e: 0x80000008 with subleaves, the first counts", 5,
	  { SUBLEAF(0x80000008, 1, 0, 0, 0x4000, 0), SUBLEAF(0x80000008, 0, 0, 0, 0x1000, 0),
	    LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 5, 1, 2, 0) },
	{ "Xen's leaf: nothing before it is set", 5,
	  { LEAF(0x40000000, 1, XEN), LEAF(0x40000004, 8, 1, 2, 3) },
	  LEAF(0x40000004, 8, 1, 2, 3) },
}, xen_cases[] = {
	{ "at the first base", 5,
	  { LEAF(0x40000000, 1, XEN), LEAF(0x40000004, 8, 1, 2, 3) },
	  LEAF(0x40000004, 8, XEN_ID, 2, 3) },
	{ "at the last base", 5,
	  { LEAF(0x4000ff00, 1, XEN), LEAF(0x4000ff04, 8, 1, 2, 3) },
	  LEAF(0x4000ff04, 8, XEN_ID, 2, 3) },
	{ "beyond the last base", 5,
	  { LEAF(0x40010000, 1, XEN), LEAF(0x40010004, 8, 1, 2, 3) },
	  LEAF(0x40010004, 8, 1, 2, 3) },
	{ "behind the entries of another base", 5,
	  { LEAF(0x40000000, 1, 0x7263694d, 0x666f736f, 0x76482074),
	    LEAF(0x40000100, 1, XEN), LEAF(0x40000104, 8, 1, 2, 3) },
	  LEAF(0x40000104, 8, XEN_ID, 2, 3) },
	{ "not of another base", 5,
	  { LEAF(0x40000000, 1, XEN), LEAF(0x40000104, 8, 1, 2, 3) },
	  LEAF(0x40000104, 8, 1, 2, 3) },
	{ "base not a multiple of 0x100", 5,
	  { LEAF(0x40000080, 1, XEN), LEAF(0x40000084, 8, 1, 2, 3) },
	  LEAF(0x40000084, 8, 1, 2, 3) },
	{ "base not odd", 5,
	  { LEAF(0x40000001, 1, XEN), LEAF(0x40000005, 8, 1, 2, 3) },
	  LEAF(0x40000005, 8, 1, 2, 3) },
	{ "base not below 0x40000000", 5,
	  { LEAF(0x30000000, 1, XEN), LEAF(0x30000004, 8, 1, 2, 3) },
	  LEAF(0x30000004, 8, 1, 2, 3) },
	{ "the lowest base counts", 5,
	  { LEAF(0x40000200, 1, XEN), LEAF(0x40000100, 1, XEN), LEAF(0x40000204, 8, 1, 2, 3) },
	  LEAF(0x40000204, 8, 1, 2, 3) },
	{ "of a base's subleaves, the first counts", 5,
	  { SUBLEAF(0x40000000, 0, 1, 0, 0, 0), SUBLEAF(0x40000000, 1, 1, XEN),
	    LEAF(0x40000004, 8, 1, 2, 3) },
	  LEAF(0x40000004, 8, 1, 2, 3) },
	{ "the second subleaf too", 5,
	  { LEAF(0x40000000, 1, XEN), SUBLEAF(0x40000004, 0, 8, 1, 2, 3),
	    SUBLEAF(0x40000004, 1, 8, 1, 2, 3) },
	  SUBLEAF(0x40000004, 1, 8, XEN_ID, 2, 3) },
	{ "all of EAX", 5,
	  { LEAF(0x40000000, 1, XEN), LEAF(0x40000004, ONES) },
	  LEAF(0x40000004, ~0u, XEN_ID, ~0u, ~0u) },
	{ "EAX says that there is no vCPU ID", 5,
	  { LEAF(0x40000000, 1, XEN), LEAF(0x40000004, ~8u, 1, 2, 3) },
	  LEAF(0x40000004, ~8u, 1, 2, 3) },
	{ "not the leaf before", 5,
	  { LEAF(0x40000000, 1, XEN), LEAF(0x40000003, 8, 1, 2, 3) },
	  LEAF(0x40000003, 8, 1, 2, 3) },
	{ "not the leaf after", 5,
	  { LEAF(0x40000000, 1, XEN), LEAF(0x40000005, 8, 1, 2, 3) },
	  LEAF(0x40000005, 8, 1, 2, 3) },
	{ "EBX of the signature is wrong", 5,
	  { LEAF(0x40000000, 1, 0x566e6559, 0x65584d4d, 0x4d4d566e), LEAF(0x40000004, 8, 1, 2, 3) },
	  LEAF(0x40000004, 8, 1, 2, 3) },
	{ "ECX of the signature is wrong", 5,
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4e, 0x4d4d566e), LEAF(0x40000004, 8, 1, 2, 3) },
	  LEAF(0x40000004, 8, 1, 2, 3) },
	{ "EDX of the signature is wrong", 5,
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566f), LEAF(0x40000004, 8, 1, 2, 3) },
	  LEAF(0x40000004, 8, 1, 2, 3) },
	{ "no base", 5, { LEAF(0x40000004, 8, 1, 2, 3) }, LEAF(0x40000004, 8, 1, 2, 3) },
	{ "function 4 is no leaf of Xen's", 5, { LEAF(0x4, 8, 1, 2, 3) }, LEAF(0x4, 8, 1, 2, 3) },
};

static void test_ids(const struct id_case *c, bool xen)
{
	int nent = count_entries(c->entries);
	struct kvm kvm = vm_with(c->entries, nent);
	struct kvm_vcpu vcpu;
	const entry_t *e;
	bool ok;

	assert(!create_vcpu(&kvm, c->id, &vcpu));
	if (xen)
		kvm_vcpu_set_xen_cpuid(&vcpu, XEN_ID);

	e = &vcpu.arch.cpuid_entries[nent - 1];
	ok = !memcmp(e, &c->expected, sizeof(*e));
	result(ok, "%s: %s", xen ? "Xen vCPU ID" : "IDs", c->name);
	if (!ok) {
		print_entry("expected", &c->expected);
		print_entry("is      ", e);
	}

	destroy_vcpu(&vcpu);
	free_cpuid(&kvm);
}

/* Bit 50 is a dynamic xfeature of the shims only. */
#define AMX	(1u << 18)
#define BIT_50	(1u << (50 - 32))

static const entry_t two[] = { LEAF(0x0, 1, 2, 3, 4), LEAF(0x2, 5, 6, 7, 8) };
static const entry_t with_amx[] = { SUBLEAF(0xd, 0, AMX | 7, 0, 0, 0) };
static const entry_t with_amx_in_1[] = { SUBLEAF(0xd, 1, AMX, 0, AMX, AMX) };
static const entry_t with_amx_elsewhere[] = { SUBLEAF(0xc, 0, AMX, 0, 0, AMX) };
static const entry_t with_amx_after[] = { LEAF(0x0, 1, 2, 3, 4), SUBLEAF(0xd, 0, AMX, 0, 0, 0) };
static const entry_t with_bit_50[] = { SUBLEAF(0xd, 0, 7, 0, 0, BIT_50) };
static const entry_t with_all_others[] = { SUBLEAF(0xd, 0, ~AMX, ~0u, ~0u, ~BIT_50) };
static const entry_t second_bad[] = { LEAF(0x0, 1, 2, 3, 4), LEAF(0x0, 5, 6, 7, 8) };
static entry_t most[KVM_MAX_CPUID_ENTRIES + 1];

#define HEADER	sizeof(struct kvm_cpuid2)
#define ENTRY	sizeof(entry_t)

/* Userspace creates a vCPU first. */
static void vcpu_comes_first(struct kvm *kvm)
{
	kvm->created_vcpus = 1;
}

static const struct {
	const char *name;
	const entry_t *entries;
	u32 nent, padding;
	struct shim shim;
	unsigned long vm_type;
	int created_vcpus;
	int r;
	u32 padding_after;
} set_cases[] = {
	{ "two entries", two, 2 },
	{ "one entry", two, 1 },
	{ "no entry", NULL, 0 },
	{ "256 entries", most, 256 },
	{ "257 entries", most, 257, .r = -E2BIG },
	{ "0xffffffff entries", NULL, ~0u, .r = -E2BIG },
	{ "257 entries before padding", most, 257, 1, .r = -E2BIG, .padding_after = 1 },
	{ "padding", two, 2, 1, .r = -EINVAL, .padding_after = 1 },
	{ "padding, highest bit", two, 2, 1u << 31, .r = -EINVAL, .padding_after = 1u << 31 },
	{ "padding, but no entry", NULL, 0, 1, .r = -EINVAL, .padding_after = 1 },
	{ "padding before a bad entry", second_bad, 2, 7, .r = -EINVAL, .padding_after = 7 },
	{ "padding before no memory", two, 2, 1, { .no_memory = true },
	  .r = -EINVAL, .padding_after = 1 },
	{ "second entry bad", second_bad, 2, .r = -EINVAL, .padding_after = 2 },
	{ "second entry bad, but read-only memory", second_bad, 2, 0, { .read_only = true },
	  .r = -EINVAL },
	{ "read-only memory", two, 2, 0, { .read_only = true } },
	{ "no memory", two, 2, 0, { .no_memory = true }, .r = -ENOMEM },
	{ "no entry needs no memory", NULL, 0, 0, { .no_memory = true } },
	{ "fault in the header", two, 2, 0, { .fault_at = 1 }, .r = -EFAULT },
	{ "fault in the header's last byte", two, 2, 0, { .fault_at = HEADER - 1 }, .r = -EFAULT },
	{ "fault in the header before 257 entries", most, 257, 0, { .fault_at = 4 },
	  .r = -EFAULT },
	{ "fault at the entries", two, 2, 0, { .fault_at = HEADER }, .r = -EFAULT },
	{ "fault at the second entry", two, 2, 0, { .fault_at = HEADER + ENTRY }, .r = -EFAULT },
	{ "fault in the last byte", two, 2, 0, { .fault_at = HEADER + 2 * ENTRY - 1 },
	  .r = -EFAULT },
	{ "fault behind the last byte", two, 2, 0, { .fault_at = HEADER + 2 * ENTRY } },
	{ "fault behind no entry", NULL, 0, 0, { .fault_at = HEADER } },
	{ "fault before a bad entry", second_bad, 2, 0, { .fault_at = HEADER }, .r = -EFAULT },
	{ "AMX without permission", with_amx, 1, .r = -EPERM },
	{ "AMX with another's permission", with_amx, 1, 0, { .guest_perm = ~(u64)AMX },
	  .r = -EPERM },
	{ "AMX with permission", with_amx, 1, 0, { .guest_perm = AMX } },
	{ "AMX in the second entry", with_amx_after, 2, .r = -EPERM },
	{ "bit 50 without permission", with_bit_50, 1, .r = -EPERM },
	{ "bit 50 with AMX's permission", with_bit_50, 1, 0, { .guest_perm = AMX }, .r = -EPERM },
	{ "bit 50 with permission", with_bit_50, 1, 0, { .guest_perm = 1ull << 50 } },
	{ "all that needs no permission", with_all_others, 1 },
	{ "AMX's bit in 0xd.1", with_amx_in_1, 1 },
	{ "AMX's bit in 0xc", with_amx_elsewhere, 1 },
	{ "AMX without permission before a vCPU", with_amx, 1, .created_vcpus = 1, .r = -EPERM },
	{ "a vCPU", two, 2, .created_vcpus = 1, .r = -EBUSY },
	{ "many vCPUs", two, 2, .created_vcpus = 1024, .r = -EBUSY },
	{ "no entry, but a vCPU", NULL, 0, .created_vcpus = 1, .r = -EBUSY },
	{ "a vCPU while we wait", two, 2, 0, { .on_lock = vcpu_comes_first }, .r = -EBUSY },
	{ "bad entry before a vCPU", second_bad, 2, .created_vcpus = 1,
	  .r = -EINVAL, .padding_after = 2 },
	{ "TDX", two, 2, .vm_type = KVM_X86_TDX_VM, .r = -ENOTTY },
	{ "TDX before all", two, 257, 1, { .fault_at = 1 }, .vm_type = KVM_X86_TDX_VM,
	  .created_vcpus = 1, .r = -ENOTTY, .padding_after = 1 },
};

/* On a VM without a table, and on one that keeps its table if this fails. */
static void test_set(bool has_old)
{
	for (size_t i = 0; i < ARRAY_SIZE(set_cases); i++) {
		u32 nent = set_cases[i].nent, padding = set_cases[i].padding;
		struct kvm_cpuid2 *old, *table;
		struct kvm kvm = {};
		bool ok;

		if (has_old)
			kvm = vm_with(amd, ARRAY_SIZE(amd));
		old = kvm.arch.cpuid;
		kvm.arch.vm_type = set_cases[i].vm_type;
		kvm.created_vcpus = set_cases[i].created_vcpus;

		shim = set_cases[i].shim;
		shim.allocations = has_old;
		ok = set_cpuid(&kvm, set_cases[i].entries, nent, &padding) == set_cases[i].r &&
		     padding == set_cases[i].padding_after;

		table = kvm.arch.cpuid;
		if (set_cases[i].r)
			ok &= table == old;
		else if (!nent)
			ok &= !table;
		else
			ok &= table && table != old && table->nent == nent && !table->padding;
		if (table && table == old)
			ok &= as_reference(table->entries, amd, ARRAY_SIZE(amd), 0, NULL);

		result(ok && shim.allocations == !!table, "set: %s%s", set_cases[i].name,
		       has_old ? ", a table before" : "");

		free_cpuid(&kvm);
		shim = (struct shim){};
	}
}

static const struct {
	const char *name;
	u32 nent;
	struct shim shim;
	bool no_table;
	unsigned long vm_type;
	int r;
	u32 nent_after;
	size_t written;
} get_cases[] = {
	{ "as many as there are", 2, .nent_after = 2, .written = HEADER + 2 * ENTRY },
	{ "more room", 100, .nent_after = 2, .written = HEADER + 2 * ENTRY },
	{ "more room than any table", ~0u, .nent_after = 2, .written = HEADER + 2 * ENTRY },
	{ "too small", 1, .r = -E2BIG, .nent_after = 2, .written = 4 },
	{ "asks for the size", 0, .r = -E2BIG, .nent_after = 2, .written = 4 },
	{ "too small before a fault", 1, { .fault_at = 4 },
	  .r = -E2BIG, .nent_after = 2, .written = 4 },
	{ "too small, but read-only memory", 1, { .read_only = true },
	  .r = -EFAULT, .nent_after = 1 },
	{ "fault in nent", 2, { .fault_at = 1 }, .r = -EFAULT, .nent_after = 2 },
	{ "fault in the last byte of nent", 2, { .fault_at = 3 }, .r = -EFAULT, .nent_after = 2 },
	{ "fault at the entries", 2, { .fault_at = HEADER },
	  .r = -EFAULT, .nent_after = 2, .written = HEADER },
	{ "fault in the last byte", 2, { .fault_at = HEADER + 2 * ENTRY - 1 },
	  .r = -EFAULT, .nent_after = 2, .written = HEADER + 2 * ENTRY - 1 },
	{ "fault behind the last byte", 2, { .fault_at = HEADER + 2 * ENTRY },
	  .nent_after = 2, .written = HEADER + 2 * ENTRY },
	{ "read-only memory", 2, { .read_only = true }, .r = -EFAULT, .nent_after = 2 },
	{ "no table", 2, .no_table = true, .r = -ENOENT, .nent_after = 2 },
	{ "no table, asks for the size", 0, .no_table = true, .r = -ENOENT },
	{ "no table after a fault", 2, { .fault_at = 1 }, .no_table = true,
	  .r = -EFAULT, .nent_after = 2 },
	{ "TDX", 2, .vm_type = KVM_X86_TDX_VM, .r = -ENOTTY, .nent_after = 2 },
	{ "TDX before a fault", 2, { .fault_at = 1 }, .vm_type = KVM_X86_TDX_VM,
	  .r = -ENOTTY, .nent_after = 2 },
};

static void test_get(int created_vcpus)
{
	for (size_t i = 0; i < ARRAY_SIZE(get_cases); i++) {
		size_t size = HEADER + 3 * ENTRY, written = get_cases[i].written;
		struct kvm_cpuid2 *user = malloc(size), *expected = malloc(size);
		struct kvm kvm = {};
		int r;

		if (!get_cases[i].no_table)
			kvm = vm_with(two, ARRAY_SIZE(two));
		kvm.arch.vm_type = get_cases[i].vm_type;
		kvm.created_vcpus = created_vcpus;

		memset(user, 0xee, size);
		user->nent = get_cases[i].nent;
		memcpy(expected, user, size);
		expected->nent = get_cases[i].nent_after;
		if (written > HEADER)
			memcpy(expected->entries, two, written - HEADER);
		if (written >= HEADER)
			expected->padding = 0;

		shim = get_cases[i].shim;
		shim.allocations = !get_cases[i].no_table;
		r = get_cpuid(&kvm, user);
		result(r == get_cases[i].r && !memcmp(user, expected, size), "get: %s%s",
		       get_cases[i].name, created_vcpus ? ", with vCPUs" : "");

		free(expected);
		free(user);
		free_cpuid(&kvm);
		shim = (struct shim){};
	}
}

static const struct {
	const char *name;
	const entry_t *entries;
	u32 nent;
	struct shim shim;
	int r;
} inherit_cases[] = {
	{ "two entries", two, 2 },
	{ "256 entries", most, 256 },
	{ "no table", NULL, 0 },
	{ "no table, and what would fail isn't called", NULL, 0,
	  { .no_memory = true, .set_cpuid_error = -EINVAL } },
	{ "no memory", two, 2, { .no_memory = true }, -ENOMEM },
	{ "kvm_set_cpuid() fails", two, 2, { .set_cpuid_error = -EPERM }, -EPERM },
};

/* On success the vCPU owns the copy, on failure nobody does. */
static void test_inherit(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(inherit_cases); i++) {
		u32 nent = inherit_cases[i].nent, padding = 0;
		struct kvm kvm = vm_with(inherit_cases[i].entries, nent);
		bool inherits = nent && !inherit_cases[i].r;
		const entry_t *e;
		struct kvm_vcpu vcpu;
		bool ok;

		shim = inherit_cases[i].shim;
		shim.allocations = !!nent;
		ok = create_vcpu(&kvm, 5, &vcpu) == inherit_cases[i].r &&
		     shim.allocations == !!nent + inherits;

		e = vcpu.arch.cpuid_entries;
		if (inherits)
			ok &= e != kvm.arch.cpuid->entries && vcpu.arch.cpuid_nent == nent &&
			      as_reference(e, inherit_cases[i].entries, nent, 5, NULL);
		else
			ok &= !e && !vcpu.arch.cpuid_nent;
		if (nent)
			ok &= as_reference(kvm.arch.cpuid->entries, inherit_cases[i].entries, nent,
					   0, NULL);

		/* It is too late until this vCPU is gone. */
		shim.no_memory = false;
		ok &= set_cpuid(&kvm, two, 1, &padding) == -EBUSY;
		destroy_vcpu(&vcpu);
		ok &= !set_cpuid(&kvm, two, 1, &padding) && kvm.arch.cpuid->nent == 1;

		result(ok && shim.allocations == 1, "inherit: %s", inherit_cases[i].name);

		free_cpuid(&kvm);
		shim = (struct shim){};
	}
}

/* Without a table, the entries are userspace's. */
static void test_xen_without_table(void)
{
	entry_t entries[] = { LEAF(0x40000000, 1, XEN), LEAF(0x40000004, 8, 1, 2, 3) };
	struct kvm kvm = {};
	struct kvm_vcpu vcpu = {
		.kvm = &kvm,
		.arch = { .cpuid_entries = entries, .cpuid_nent = ARRAY_SIZE(entries) },
	};

	kvm_vcpu_set_xen_cpuid(&vcpu, XEN_ID);
	result(entries[1].ebx == 1, "Xen vCPU ID: no table");
}

/* The last table wins until there is a vCPU, and userspace can drop it again. */
static void test_sequence(void)
{
	struct kvm kvm = vm_with(two, 2);
	struct kvm_cpuid2 header = {};
	u32 padding = 0;
	bool ok;

	ok = !set_cpuid(&kvm, &two[1], 1, &padding) && kvm.arch.cpuid->nent == 1 &&
	     !memcmp(kvm.arch.cpuid->entries, &two[1], ENTRY) && shim.allocations == 1;
	result(ok, "sequence: the last table wins");

	ok = !set_cpuid(&kvm, NULL, 0, &padding) && !kvm.arch.cpuid && !shim.allocations &&
	     get_cpuid(&kvm, &header) == -ENOENT;
	result(ok, "sequence: a table is taken back");

	ok = !set_cpuid(&kvm, two, 2, &padding) && get_cpuid(&kvm, &header) == -E2BIG &&
	     header.nent == 2;
	result(ok, "sequence: and set again");
	free_cpuid(&kvm);
}

static const struct {
	const char *name;
	const entry_t *entries;
	u32 nent;
} whole_tables[] = {
	{ "AMD", amd, ARRAY_SIZE(amd) },
	{ "Intel", intel, ARRAY_SIZE(intel) },
	{ "Hyper-V, Xen and KVM", paravirt, ARRAY_SIZE(paravirt) },
	{ "256 entries", most, ARRAY_SIZE(most) - 1 },
	{ "two", two, ARRAY_SIZE(two) },
	{ "none", NULL, 0 },
	{ "with a bad entry", second_bad, ARRAY_SIZE(second_bad) },
	{ "more than 256", most, ARRAY_SIZE(most) },
};

static void test_whole_tables(void)
{
	static const u32 ids[] = { 0, 1, 13, 255, 256, 300, ~0u };
	const char *what = NULL;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(whole_tables); i++) {
		shim.guest_perm = AMX;
		for (n = 0, what = NULL; n < ARRAY_SIZE(ids) && !what; n++)
			what = differs(whole_tables[i].entries, whole_tables[i].nent,
				       ids[n], ids[n] + 7);
		result(!what, "reference: %s%s%s", whole_tables[i].name, what ? ": " : "",
		       what ? what : "");
	}

	shim.guest_perm = 0;
	result(!differs(intel, ARRAY_SIZE(intel), 0, 0), "reference: Intel, without permission");
}

int main(void)
{
	/* Unsorted, with entries that all differ. */
	for (u32 i = 0; i < ARRAY_SIZE(most); i++)
		most[i] = (entry_t)SUBLEAF((i * 37 % 257) / 8, i * 37 % 257, i, ~i, i, ~i);

	printf("TAP version 13\n");
	test_check();
	test_canonical();
	for (size_t i = 0; i < ARRAY_SIZE(id_cases); i++)
		test_ids(&id_cases[i], false);
	for (size_t i = 0; i < ARRAY_SIZE(xen_cases); i++)
		test_ids(&xen_cases[i], true);
	test_xen_without_table();
	test_inherit();
	test_set(false);
	test_set(true);
	test_get(0);
	test_get(2);
	test_sequence();
	test_whole_tables();
	result(!shim.allocations, "all memory is freed");
	printf("1..%d\n", tests);

	return failures ? 1 : 0;
}
