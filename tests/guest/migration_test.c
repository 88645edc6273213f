// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that a VM with a CPUID table can be migrated: what KVM_VM_GET_CPUID returns
 * goes to KVM_VM_SET_CPUID of a new VM, whose vCPUs then get the state of the old
 * VM's.  The guest, which never stops to look for a change, sees none.
 *
 * And a VMM can tell whether a target has the source's model, by memcmp(), before it
 * creates a vCPU.
 */
#include <pthread.h>

#include "util.h"

#define CR4_OSFXSR		BIT(9)
#define CR4_OSXSAVE		BIT(18)

#define NR_HOPS			4
#define MAX_VCPUS		4
#define NR_PASSES		3

#define CODE_GPA		GUEST_CODE_GPA
#define NR_PAGES		32

#define APIC_TIMER_COUNT	0x390

/* What a vCPU reads, and what it read first. */
struct input {
	u32 function;
	u32 index;
	u32 regs[4];
};

#define MAX_INPUTS		300
#define AREA_PAGES		2

struct area {
	u32 nr_inputs;
	u32 passes;
	u32 magic;
	u32 reserved;
	struct input inputs[MAX_INPUTS];
};

/*
 * EDI is the vCPU's area.  Passes are counted in memory and in ESP, which has no
 * other use, and a part of the area is in XMM7, so that state that gets lost is
 * noticed, too.  Flat 32-bit mode, as the other tests' guest.
 */
asm(".pushsection .rodata\n"
	".code32\n"
	"vm_cpuid_loop_start:\n"
	"	xor	%esp, %esp\n"
	"	movd	8(%edi), %xmm7\n"
	"	lea	16(%edi), %esi\n"
	"	mov	(%edi), %ebp\n"
	"1:	mov	(%esi), %eax\n"
	"	mov	4(%esi), %ecx\n"
	"	cpuid\n"
	"	mov	%eax, 8(%esi)\n"
	"	mov	%ebx, 12(%esi)\n"
	"	mov	%ecx, 16(%esi)\n"
	"	mov	%edx, 20(%esi)\n"
	"	add	$24, %esi\n"
	"	dec	%ebp\n"
	"	jnz	1b\n"
	"2:	lea	16(%edi), %esi\n"
	"	mov	(%edi), %ebp\n"
	"3:	mov	(%esi), %eax\n"
	"	mov	4(%esi), %ecx\n"
	"	cpuid\n"
	"	cmp	%eax, 8(%esi)\n"
	"	jne	4f\n"
	"	cmp	%ebx, 12(%esi)\n"
	"	jne	4f\n"
	"	cmp	%ecx, 16(%esi)\n"
	"	jne	4f\n"
	"	cmp	%edx, 20(%esi)\n"
	"	jne	4f\n"
	"	add	$24, %esi\n"
	"	dec	%ebp\n"
	"	jnz	3b\n"
	"	inc	%esp\n"
	"	incl	4(%edi)\n"
	"	cmp	%esp, 4(%edi)\n"
	"	jne	5f\n"
	"	movd	%xmm7, %eax\n"
	"	cmp	%eax, 8(%edi)\n"
	"	je	2b\n"
	"5:	out	%al, $0x81\n"
	"	jmp	5b\n"
	"4:	out	%al, $0x80\n"
	"	jmp	4b\n"
	"vm_cpuid_loop_end:\n"
	".code64\n"
	".popsection\n");

struct machine {
	struct kvm_vm *vm;
	int nr_vcpus;
	struct kvm_vcpu *vcpus[MAX_VCPUS];
	pthread_t threads[MAX_VCPUS];
};

static const u32 vcpu_ids[MAX_VCPUS] = { 0, 1, 300, 5 };

/* The last of several vCPUs waits for INIT forever. */
static bool is_running(const struct machine *m, int i)
{
	return i < 2 || i < m->nr_vcpus - 1;
}

static struct area *get_area(struct machine *m, int i)
{
	return addr_gpa2hva(m->vm, CODE_GPA + (1 + i * AREA_PAGES) * 4096);
}

