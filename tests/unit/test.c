// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of cpuid_vm.c, the very file.  Each case is a line of a table: a name,
 * what goes in, what is expected.  Prints TAP.
 */
#include "../../linux/arch/x86/kvm/cpuid_vm.c"

#include "invariants.h"
#include "tables.h"

#ifdef CONFIG_KVM_XEN
#define XEN(with, without)	(with)
#else
#define XEN(with, without)	(without)
#endif

#define ANY_INDEX	KVM_CPUID_INDEX_NOT_SIGNIFICANT

/* A function's only entry, where just one register matters. */
#define EAX(_function, val)	LEAF(_function, val, 0, 0, 0)
#define ECX(_function, val)	LEAF(_function, 0, 0, val, 0)

#define ONES	~0u, ~0u, ~0u, ~0u

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
	struct kvm_cpuid2 header = { .nent = nent };
	struct kvm kvm = {};

	if (set_cpuid(&kvm, entries, &header))
		kvm.arch.cpuid = kvzalloc(sizeof(*kvm.arch.cpuid), GFP_KERNEL_ACCOUNT);

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
		struct kvm_cpuid2 header = { .nent = nent };
		struct kvm kvm = {};
		int r;

		r = set_cpuid(&kvm, check_cases[i].entries, &header);
		result(bad == ACCEPTED ? !r && (int)header.nent == nent :
		       r == -EINVAL && (int)header.nent == bad && !kvm.arch.cpuid,
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
	{ "an index that isn't significant stays",
	  { { .function = 3, .index = 9, .eax = 1 }, { .function = 2, .index = 77, .eax = 2 } },
	  { { .function = 2, .index = 77, .eax = 2 }, { .function = 3, .index = 9, .eax = 1 } } },
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
	  { { .function = 0x7, .index = 5, .ecx = ~0u } },
	  { { .function = 0x7, .index = 5, .ecx = 0xffffffef } } },
	{ "0xb: x2APIC ID in every subleaf",
	  { SUBLEAF(0xb, 0, ONES), SUBLEAF(0xb, 1, ONES), SUBLEAF(0xb, 200, ONES) },
	  { SUBLEAF(0xb, 0, ~0u, ~0u, ~0u, 0), SUBLEAF(0xb, 1, ~0u, ~0u, ~0u, 0),
	    SUBLEAF(0xb, 200, ~0u, ~0u, ~0u, 0) } },
	{ "0xd: sizes of 0 and 1",
	  { SUBLEAF(0xd, 0, 7, ~0u, ~0u, 0), SUBLEAF(0xd, 1, ONES), SUBLEAF(0xd, 2, ONES) },
	  { SUBLEAF(0xd, 0, 7, 0, ~0u, 0), SUBLEAF(0xd, 1, ~0u, 0, ~0u, ~0u),
	    SUBLEAF(0xd, 2, ONES) } },
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
	{ "Xen's leaf: vCPU ID",
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e), LEAF(0x40000003, ONES),
	    LEAF(0x40000004, ONES), LEAF(0x40000005, ONES), LEAF(0x40000104, ONES) },
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e), LEAF(0x40000003, ONES),
	    LEAF(0x40000004, ~0u, XEN(0, ~0u), ~0u, ~0u), LEAF(0x40000005, ONES),
	    LEAF(0x40000104, ONES) } },
	{ "Xen's leaf elsewhere, two subleaves",
	  { LEAF(0x40000300, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e), LEAF(0x40000004, ONES),
	    SUBLEAF(0x40000304, 0, ONES), SUBLEAF(0x40000304, 1, ONES) },
	  { LEAF(0x40000004, ONES),
	    LEAF(0x40000300, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e),
	    SUBLEAF(0x40000304, 0, ~0u, XEN(0, ~0u), ~0u, ~0u),
	    SUBLEAF(0x40000304, 1, ~0u, XEN(0, ~0u), ~0u, ~0u) } },
	{ "Xen's leaf: EAX says that there is a vCPU ID",
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e),
	    LEAF(0x40000004, 8, ~0u, 0, 0) },
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e),
	    LEAF(0x40000004, 8, XEN(0, ~0u), 0, 0) } },
	{ "Xen's leaf: EAX says that there is none",
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e),
	    LEAF(0x40000004, ~8u, ~0u, 0, 0) },
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e),
	    LEAF(0x40000004, ~8u, ~0u, 0, 0) } },
	{ "Xen's leaf without Xen",
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566f), LEAF(0x40000004, ONES),
	    LEAF(0x4, ONES) },
	  { LEAF(0x4, ONES), LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566f),
	    LEAF(0x40000004, ONES) } },
};