static void create_machine(struct machine *m, const struct kvm_cpuid2 *table, int nr_vcpus)
{
	int i;

	m->vm = vm_create_barebones();
	vm_enable_cap(m->vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	vm_userspace_mem_region_add(m->vm, VM_MEM_SRC_ANONYMOUS, CODE_GPA, 0, NR_PAGES, 0);
	vm_set_cpuid(m->vm, table);
	m->nr_vcpus = nr_vcpus;
	for (i = 0; i < nr_vcpus; i++)
		m->vcpus[i] = __vm_vcpu_add(m->vm, vcpu_ids[i]);
}

/* Every vCPU in another state, as far as CPUID depends on it. */
static void init_vcpu(struct machine *m, int i)
{
	static const u64 xcr0[MAX_VCPUS] = { 1, 3, 7, 1 };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = xcr0[i] };
	struct kvm_vcpu *vcpu = m->vcpus[i];
	struct area *area = get_area(m, i);
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_cpuid2 *t;
	int j;

	guest_init(vcpu);
	vcpu_regs_get(vcpu, &regs);
	regs.rdi = CODE_GPA + (1 + i * AREA_PAGES) * 4096;
	vcpu_regs_set(vcpu, &regs);

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr4 |= CR4_OSFXSR;
	if (i)
		sregs.cr4 |= CR4_OSXSAVE;
	if (i == 1)
		sregs.apic_base &= ~BIT(11);
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_ioctl(vcpu, KVM_SET_XCRS, &xcrs);

	t = vcpu_get_cpuid2(vcpu);
	TEST_ASSERT(t->nent < MAX_INPUTS - 2, "Too many inputs");
	area->magic = 0x600d0000 + i;
	for (j = 0; j < t->nent; j++) {
		area->inputs[j].function = t->entries[j].function;
		area->inputs[j].index = t->entries[j].index;
	}
	/* An undefined subleaf, and what is out of range. */
	area->inputs[j++] = (struct input) { .function = 0xb, .index = 0x77 };
	area->inputs[j++] = (struct input) { .function = 0x7fffffff };
	area->nr_inputs = j;
	free(t);
}

static void on_signal(int sig)
{
}

static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	int r;

	do {
		r = __vcpu_run(vcpu);
	} while (r && errno == EINTR && !READ_ONCE(vcpu->run->immediate_exit));

	EXPECT(r && errno == EINTR, "vCPU %u exited with %u (%s), port 0x%x", vcpu->id,
	       vcpu->run->exit_reason, exit_reason_str(vcpu->run->exit_reason),
	       vcpu->run->exit_reason == KVM_EXIT_IO ? vcpu->run->io.port : 0);
	return NULL;
}

/* Let the guest run on all vCPUs at once, and stop it wherever it is then. */
static void run_machine(struct machine *m, int nr_passes)
{
	u32 target[MAX_VCPUS];
	int i;

	for (i = 0; i < m->nr_vcpus; i++) {
		if (!is_running(m, i))
			continue;
		target[i] = READ_ONCE(get_area(m, i)->passes) + nr_passes;
		m->vcpus[i]->run->immediate_exit = 0;
		TEST_ASSERT(!pthread_create(&m->threads[i], NULL, run_vcpu, m->vcpus[i]),
			    "pthread_create");
	}

	for (i = 0; i < m->nr_vcpus; i++) {
		while (is_running(m, i) && !READ_ONCE(nr_failures) &&
		       READ_ONCE(get_area(m, i)->passes) < target[i])
			usleep(1000);
	}

	for (i = 0; i < m->nr_vcpus; i++) {
		if (!is_running(m, i))
			continue;
		WRITE_ONCE(m->vcpus[i]->run->immediate_exit, 1);
		pthread_kill(m->threads[i], SIGUSR1);
	}
	for (i = 0; i < m->nr_vcpus; i++) {
		if (is_running(m, i))
			pthread_join(m->threads[i], NULL);
		m->vcpus[i]->run->immediate_exit = 0;
	}
}

static size_t table_size(const struct kvm_cpuid2 *t)
{
	return sizeof(*t) + t->nent * sizeof(t->entries[0]);
}

static bool is_same_table(const struct kvm_cpuid2 *a, const struct kvm_cpuid2 *b)
{
	return !memcmp(a, b, min(table_size(a), table_size(b)));
}