static void test_canonical(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(canonical_cases); i++) {
		int nent = count_entries(canonical_cases[i].entries);
		struct kvm kvm = vm_with(canonical_cases[i].entries, nent);
		const entry_t *e = canonical_cases[i].expected;
		struct kvm_cpuid2 header = { .nent = nent };
		entry_t out[MAX_ENTRIES] = {};
		bool ok;

		ok = !kvm_vm_ioctl_get_cpuid(&kvm, &header, out) && !memcmp(out, e, sizeof(out));
		result(ok, "canonical form: %s", canonical_cases[i].name);
		for (int n = 0; !ok && n < nent; n++) {
			print_entry("expected", &e[n]);
			print_entry("is      ", &out[n]);
		}
		free_cpuid(&kvm);
	}

	/* A sort may ask, though no two entries of a table are equal. */
	result(!kvm_vm_cpuid_cmp(&amd[0], &amd[0]), "canonical form: an entry equals itself");
}

/* EAX is the entry's name. */
static const entry_t find_entries[] = {
	LEAF(0x0, 10, 0, 0, 0),
	{ .function = 0x2, .index = 5, .eax = 11 },
	SUBLEAF(0x4, 0, 12, 0, 0, 0),
	SUBLEAF(0x4, 1, 13, 0, 0, 0),
	SUBLEAF(0x4, 3, 14, 0, 0, 0),
	SUBLEAF(0x4, ~0u, 15, 0, 0, 0),
	SUBLEAF(0x7, 2, 16, 0, 0, 0),
	LEAF(0x80000000, 17, 0, 0, 0),
	SUBLEAF(~0u, ~0u, 18, 0, 0, 0),
};

/* EAX of what is found, 0 is nothing. */
static const struct {
	const char *name;
	u32 function;
	u64 index;
	u32 found;
} find_cases[] = {
	{ "first entry", 0x0, 0, 10 },
	{ "any subleaf of a leaf without", 0x0, ~0u, 10 },
	{ "its own index, not significant", 0x2, 5, 11 },
	{ "a lower one", 0x2, 4, 11 },
	{ "a higher one", 0x2, 6, 11 },
	{ "any index, as KVM asks", 0x2, ANY_INDEX, 11 },
	{ "subleaf 0", 0x4, 0, 12 },
	{ "subleaf 1", 0x4, 1, 13 },
	{ "subleaf 2, a gap", 0x4, 2, 0 },
	{ "subleaf 3", 0x4, 3, 14 },
	{ "subleaf 4, past the last", 0x4, 4, 0 },
	{ "subleaf 0xffffffff is no magic", 0x4, ~0u, 15 },
	{ "subleaf 0xfffffffe", 0x4, ~1u, 0 },
	{ "the first of the subleaves", 0x4, ANY_INDEX, 12 },
	{ "the only subleaf", 0x7, 2, 16 },
	{ "below the only subleaf", 0x7, 1, 0 },
	{ "above the only subleaf", 0x7, 3, 0 },
	{ "the first of one subleaf", 0x7, ANY_INDEX, 16 },
	{ "function between two", 0x3, 0, 0 },
	{ "function between two, any index", 0x3, ANY_INDEX, 0 },
	{ "function 0x80000000", 0x80000000, 0, 17 },
	{ "its neighbour below", 0x7fffffff, 0, 0 },
	{ "its neighbour above", 0x80000001, 0, 0 },
	{ "last entry", ~0u, ~0u, 18 },
	{ "last function, another index", ~0u, 0, 0 },
	{ "last function, any index", ~0u, ANY_INDEX, 18 },
	{ "an index beyond 32 bits", 0x4, 1ull << 32, 0 },
	{ "the code's own every index", 0x4, KVM_CPUID_EVERY_INDEX, 0 },
};

static void test_find(void)
{
	struct kvm kvm = vm_with(find_entries, ARRAY_SIZE(find_entries));
	const entry_t *e;

	for (size_t i = 0; i < ARRAY_SIZE(find_cases); i++) {
		e = kvm_vm_cpuid_find(kvm.arch.cpuid, find_cases[i].function, find_cases[i].index);
		result((e ? e->eax : 0) == find_cases[i].found, "find: %s", find_cases[i].name);
	}
	free_cpuid(&kvm);
}

#define XEN_ID	0x78

/* The vCPU's x2APIC ID, the last entry's function and index, and what it reads. */
static const struct {
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
	{ "0x8000001e: other bits of 0x80000008 ECX", 5,
	  { ECX(0x80000008, 0xffff4fff), LEAF(0x8000001e, 0, 0, 0, 0) },
	  LEAF(0x8000001e, 5, 5, 0, 0) },
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

	{ "Xen's leaf", 5,
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e), LEAF(0x40000004, 8, 1, 2, 3) },
	  LEAF(0x40000004, 8, XEN(XEN_ID, 1), 2, 3) },
	{ "Xen's leaf, at the last base", 5,
	  { LEAF(0x4000ff00, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e), LEAF(0x4000ff04, 8, 1, 2, 3) },
	  LEAF(0x4000ff04, 8, XEN(XEN_ID, 1), 2, 3) },
	{ "Xen's leaf, beyond the last base", 5,
	  { LEAF(0x40010000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e), LEAF(0x40010004, 8, 1, 2, 3) },
	  LEAF(0x40010004, 8, 1, 2, 3) },
	{ "Xen's leaf, base not a multiple of 0x100", 5,
	  { LEAF(0x40000080, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e), LEAF(0x40000084, 8, 1, 2, 3) },
	  LEAF(0x40000084, 8, 1, 2, 3) },
	{ "Xen's leaf of the first base counts", 5,
	  { LEAF(0x40000100, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e),
	    LEAF(0x40000200, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e), LEAF(0x40000204, 8, 1, 2, 3) },
	  LEAF(0x40000204, 8, 1, 2, 3) },
	{ "Xen's leaf without a vCPU ID", 5,
	  { LEAF(0x40000000, 1, 0x566e6558, 0x65584d4d, 0x4d4d566e), LEAF(0x40000004, 0x17, 1, 2, 3) },
	  LEAF(0x40000004, 0x17, 1, 2, 3) },
	{ "Xen's leaf without Xen", 5, { LEAF(0x40000004, 8, 1, 2, 3) }, LEAF(0x40000004, 8, 1, 2, 3) },
};

static void test_ids(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(id_cases); i++) {
		int nent = count_entries(id_cases[i].entries);
		struct kvm kvm = vm_with(id_cases[i].entries, nent);
		const entry_t *expected = &id_cases[i].expected;
		entry_t e = {};
		bool ok;

		ok = read_cpuid(kvm.arch.cpuid, expected->function, expected->index,
				id_cases[i].id, XEN_ID, &e) &&
		     !memcmp(&e, expected, sizeof(e));
		result(ok, "IDs: %s", id_cases[i].name);
		if (!ok) {
			print_entry("expected", expected);
			print_entry("is      ", &e);
		}
		free_cpuid(&kvm);
	}
}