static void expect_same_vcpu(struct kvm_vcpu *from, struct kvm_vcpu *to)
{
	struct kvm_cpuid2 *old = vcpu_get_cpuid2(from), *new = vcpu_get_cpuid2(to);
	struct kvm_lapic_state lapic[2];
	struct kvm_mp_state mp_state[2];
	struct kvm_sregs sregs[2];
	struct kvm_regs regs[2];

	expect_table("KVM_GET_CPUID2", from->id, new, old);
	EXPECT(is_same_table(old, new), "vCPU %u: KVM_GET_CPUID2 differs", from->id);
	free(old);
	free(new);

	memset(sregs, 0, sizeof(sregs));
	vcpu_sregs_get(from, &sregs[0]);
	vcpu_sregs_get(to, &sregs[1]);
	EXPECT(!memcmp(&sregs[0], &sregs[1], sizeof(sregs[0])), "vCPU %u: sregs", from->id);

	vcpu_regs_get(from, &regs[0]);
	vcpu_regs_get(to, &regs[1]);
	EXPECT(!memcmp(&regs[0], &regs[1], sizeof(regs[0])), "vCPU %u: regs", from->id);

	vcpu_mp_state_get(from, &mp_state[0]);
	vcpu_mp_state_get(to, &mp_state[1]);
	EXPECT_U32("mp_state", mp_state[1].mp_state, mp_state[0].mp_state);

	vcpu_ioctl(from, KVM_GET_LAPIC, &lapic[0]);
	vcpu_ioctl(to, KVM_GET_LAPIC, &lapic[1]);
	memset(&lapic[0].regs[APIC_TIMER_COUNT], 0, 4);
	memset(&lapic[1].regs[APIC_TIMER_COUNT], 0, 4);
	EXPECT(!memcmp(&lapic[0], &lapic[1], sizeof(lapic[0])), "vCPU %u: LAPIC", from->id);
}

/* All that the target knows of the source is what ioctls returned, and memory. */
static void migrate(struct machine *from, struct machine *to)
{
	struct kvm_cpuid2 *table = get_table(from->vm), *seen;
	struct kvm_lapic_state lapic;
	struct kvm_x86_state *state;
	int i;

	create_machine(to, table, from->nr_vcpus);
	seen = get_table(to->vm);
	EXPECT(table->nent == seen->nent && is_same_table(table, seen),
	       "the target's table differs");
	free(seen);
	free(table);

	memcpy(addr_gpa2hva(to->vm, CODE_GPA), addr_gpa2hva(from->vm, CODE_GPA),
	       NR_PAGES * 4096);

	for (i = 0; i < from->nr_vcpus; i++) {
		state = vcpu_save_state(from->vcpus[i]);
		vcpu_ioctl(from->vcpus[i], KVM_GET_LAPIC, &lapic);
		vcpu_load_state(to->vcpus[i], state);
		vcpu_ioctl(to->vcpus[i], KVM_SET_LAPIC, &lapic);
		kvm_x86_state_cleanup(state);
		expect_same_vcpu(from->vcpus[i], to->vcpus[i]);
	}
}

/* What the guest compares with is what the first VM returned for the vCPU. */
static void expect_first_read(struct machine *m, int i, const struct kvm_cpuid2 *first)
{
	struct area *area = get_area(m, i);
	int j;

	for (j = 0; j < first->nent; j++) {
		struct kvm_cpuid_entry2 e = first->entries[j];

		EXPECT(e.eax == area->inputs[j].regs[0] && e.ebx == area->inputs[j].regs[1] &&
		       e.ecx == area->inputs[j].regs[2] && e.edx == area->inputs[j].regs[3],
		       "vCPU %u: 0x%x.0x%x isn't what KVM_GET_CPUID2 returned at first",
		       m->vcpus[i]->id, e.function, e.index);
	}
}

struct migration_case {
	const char *name;
	struct kvm_cpuid2 *(*table)(void);
	int nr_vcpus;
};

/* KVM_GET_CPUID2 returns what the guest reads, but for the invariant TSC with Hyper-V. */
static struct kvm_cpuid2 *hyperv_no_invtsc_table(void)
{
	struct kvm_cpuid2 *t = hyperv_table();

	cpuid_drop(t, 0x80000007, 0);
	return t;
}

static const struct migration_case migration_cases[] = {
	{ "migrate: KVM_GET_SUPPORTED_CPUID, 2 vCPUs", supported_table, 2 },
	{ "migrate: with topology leaves, 4 vCPUs", topology_table, 4 },
	{ "migrate: Intel's vendor, 3 vCPUs", intel_table, 3 },
	{ "migrate: with Hyper-V, 4 vCPUs", hyperv_no_invtsc_table, 4 },
};