/* Function of KVM's features, of Xen's base, and Xen's limit. */
static const struct {
	const char *name;
	u32 pv_features, xen_base, xen_limit;
	entry_t entries[MAX_ENTRIES];
} hypervisor_cases[] = {
	{ "none", 0, 0, 0, { EAX(1, 1) } },
	{ "features without a signature", 0, 0, 0, { LEAF(0x40000001, ONES) } },
	{ "KVM", 0x40000001, 0, 0,
	  { LEAF(0x40000000, 0, 0x4b4d564b, 0x564b4d56, 0x4d), EAX(0x40000001, 1) } },
	{ "KVM without features", 0, 0, 0,
	  { LEAF(0x40000000, 0, 0x4b4d564b, 0x564b4d56, 0x4d), EAX(0x40000002, 1) } },
	{ "KVM at another base", 0x40000101, 0, 0,
	  { LEAF(0x40000100, 0, 0x4b4d564b, 0x564b4d56, 0x4d), EAX(0x40000001, 1),
	    EAX(0x40000101, 1) } },
	{ "KVM at the last base", 0x4000ff01, 0, 0,
	  { LEAF(0x4000ff00, 0, 0x4b4d564b, 0x564b4d56, 0x4d), EAX(0x4000ff01, 1) } },
	{ "KVM beyond the last base", 0, 0, 0,
	  { LEAF(0x40010000, 0, 0x4b4d564b, 0x564b4d56, 0x4d), EAX(0x40010001, 1) } },
	{ "KVM, EBX is wrong", 0, 0, 0,
	  { LEAF(0x40000000, 0, 0x4b4d564a, 0x564b4d56, 0x4d), EAX(0x40000001, 1) } },
	{ "KVM, ECX is wrong", 0, 0, 0,
	  { LEAF(0x40000000, 0, 0x4b4d564b, 0x564b4d57, 0x4d), EAX(0x40000001, 1) } },
	{ "KVM, EDX is wrong", 0, 0, 0,
	  { LEAF(0x40000000, 0, 0x4b4d564b, 0x564b4d56, 0x0100004d), EAX(0x40000001, 1) } },
	{ "Xen", 0, 0x40000000, 0x40000004,
	  { LEAF(0x40000000, 0x40000004, 0x566e6558, 0x65584d4d, 0x4d4d566e) } },
	{ "Xen behind KVM", 0x40000001, 0x40000100, 0x40000105,
	  { LEAF(0x40000000, 0, 0x4b4d564b, 0x564b4d56, 0x4d), EAX(0x40000001, 1),
	    LEAF(0x40000100, 0x40000105, 0x566e6558, 0x65584d4d, 0x4d4d566e) } },
	{ "KVM behind Xen", 0x40000201, 0x40000000, 3,
	  { LEAF(0x40000000, 3, 0x566e6558, 0x65584d4d, 0x4d4d566e),
	    LEAF(0x40000200, 0, 0x4b4d564b, 0x564b4d56, 0x4d), EAX(0x40000201, 1) } },
};

static void test_hypervisors(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(hypervisor_cases); i++) {
		int nent = count_entries(hypervisor_cases[i].entries);
		struct kvm kvm = vm_with(hypervisor_cases[i].entries, nent);
		const struct kvm_vm_cpuid *table = kvm.arch.cpuid;
		const entry_t *pv = table->pv_features;

		result((pv ? pv->function : 0) == hypervisor_cases[i].pv_features &&
		       table->xen.base == hypervisor_cases[i].xen_base &&
		       table->xen.limit == hypervisor_cases[i].xen_limit &&
		       (!pv || kvm_vm_cpuid_computed(table, pv) == KVM_VM_CPUID_HAS_RUNTIME),
		       "hypervisor: %s", hypervisor_cases[i].name);
		free_cpuid(&kvm);
	}
}

/* Each function that matters to one of the two, in an entry with that EAX. */
static const struct {
	u32 function, index, eax;
	bool ids, runtime;
} kind_cases[] = {
	{ 0x0, 0, ~0u, false, false },
	{ 0x1, 0, 0, true, true },
	{ 0x1, 0, ~0u, true, true },
	{ 0x7, 0, 0, false, true },
	{ 0x7, 0, ~0u, false, true },
	{ 0x7, 1, ~0u, false, false },
	{ 0xb, 0, 0, true, false },
	{ 0xb, 0, ~0u, true, false },
	{ 0xb, 1, ~0u, true, false },
	{ 0xd, 0, 0, false, true },
	{ 0xd, 0, 0x3, false, true },
	{ 0xd, 1, 0x2, false, true },
	{ 0xd, 1, 0x8, false, true },
	{ 0xd, 1, 0x5, false, false },
	{ 0xd, 2, ~0u, false, false },
	{ 0x1f, 0, 0, true, false },
	{ 0x1f, 0, ~0u, true, false },
	{ 0x8000001e, 0, 0, true, false },
	{ 0x8000001e, 0, ~0u, true, false },
	{ 0x80000026, 0, 0, true, false },
	{ 0x80000026, 0, ~0u, true, false },
	{ 0x80000007, 0, ~0u, false, false },
};

static void test_kinds(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_cases); i++) {
		const entry_t entry = SUBLEAF(kind_cases[i].function, kind_cases[i].index,
					      kind_cases[i].eax, 0, 0, 0);
		struct kvm kvm = vm_with(&entry, 1);
		const struct kvm_vm_cpuid *table = kvm.arch.cpuid;

		u16 computed = kvm_vm_cpuid_computed(table, table->entries);

		result(!(computed & ~KVM_VM_CPUID_HAS_RUNTIME) != kind_cases[i].ids &&
		       !(computed & KVM_VM_CPUID_HAS_RUNTIME) != kind_cases[i].runtime,
		       "kind: 0x%x.%u, EAX 0x%x", entry.function, entry.index, entry.eax);
		free_cpuid(&kvm);
	}
}

/* Bit 50 is a dynamic xfeature of the shims only. */
#define AMX	(1u << 18)
#define BIT_50	(1u << (50 - 32))

static const entry_t two[] = { LEAF(0x0, 1, 2, 3, 4), LEAF(0x2, 5, 6, 7, 8) };
static const entry_t with_amx[] = { SUBLEAF(0xd, 0, AMX | 7, 0, 0, 0) };
static const entry_t with_amx_in_1[] = { SUBLEAF(0xd, 1, AMX, 0, AMX, AMX) };
static const entry_t with_bit_50[] = { SUBLEAF(0xd, 0, 7, 0, 0, BIT_50) };
static const entry_t with_all_others[] = { SUBLEAF(0xd, 0, ~AMX, ~0u, ~0u, ~BIT_50) };
static const entry_t second_bad[] = { LEAF(0x0, 1, 2, 3, 4), LEAF(0x0, 5, 6, 7, 8) };
static entry_t most[KVM_MAX_CPUID_ENTRIES + 1];
static entry_t functions[KVM_MAX_CPUID_ENTRIES];