static void run_migration_case(const void *row)
{
	const struct migration_case *c = row;
	struct kvm_cpuid2 *table = c->table(), *first[MAX_VCPUS];
	struct sigaction action = { .sa_handler = on_signal };
	struct machine machines[NR_HOPS + 1], *m = machines;
	struct kvm_cpuid2 *before, *after;
	u32 passes[MAX_VCPUS];
	int i, hop;

	sigaction(SIGUSR1, &action, NULL);

	create_machine(m, table, c->nr_vcpus);
	before = get_table(m->vm);
	memcpy(addr_gpa2hva(m->vm, CODE_GPA), vm_cpuid_loop_start,
	       vm_cpuid_loop_end - vm_cpuid_loop_start);
	for (i = 0; i < m->nr_vcpus; i++) {
		if (!is_running(m, i))
			continue;
		init_vcpu(m, i);
		first[i] = vcpu_get_cpuid2(m->vcpus[i]);
	}

	run_machine(m, NR_PASSES);
	for (hop = 0; hop < NR_HOPS && !nr_failures; hop++, m++) {
		for (i = 0; i < m->nr_vcpus; i++)
			passes[i] = get_area(m, i)->passes;
		migrate(m, m + 1);
		kvm_vm_free(m->vm);

		/* Not a single pass got lost, or was there twice. */
		for (i = 0; i < m->nr_vcpus; i++)
			EXPECT_U32("passes", get_area(m + 1, i)->passes, passes[i]);
		run_machine(m + 1, NR_PASSES);
	}
	for (i = 0; i < m->nr_vcpus; i++) {
		if (!is_running(m, i)) {
			EXPECT_U32("passes of a waiting vCPU", get_area(m, i)->passes, 0);
			continue;
		}
		expect_first_read(m, i, first[i]);
		ksft_print_msg("vCPU %u: %u passes of %u inputs in %d VMs\n", m->vcpus[i]->id,
			       get_area(m, i)->passes, get_area(m, i)->nr_inputs, hop + 1);
	}

	after = get_table(m->vm);
	EXPECT(before->nent == after->nent && is_same_table(before, after),
	       "the table isn't what it was");
}

/* A source and a target that have no vCPU yet, and never get one. */
static struct kvm_vm *source, *target;
static unsigned int nr_same, nr_different, nr_refused;

/* What a VMM does to find out, before it creates a vCPU on the target. */
static void expect_target(const char *what, const struct kvm_cpuid2 *table, bool same)
{
	struct kvm_cpuid2 *copy = cpuid_copy(table), *from, *to;
	int r = try_set_cpuid(target, copy);
	bool is_same;

	free(copy);
	if (r) {
		EXPECT(r == EINVAL && !same, "%s: KVM_VM_SET_CPUID: errno %d", what, r);
		nr_refused++;
		return;
	}

	from = get_table(source);
	to = get_table(target);
	is_same = from->nent == to->nent && is_same_table(from, to);
	EXPECT(is_same == same, "%s: the target is%s the same", what, is_same ? "" : "n't");
	if (is_same)
		nr_same++;
	else
		nr_different++;
	free(from);
	free(to);
}

static bool is_same_by_abi(const struct kvm_cpuid2 *a, const struct kvm_cpuid2 *b)
{
	struct kvm_cpuid2 *l = canonical(a), *r = canonical(b);
	bool same = l->nent == r->nent && is_same_table(l, r);

	free(l);
	free(r);
	return same;
}

static void init_targets(const struct kvm_cpuid2 *table)
{
	source = vm_create_barebones();
	target = vm_create_barebones();
	vm_set_cpuid(source, table);
}

static void report_targets(void)
{
	ksft_print_msg("%u targets were the same, %u differed, %u tables were refused\n",
		       nr_same, nr_different, nr_refused);
	EXPECT(nr_same + nr_different, "nothing was compared");
}