static void create_vcpu(struct kvm *kvm)
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
	u32 nent_after;
} set_cases[] = {
	{ "two entries", two, 2, .nent_after = 2 },
	{ "one entry", two, 1, .nent_after = 1 },
	{ "no entry", two, 0, .r = -EINVAL, .nent_after = 0 },
	{ "256 entries", most, 256, .nent_after = 256 },
	{ "257 entries", most, 257, .r = -E2BIG, .nent_after = 256 },
	{ "0xffffffff entries", NULL, ~0u, .r = -E2BIG, .nent_after = 256 },
	{ "257 entries before padding", most, 257, 1, .r = -E2BIG, .nent_after = 256 },
	{ "padding", two, 2, 1, .r = -EINVAL, .nent_after = 2 },
	{ "padding, highest bit", two, 2, 1u << 31, .r = -EINVAL, .nent_after = 2 },
	{ "padding before a fault", two, 2, 1, { .fault = true }, .r = -EINVAL, .nent_after = 2 },
	{ "no entry before a fault", two, 0, 0, { .fault = true }, .r = -EINVAL },
	{ "second entry bad", second_bad, 2, .r = -EINVAL, .nent_after = 1 },
	{ "no memory", two, 2, 0, { .no_memory = true }, .r = -ENOMEM, .nent_after = 2 },
	{ "fault at once", two, 2, 0, { .fault = true }, .r = -EFAULT, .nent_after = 2 },
	{ "fault after an entry", two, 2, 0, { .fault = true, .fault_after = sizeof(*two) },
	  .r = -EFAULT, .nent_after = 2 },
	{ "fault in the last byte", two, 2, 0, { .fault = true, .fault_after = sizeof(two) - 1 },
	  .r = -EFAULT, .nent_after = 2 },
	{ "fault behind the last byte", two, 2, 0, { .fault = true, .fault_after = sizeof(two) },
	  .nent_after = 2 },
	{ "fault before a bad entry", second_bad, 2, 0, { .fault = true },
	  .r = -EFAULT, .nent_after = 2 },
	{ "AMX without permission", with_amx, 1, .r = -EPERM, .nent_after = 1 },
	{ "AMX with another's permission", with_amx, 1, 0, { .guest_perm = ~(u64)AMX },
	  .r = -EPERM, .nent_after = 1 },
	{ "AMX with permission", with_amx, 1, 0, { .guest_perm = AMX }, .nent_after = 1 },
	{ "bit 50 without permission", with_bit_50, 1, .r = -EPERM, .nent_after = 1 },
	{ "bit 50 with AMX's permission", with_bit_50, 1, 0, { .guest_perm = AMX },
	  .r = -EPERM, .nent_after = 1 },
	{ "bit 50 with permission", with_bit_50, 1, 0, { .guest_perm = 1ull << 50 },
	  .nent_after = 1 },
	{ "all that needs no permission", with_all_others, 1, .nent_after = 1 },
	{ "AMX's bit in 0xd.1", with_amx_in_1, 1, .nent_after = 1 },
	{ "AMX without permission before a vCPU", with_amx, 1, .created_vcpus = 1,
	  .r = -EPERM, .nent_after = 1 },
	{ "a vCPU", two, 2, .created_vcpus = 1, .r = -EBUSY, .nent_after = 2 },
	{ "many vCPUs", two, 2, .created_vcpus = 1024, .r = -EBUSY, .nent_after = 2 },
	{ "a vCPU while we wait", two, 2, 0, { .on_lock = create_vcpu },
	  .r = -EBUSY, .nent_after = 2 },
	{ "bad entry before a vCPU", second_bad, 2, .created_vcpus = 1,
	  .r = -EINVAL, .nent_after = 1 },
	{ "TDX", two, 2, .vm_type = KVM_X86_TDX_VM, .r = -ENOTTY, .nent_after = 2 },
	{ "TDX before all", two, 257, 1, .vm_type = KVM_X86_TDX_VM, .created_vcpus = 1,
	  .r = -ENOTTY, .nent_after = 257 },
};

/* On a VM without a table, and on one that keeps its table if this fails. */
static void test_set(bool has_old)
{
	for (size_t i = 0; i < ARRAY_SIZE(set_cases); i++) {
		u32 nent = set_cases[i].nent, padding = set_cases[i].padding;
		struct kvm_cpuid2 header = { nent, padding };
		struct kvm_vm_cpuid *old, *table;
		struct kvm kvm = {};
		size_t old_size = 0;
		void *copy = NULL;
		bool ok;

		if (has_old) {
			kvm = vm_with(find_entries, ARRAY_SIZE(find_entries));
			old_size = sizeof(*old) + sizeof(find_entries);
			copy = malloc(old_size);
			memcpy(copy, kvm.arch.cpuid, old_size);
		}
		old = kvm.arch.cpuid;
		kvm.arch.vm_type = set_cases[i].vm_type;
		kvm.created_vcpus = set_cases[i].created_vcpus;

		shim = set_cases[i].shim;
		shim.allocations = has_old;
		ok = set_cpuid(&kvm, set_cases[i].entries, &header) == set_cases[i].r &&
		     header.nent == set_cases[i].nent_after && header.padding == padding;

		table = kvm.arch.cpuid;
		if (set_cases[i].r)
			ok &= table == old && shim.allocations == has_old;
		else
			ok &= table && table != old && shim.allocations == 1 &&
			      table->nent == nent && shim.locks == 1;
		if (table == old && old)
			ok &= !memcmp(old, copy, old_size);

		result(ok, "set: %s%s", set_cases[i].name, has_old ? ", a table before" : "");

		free(copy);
		free_cpuid(&kvm);
		shim = (struct shim){};
	}
}

static const struct {
	const char *name;
	u32 nent, padding;
	struct shim shim;
	bool no_table;
	unsigned long vm_type;
	int r;
	u32 nent_after;
	int copied;
} get_cases[] = {
	{ "as many as there are", 2, .nent_after = 2, .copied = 2 },
	{ "more room", 100, .nent_after = 2, .copied = 2 },
	{ "more room than any table", ~0u, .nent_after = 2, .copied = 2 },
	{ "padding comes back zero", 2, 7, .nent_after = 2, .copied = 2 },
	{ "too small", 1, .r = -E2BIG, .nent_after = 2 },
	{ "asks for the size", 0, .r = -E2BIG, .nent_after = 2 },
	{ "too small before a fault", 1, 0, { .fault = true }, .r = -E2BIG, .nent_after = 2 },
	{ "fault", 2, 0, { .fault = true }, .r = -EFAULT, .nent_after = 2 },
	{ "fault in the last byte", 2, 0, { .fault = true, .fault_after = sizeof(two) - 1 },
	  .r = -EFAULT, .nent_after = 2, .copied = 1 },
	{ "no table", 2, .no_table = true, .r = -ENOENT, .nent_after = 2 },
	{ "no table, asks for the size", 0, .no_table = true, .r = -ENOENT, .nent_after = 0 },
	{ "TDX", 2, .vm_type = KVM_X86_TDX_VM, .r = -ENOTTY, .nent_after = 2 },
};

static void test_get(int created_vcpus)
{
	for (size_t i = 0; i < ARRAY_SIZE(get_cases); i++) {
		struct kvm_cpuid2 header = { get_cases[i].nent, get_cases[i].padding };
		bool written = get_cases[i].r != -ENOTTY && get_cases[i].r != -ENOENT;
		u32 padding = written ? 0 : get_cases[i].padding;
		int copied = get_cases[i].copied;
		entry_t out[ARRAY_SIZE(two) + 1];
		struct kvm kvm = {};
		bool ok;

		if (!get_cases[i].no_table)
			kvm = vm_with(two, ARRAY_SIZE(two));
		kvm.arch.vm_type = get_cases[i].vm_type;
		kvm.created_vcpus = created_vcpus;
		memset(out, 0xee, sizeof(out));

		shim = get_cases[i].shim;
		shim.allocations = !get_cases[i].no_table;
		ok = kvm_vm_ioctl_get_cpuid(&kvm, &header, out) == get_cases[i].r &&
		     header.nent == get_cases[i].nent_after && header.padding == padding &&
		     !kvm.lock.held && (get_cases[i].r == -ENOTTY || shim.locks == 1) &&
		     !memcmp(out, two, copied * sizeof(*two)) && out[2].function == 0xeeeeeeee;
		if (!copied)
			ok &= out[0].function == 0xeeeeeeee;

		result(ok, "get: %s%s", get_cases[i].name, created_vcpus ? ", with vCPUs" : "");

		free_cpuid(&kvm);
		shim = (struct shim){};
	}
}

/* The last table wins, until there is a vCPU. */
static void test_sequence(void)
{
	struct kvm_cpuid2 one = { .nent = 1 }, header = { .nent = 2 };
	struct kvm kvm = {};
	entry_t out[2];
	bool ok;

	ok = !set_cpuid(&kvm, two, &header) && !set_cpuid(&kvm, &two[1], &one) &&
	     !kvm_vm_ioctl_get_cpuid(&kvm, &header, out) && header.nent == 1 &&
	     !memcmp(out, &two[1], sizeof(*out)) && shim.allocations == 1;
	kvm.created_vcpus = 1;
	header.nent = 2;
	ok &= set_cpuid(&kvm, two, &header) == -EBUSY && kvm.arch.cpuid->nent == 1 &&
	      shim.allocations == 1;
	result(ok, "sequence: the last table wins");
	free_cpuid(&kvm);
}