/* Order doesn't count, nor what is in fields that KVM computes. */
static void test_same(void)
{
	struct kvm_cpuid2 *table = topology_table(), *t;
	struct kvm_vcpu *vcpu;
	int i;

	init_targets(table);
	expect_target("the same table", table, true);

	t = cpuid_copy(table);
	shuffle(t);
	expect_target("in another order", t, true);
	free(t);

	t = get_table(source);
	expect_target("KVM_VM_GET_CPUID", t, true);
	free(t);

	for (i = 0; i < 300; i += 99) {
		t = expected_cpuid(table, i);
		expect_target("as KVM_SET_CPUID2 would need it", t, true);
		free(t);
	}

	/* The source has vCPUs, and has had them for long. */
	for (i = 0; i < ARRAY_SIZE(vcpu_ids); i++) {
		vcpu = __vm_vcpu_add(source, vcpu_ids[i]);
		t = vcpu_get_cpuid2(vcpu);
		expect_target("a vCPU's KVM_GET_CPUID2", t, true);
		free(t);
	}
	report_targets();
}

static void test_entries(void)
{
	struct kvm_cpuid2 *table = topology_table(), *t;
	int i;

	init_targets(table);
	for (i = 0; i < table->nent; i++) {
		t = cpuid_copy(table);
		t->entries[i] = t->entries[--t->nent];
		expect_target("an entry less", t, false);
		free(t);

		t = cpuid_copy(table);
		t->entries[i].function ^= 0x1000;
		expect_target("another function", t, false);
		free(t);

		t = cpuid_copy(table);
		t->entries[i].index ^= 0x1000;
		expect_target("another index", t, !(t->entries[i].flags & CPUID_INDEXED));
		free(t);

		t = cpuid_copy(table);
		t->entries[i].flags ^= CPUID_INDEXED;
		expect_target("another flag", t, false);
		free(t);
	}

	t = cpuid_copy(table);
	cpuid_put(t, (struct kvm_cpuid_entry2) { .function = 0x1234 });
	expect_target("an entry more", t, false);
	free(t);
	report_targets();
}

/* Which bits test_bits() compares: every Nth. */
static int bit_step = 1;

/* All bits of all registers of all entries, one at a time. */
static void test_bits(void)
{
	struct kvm_cpuid2 *table = topology_table(), *t;
	int i, reg, bit, nr = 0;
	char what[64];

	init_targets(table);
	for (i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *e = &table->entries[i];
		u32 *regs[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

		for (reg = 0; reg < ARRAY_SIZE(regs); reg++) {
			for (bit = 0; bit < 32; bit++) {
				/* AMX needs a permission that this process hasn't got. */
				if (e->function == 0xd && !reg && bit == 18)
					continue;
				if (nr++ % bit_step)
					continue;

				t = get_table(source);
				*regs[reg] ^= BIT(bit);
				snprintf(what, sizeof(what), "0x%x.0x%x E%cX[%d]", e->function,
					 e->index, "ABCD"[reg], bit);
				expect_target(what, table, is_same_by_abi(t, table));
				*regs[reg] ^= BIT(bit);
				free(t);
			}
		}
	}
	report_targets();
}

struct compare_case {
	const char *name;
	void (*run)(void);
};

static const struct compare_case compare_cases[] = {
	{ "compare: tables that are the same", test_same },
	{ "compare: entries that differ", test_entries },
	{ "compare: every bit", test_bits },
};

static void run_compare_case(const void *row)
{
	const struct compare_case *c = row;

	c->run();
}

static const struct case_set case_sets[] = {
	{ run_migration_case, migration_cases, sizeof(migration_cases[0]),
	  ARRAY_SIZE(migration_cases) },
	{ run_compare_case, compare_cases, sizeof(compare_cases[0]), ARRAY_SIZE(compare_cases) },
};

static void print_help(const char *name)
{
	printf("usage: %s [-b N] [-t TEXT]\n"
	       " -b  compare every Nth bit of the table only (default: 1, all)\n"
	       ONLY_CASES_HELP, name);
}

int main(int argc, char *argv[])
{
	int opt;

	setlinebuf(stdout);
	while ((opt = getopt(argc, argv, "hb:t:")) != -1) {
		if (opt == 'b')
			bit_step = atoi(optarg);
		else if (opt == 't')
			only_cases = optarg;
		if (opt == 'h' || opt == '?' || bit_step < 1) {
			print_help(argv[0]);
			exit(opt == 'h' ? 0 : 1);
		}
	}

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));

	ksft_print_header();
	run_cases(case_sets, ARRAY_SIZE(case_sets), NULL);
}