static const char two_as_text[] =
	"   0x00000000 0x00: eax=0x00000001 ebx=0x00000002 ecx=0x00000003 edx=0x00000004\n"
	"   0x00000002 0x00: eax=0x00000005 ebx=0x00000006 ecx=0x00000007 edx=0x00000008\n";

static const struct {
	const char *name;
	const entry_t *entries;
	bool dying, no_seq_file;
	int r;
	const char *text;
} debugfs_cases[] = {
	{ "two entries", two, .text = two_as_text },
	{ "the VM is going away", two, .dying = true, .r = -ENOENT },
	{ "no memory", two, .no_seq_file = true, .r = -ENOMEM },
};

static void test_debugfs(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(debugfs_cases); i++) {
		struct kvm_cpuid2 header = { .nent = 2 };
		struct dentry dir = {};
		struct kvm kvm = { .debugfs_dentry = &dir };
		struct inode inode;
		struct file file = {};
		bool ok;
		int r;

		/* The file comes with the first table. */
		ok = set_cpuid(&kvm, second_bad, &header) && !dir.files;
		header.nent = 1;
		ok &= !set_cpuid(&kvm, two, &header) && dir.files == 1 &&
		      !strcmp(dir.name, "cpuid") && dir.mode == 0444;
		header.nent = 2;
		ok &= !set_cpuid(&kvm, debugfs_cases[i].entries, &header) && dir.files == 1;

		kvm.dying = debugfs_cases[i].dying;
		shim.no_seq_file = debugfs_cases[i].no_seq_file;

		inode.i_private = dir.data;
		r = dir.fops->open(&inode, &file);
		ok &= r == debugfs_cases[i].r && shim.references == !r;
		if (!r) {
			ok &= !dir.fops->read(&file) &&
			      !strcmp(file.seq->text, debugfs_cases[i].text) &&
			      !dir.fops->llseek(&file) && !dir.fops->release(&inode, &file);
		}
		result(ok && !shim.references && !kvm.lock.held, "debugfs: %s",
		       debugfs_cases[i].name);

		free_cpuid(&kvm);
		shim = (struct shim){};
	}
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
	{ "256 functions", functions, ARRAY_SIZE(functions) },
	{ "two", two, ARRAY_SIZE(two) },
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

	struct kvm_vcpu vcpu = { .arch.xen.vcpu_id = 0x12345678 };

	result(kvm_vcpu_xen_id(&vcpu) == XEN(0x12345678u, 0u), "reference: Xen's vCPU ID");
}

int main(void)
{
	/* Unsorted, and each entry another. */
	for (u32 i = 0; i < ARRAY_SIZE(most); i++)
		most[i] = (entry_t)SUBLEAF((i * 37 % 257) / 8, i * 37 % 257, i, ~i, i, ~i);

	/*
	 * In front of the entries is what is noted of them.  Were it taken for an entry,
	 * the second subleaf of entry 246's function would be 0x100, which is a function.
	 */
	for (u32 i = 0; i < ARRAY_SIZE(functions); i++)
		functions[i] = (entry_t)SUBLEAF(0x100 + i - (i == 247), i, ~i, i, ~i, i);

	printf("TAP version 13\n");
	test_check();
	test_canonical();
	test_find();
	test_ids();
	test_hypervisors();
	test_kinds();
	test_set(false);
	test_set(true);
	test_get(0);
	test_get(2);
	test_sequence();
	test_debugfs();
	test_whole_tables();
	result(!shim.allocations, "all memory is freed");
	printf("1..%d\n", tests);

	return failures ? 1 : 0;
}
