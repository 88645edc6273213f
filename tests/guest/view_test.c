// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that a guest can't tell whether its vCPUs have the VM's CPUID table, by
 * KVM_VM_SET_CPUID, or one each, by KVM_SET_CPUID2, in which the VMM filled in the IDs.
 *
 * Two VMs, one of each kind, execute CPUID for the same inputs, in the same states.
 * Every register has to be the same, and so has what KVM_GET_CPUID2 returns.  The
 * expectation thus comes from the code that KVM has for a vCPU's own table; all that
 * the test knows is where the IDs go.
 */
#include <sys/mman.h>

#include "util.h"

#define DEFAULT_RANDOM_TABLES	8

#define CR4_OSXSAVE		BIT(18)
#define CR4_PKE			BIT(22)

#define MSR_HV_INVTSC_CONTROL	0x40000118

/*
 * System management mode has memory of its own, in KVM's second address space.
 * SMBASE is the architecture's default.
 */
#define SMBASE_GPA		0x30000
#define SMM_CODE_GPA		(SMBASE_GPA + 0x8000)
#define SMM_NR_PAGES		16
#define SMM_SLOT		((1 << 16) | 1)
#define SMM_OP_RSM		100

/* As the guest's code, in what SMM begins with: 16-bit code, flat segments. */
asm(".pushsection .rodata\n"
	".code16\n"
	"vm_cpuid_smm_start:\n"
	"	mov	$" __stringify(SMBASE_GPA) ", %esi\n"
	"1:	addr32 movl (%esi), %ebp\n"
	"	cmpl	$" __stringify(GUEST_OP_CPUID) ", %ebp\n"
	"	jne	2f\n"
	"	addr32 movl 4(%esi), %eax\n"
	"	addr32 movl 12(%esi), %ecx\n"
	"	cpuid\n"
	"	addr32 movl %eax, 4(%esi)\n"
	"	addr32 movl %ebx, 8(%esi)\n"
	"	addr32 movl %ecx, 12(%esi)\n"
	"	addr32 movl %edx, 16(%esi)\n"
	"	addl	$20, %esi\n"
	"	jmp	1b\n"
	"2:	cmpl	$" __stringify(GUEST_OP_DONE) ", %ebp\n"
	"	jne	3f\n"
	"	out	%al, $0x80\n"
	"	jmp	vm_cpuid_smm_start\n"
	"3:	rsm\n"
	"vm_cpuid_smm_end:\n"
	".code64\n"
	".popsection\n");

static int nr_ids;

static u64 seed;
static bool exhaustive, quick;

/* Over all cases, each of which is a process. */
static struct {
	u64 inputs;
	u64 views;
	u64 vcpus;
	u64 tables;
} *count;

/* Inputs: all functions, with many or with a few subleaves. */
struct input_set {
	int nr;
	struct kvm_cpuid_entry2 inputs[16384];
};

static struct input_set all_inputs, few_inputs;

static const struct {
	u32 first, last;
} function_ranges[] = {
	{ 0x0, 0x40 },
	{ 0x3fffffff, 0x40000010 },
	{ 0x40000100, 0x40000110 },
	{ 0x40000200, 0x40000205 },
	{ 0x4fffffff, 0x50000000 },
	{ 0x7fffffff, 0x80000030 },
	{ 0xbfffffff, 0xc0000005 },
	{ 0xffffffff, 0xffffffff },
};

static const u32 huge_indices[] = { 0xff, 0x100, 0x80000000, 0xffffffff };

#define MAX_INDEX	40
#define MAX_FEW_INDEX	2

static void add_input(struct input_set *set, u32 function, u32 index)
{
	TEST_ASSERT(set->nr < ARRAY_SIZE(set->inputs), "Too many inputs");
	set->inputs[set->nr].function = function;
	set->inputs[set->nr++].index = index;
}

static void init_inputs(void)
{
	u64 function;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(function_ranges); i++) {
		for (function = function_ranges[i].first; function <= function_ranges[i].last;
		     function++) {
			for (j = 0; j <= MAX_INDEX; j++)
				add_input(&all_inputs, function, j);
			for (j = 0; j <= MAX_FEW_INDEX; j++)
				add_input(&few_inputs, function, j);
			for (j = 0; j < ARRAY_SIZE(huge_indices); j++)
				add_input(&all_inputs, function, huge_indices[j]);
			add_input(&few_inputs, function, 0x100);
			add_input(&few_inputs, function, 0xffffffff);
		}
	}
}

struct twins {
	struct kvm_vm *vm[NR_TWINS];
	struct kvm_vcpu *vcpu[NR_TWINS];
	struct kvm_cpuid2 *canonical;
	bool in_smm;
};

static void create_vms(struct twins *t, const struct kvm_cpuid2 *table)
{
	create_twin_vms(t->vm, table, true);
	t->canonical = get_table(t->vm[UNDER_TABLE]);
	__sync_fetch_and_add(&count->tables, 1);
}

static void free_vms(struct twins *t)
{
	int i;

	for (i = 0; i < NR_TWINS; i++)
		kvm_vm_free(t->vm[i]);
	free(t->canonical);
}

static void create_vcpus(struct twins *t, u32 id)
{
	/* Any but the vCPU's own id; KVM accepts less than its maximum of vCPUs. */
	u32 xen_id = (id + 77) % kvm_check_cap(KVM_CAP_MAX_VCPUS);

	create_twins(t->vm, id, has_xen_vcpu_id() ? xen_id : NO_XEN_ID, t->canonical, t->vcpu);
	t->in_smm = false;
	__sync_fetch_and_add(&count->vcpus, 1);
}

static void smm_run(struct kvm_vcpu *vcpu, struct guest_op *ops, int nr)
{
	struct guest_op *mem = addr_gpa2hva(vcpu->vm, SMBASE_GPA);

	memcpy(mem, ops, nr * sizeof(*ops));
	mem[nr].op = GUEST_OP_DONE;
	vcpu_run(vcpu);
	TEST_ASSERT(vcpu->run->exit_reason == KVM_EXIT_IO, "vCPU %u exited with %u (%s)",
		    vcpu->id, vcpu->run->exit_reason, exit_reason_str(vcpu->run->exit_reason));
	memcpy(ops, mem, nr * sizeof(*ops));
}

/* Let the guest execute CPUID as often as need be. */
static void read_cpuid(struct twins *t, int i, struct kvm_cpuid_entry2 *entries, int nr)
{
	static struct guest_op ops[GUEST_MAX_OPS];
	int j, n;

	for (; nr; nr -= n, entries += n) {
		n = min_t(int, nr, ARRAY_SIZE(ops));
		for (j = 0; j < n; j++)
			ops[j] = (struct guest_op) {
				.op = GUEST_OP_CPUID,
				.eax = entries[j].function,
				.ecx = entries[j].index,
			};

		if (t->in_smm)
			smm_run(t->vcpu[i], ops, n);
		else
			guest_run(t->vcpu[i], ops, n);

		for (j = 0; j < n; j++) {
			entries[j].eax = ops[j].eax;
			entries[j].ebx = ops[j].ebx;
			entries[j].ecx = ops[j].ecx;
			entries[j].edx = ops[j].edx;
		}
	}
}

static void expect_same_view(struct twins *t, const struct input_set *set, const char *what)
{
	static struct input_set seen[NR_TWINS];
	char text[128];
	int i;

	snprintf(text, sizeof(text), "%s: guest and its twin", what);

	for (i = 0; i < NR_TWINS; i++) {
		seen[i] = *set;
		read_cpuid(t, i, seen[i].inputs, set->nr);
	}
	for (i = 0; i < set->nr; i++)
		expect_entry(text, t->vcpu[UNDER_TABLE]->id, &seen[UNDER_TABLE].inputs[i],
			     &seen[WITH_COPY].inputs[i]);

	__sync_fetch_and_add(&count->inputs, set->nr);
	__sync_fetch_and_add(&count->views, 1);
	expect_same_host(t->vcpu);
}

static const struct input_set *some_inputs(bool all)
{
	return (all && !quick) || exhaustive ? &all_inputs : &few_inputs;
}

static void drop_function(struct kvm_cpuid2 *t, u32 function)
{
	struct kvm_cpuid_entry2 *e;

	while ((e = cpuid_first(t, function)))
		*e = t->entries[--t->nent];
}

static struct kvm_cpuid2 *amd_table(void)
{
	return vendor_table("AuthenticAMD");
}

static struct kvm_cpuid2 *hygon_table(void)
{
	return vendor_table("HygonGenuine");
}

static struct kvm_cpuid2 *centaur_table(void)
{
	return vendor_table("CentaurHauls");
}

/* Basic functions end below those with IDs, which are out of range then. */
static struct kvm_cpuid2 *low_max_table(void)
{
	struct kvm_cpuid2 *t = intel_table();

	put_vendor(t, 0, 0xb, "GenuineIntel");
	drop_function(t, 0x1f);
	return t;
}

static void move_hypervisor(struct kvm_cpuid2 *t, u32 offset)
{
	int i;

	for (i = 0; i < t->nent; i++) {
		if (t->entries[i].function >> 8 == 0x400000)
			t->entries[i].function += offset;
	}
}

static struct kvm_cpuid2 *kvm_table(void)
{
	struct kvm_cpuid2 *t = topology_table();

	move_hypervisor(t, 0x100);
	return t;
}

static void put_xen(struct kvm_cpuid2 *t, u32 base)
{
	int i;

	put_vendor(t, base, base + 5, "XenVMMXenVMM");
	put_plain(t, base + 1, 0x40013);
	put_plain(t, base + 2, 1);
	for (i = 0; i < 3; i++)
		cpuid_put(t, (struct kvm_cpuid_entry2) {
			  base + 3, i, CPUID_INDEXED, 1, 2, 3, 4 });
	for (i = 0; i < 2; i++)
		cpuid_put(t, (struct kvm_cpuid_entry2) {
			  base + 4, i, CPUID_INDEXED, BIT_XEN_VCPU_ID | 1, 0xdead, 3, 4 });
}

static struct kvm_cpuid2 *xen_first_table(void)
{
	struct kvm_cpuid2 *t = topology_table();

	move_hypervisor(t, 0x100);
	put_xen(t, 0x40000000);
	return t;
}

static struct kvm_cpuid2 *xen_second_table(void)
{
	struct kvm_cpuid2 *t = topology_table();

	put_xen(t, 0x40000100);
	return t;
}

static struct kvm_cpuid2 *xen_no_id_table(void)
{
	struct kvm_cpuid2 *t = xen_second_table();

	cpuid_find(t, 0x40000104, 0)->eax &= ~BIT_XEN_VCPU_ID;
	return t;
}

static struct kvm_cpuid2 *subleaves_table(void)
{
	static const u32 functions[] = { 0xb, 0x1f, 0x80000026, 0x4 };
	struct kvm_cpuid2 *t = amd_table();
	u32 i;

	drop_function(t, 0x4);
	for (i = 3; t->nent < CPUID_MAX_ENTRIES; i++)
		cpuid_put(t, (struct kvm_cpuid_entry2) {
			  functions[i % ARRAY_SIZE(functions)], i / 4 + 1, CPUID_INDEXED,
			  i, i + 1, i + 2, i + 3 });
	return t;
}

struct view_case {
	const char *name;
	struct kvm_cpuid2 *(*table)(void);
	/* What the table is to lack; or if there is no table, all that it is to have. */
	u32 without;
	struct kvm_cpuid_entry2 only;
};

static const struct view_case view_cases[] = {
	{ "view: KVM_GET_SUPPORTED_CPUID", supported_table },
	{ "view: AMD's vendor", amd_table },
	{ "view: Intel's vendor", intel_table },
	{ "view: Intel's vendor, basic functions up to 0xB", low_max_table },
	{ "view: Hygon's vendor", hygon_table },
	{ "view: Centaur's vendor", centaur_table },
	{ "view: KVM's leaves at 0x40000100", kvm_table },
	{ "view: Hyper-V's leaves, then KVM's", hyperv_table },
	{ "view: Xen's leaves, then KVM's", xen_first_table },
	{ "view: KVM's leaves, then Xen's", xen_second_table },
	{ "view: Xen's leaves, one without a vCPU id", xen_no_id_table },
	{ "view: without 0x1", intel_table, .without = 0x1 },
	{ "view: without 0xB", intel_table, .without = 0xb },
	{ "view: without 0x1F", intel_table, .without = 0x1f },
	{ "view: without 0x80000008", intel_table, .without = 0x80000008 },
	{ "view: without 0x8000001E", intel_table, .without = 0x8000001e },
	{ "view: without 0x80000026", intel_table, .without = 0x80000026 },
	{ "view: only 0x1", .only = { 0x1, 0, 0, 1, 2, 3, 4 } },
	{ "view: only 0xB.1", .only = { 0xb, 1, CPUID_INDEXED, 1, 2, 3, 4 } },
	{ "view: only 0x1F, without an index", .only = { 0x1f, 7, 0, 1, 2, 3, 4 } },
	{ "view: only 0x8000001E", .only = { 0x8000001e, 0, 0, 1, 2, 3, 4 } },
	{ "view: 256 entries", subleaves_table },
};

/* All inputs for one of the vCPUs, which is another one for each table. */
static void run_view_case(const void *row)
{
	const struct view_case *c = row;
	int i, which = (c - view_cases) % nr_ids;
	struct kvm_cpuid2 *table;
	struct twins t;

	table = c->table ? c->table() : cpuid_alloc();
	if (c->without)
		drop_function(table, c->without);
	if (!c->table)
		cpuid_put(table, c->only);

	create_vms(&t, table);
	for (i = 0; i < nr_ids; i++) {
		if (quick && i != which)
			continue;
		create_vcpus(&t, all_ids[i]);
		expect_same_view(&t, some_inputs(i == which), "new vCPU");
	}
	free_vms(&t);
	free(table);
}

/* All features, and all fields that KVM computes. */
static struct kvm_cpuid2 *state_table(void)
{
	struct kvm_cpuid2 *t = amd_table();

	if (cpuid_find(t, 0x1, 0))
		cpuid_find(t, 0x1, 0)->ecx |= BIT_MWAIT;
	return t;
}

static void need_feature(struct twins *t, u32 function, u32 index, int reg, u32 bit)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(t->canonical, function, index);

	if (!e || !(cpuid_reg(e, reg) & bit))
		skip_case("feature isn't supported");
}

static void both_write(struct twins *t, u32 op, u32 ecx, u64 value)
{
	int i;

	for (i = 0; i < NR_TWINS; i++)
		guest_write(t->vcpu[i], op, ecx, value);
}

/* Changes that the host makes may be refused, but then to both. */
static int both_ioctl(struct twins *t, const char *what, unsigned long cmd, void *arg)
{
	int i, r[NR_TWINS];

	for (i = 0; i < NR_TWINS; i++)
		r[i] = ioctl(t->vcpu[i]->fd, cmd, arg);
	EXPECT(r[0] == r[1], "%s: %d and %d", what, r[0], r[1]);
	return r[0];
}

static int both_set_msr(struct twins *t, u32 index, u64 value)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = index, .data = value } };

	return both_ioctl(t, "KVM_SET_MSRS", KVM_SET_MSRS, &msrs);
}

static int both_set_xcr0(struct twins *t, u64 value)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = value };

	return both_ioctl(t, "KVM_SET_XCRS", KVM_SET_XCRS, &xcrs);
}

static void expect_same_in_state(struct twins *t, const char *what)
{
	expect_same_view(t, some_inputs(false), what);
}

static void expect_bit(struct twins *t, u32 function, u32 index, int reg, u32 bit, bool value)
{
	struct kvm_cpuid_entry2 e = { .function = function, .index = index };

	read_cpuid(t, UNDER_TABLE, &e, 1);
	EXPECT(!(cpuid_reg(&e, reg) & bit) == !value, "0x%x.0x%x E%cX: bit 0x%x isn't %d",
	       function, index, "ABCD"[reg], bit, value);
}

/* A state that isn't seen to change would be no test. */
static void change_cr4(struct twins *t)
{
	int i;

	need_feature(t, 0x1, 0, KVM_CPUID_ECX, BIT_XSAVE);
	for (i = 0; i < 3; i++) {
		both_write(t, GUEST_OP_SET_CR4, 0, i & 1 ? 0 : CR4_OSXSAVE);
		expect_bit(t, 0x1, 0, KVM_CPUID_ECX, BIT_OSXSAVE, !(i & 1));
		expect_same_in_state(t, i & 1 ? "OSXSAVE off" : "OSXSAVE on");
	}
}

static void change_pke(struct twins *t)
{
	int i;

	need_feature(t, 0x7, 0, KVM_CPUID_ECX, BIT_PKU);
	for (i = 0; i < 3; i++) {
		both_write(t, GUEST_OP_SET_CR4, 0, i & 1 ? 0 : CR4_PKE);
		expect_bit(t, 0x7, 0, KVM_CPUID_ECX, BIT_OSPKE, !(i & 1));
		expect_same_in_state(t, i & 1 ? "PKE off" : "PKE on");
	}
}

/* The host writes XCR0, as QEMU's TCG doesn't intercept XSETBV. */
static void change_xcr0(struct twins *t)
{
	static const u64 values[] = { 3, 7, 0x207, 0xe7, 0x2e7, 1 };
	char text[64];
	int i, nr = 0;

	need_feature(t, 0x1, 0, KVM_CPUID_ECX, BIT_XSAVE);
	both_write(t, GUEST_OP_SET_CR4, 0, CR4_OSXSAVE);
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		if (both_set_xcr0(t, values[i]))
			continue;
		snprintf(text, sizeof(text), "XCR0 0x%llx", (unsigned long long)values[i]);
		expect_same_in_state(t, text);
		nr++;
	}
	EXPECT(nr > 1, "XCR0 couldn't be changed");
}

static void change_xss(struct twins *t)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(t->canonical, 0xd, 1);
	char text[64];
	int i, nr = 0;

	need_feature(t, 0xd, 1, KVM_CPUID_EAX, BIT_XSAVES);
	for (i = 0; i < 32; i++) {
		if (!(e->ecx & BIT(i)) || both_set_msr(t, MSR_IA32_XSS, BIT(i)) != 1)
			continue;
		snprintf(text, sizeof(text), "IA32_XSS 0x%lx", BIT(i));
		expect_same_in_state(t, text);
		nr++;
	}
	if (!nr)
		skip_case("no supervisor state");
}

static void change_apic(struct twins *t)
{
	u64 base = vcpu_get_msr(t->vcpu[UNDER_TABLE], MSR_IA32_APICBASE);
	int i;

	for (i = 0; i < 3; i++) {
		both_write(t, GUEST_OP_WRMSR, MSR_IA32_APICBASE, i & 1 ? base : base & ~BIT(11));
		expect_bit(t, 0x1, 0, KVM_CPUID_EDX, BIT_APIC, i & 1);
		expect_same_in_state(t, i & 1 ? "APIC on" : "APIC off");
	}
}

static void change_mwait(struct twins *t)
{
	u64 value = vcpu_get_msr(t->vcpu[UNDER_TABLE], MSR_IA32_MISC_ENABLE);
	int i;

	need_feature(t, 0x1, 0, KVM_CPUID_ECX, BIT_SSE3);
	for (i = 0; i < 4; i++) {
		if (i & 1)
			value |= MSR_IA32_MISC_ENABLE_MWAIT;
		else
			value &= ~MSR_IA32_MISC_ENABLE_MWAIT;
		both_write(t, GUEST_OP_WRMSR, MSR_IA32_MISC_ENABLE, value);
		expect_bit(t, 0x1, 0, KVM_CPUID_ECX, BIT_MWAIT, i & 1);
		expect_same_in_state(t, i & 1 ? "MWAIT on" : "MWAIT off");
	}
}

/* With the quirk, MWAIT is the table's. */
static void change_mwait_in_vain(struct twins *t)
{
	u64 value = vcpu_get_msr(t->vcpu[UNDER_TABLE], MSR_IA32_MISC_ENABLE);
	const struct kvm_cpuid_entry2 *e = cpuid_find(t->canonical, 0x1, 0);
	int i;

	need_feature(t, 0x1, 0, KVM_CPUID_ECX, BIT_SSE3);
	for (i = 0; i < 2; i++) {
		value ^= MSR_IA32_MISC_ENABLE_MWAIT;
		both_write(t, GUEST_OP_WRMSR, MSR_IA32_MISC_ENABLE, value);
		expect_bit(t, 0x1, 0, KVM_CPUID_ECX, BIT_MWAIT, e->ecx & BIT_MWAIT);
		expect_same_in_state(t, "MWAIT with the quirk");
	}
}

/* How MONITOR ends: #UD is a triple fault. */
static u32 run_monitor(struct kvm_vcpu *vcpu)
{
	struct guest_op *ops = addr_gpa2hva(vcpu->vm, GUEST_OPS_GPA);
	struct kvm_regs regs;

	ops[0] = (struct guest_op) { .op = GUEST_OP_MONITOR, .eax = GUEST_OPS_GPA };
	ops[1].op = GUEST_OP_DONE;

	/* The vCPU may be where the last one ended. */
	guest_init(vcpu);
	vcpu_regs_get(vcpu, &regs);
	regs.rip = GUEST_CODE_GPA;
	vcpu_regs_set(vcpu, &regs);

	vcpu_run(vcpu);
	return vcpu->run->exit_reason;
}

/* KVM itself must go by what the guest reads. */
static void change_monitor(struct twins *t)
{
	u64 value = vcpu_get_msr(t->vcpu[UNDER_TABLE], MSR_IA32_MISC_ENABLE);
	u32 expected, reason;
	int i, twin;

	need_feature(t, 0x1, 0, KVM_CPUID_ECX, BIT_SSE3);
	for (i = 0; i < 4; i++) {
		if (i & 1)
			value |= MSR_IA32_MISC_ENABLE_MWAIT;
		else
			value &= ~MSR_IA32_MISC_ENABLE_MWAIT;
		both_set_msr(t, MSR_IA32_MISC_ENABLE, value);

		expected = i & 1 ? KVM_EXIT_IO : KVM_EXIT_SHUTDOWN;
		for (twin = 0; twin < NR_TWINS; twin++) {
			reason = run_monitor(t->vcpu[twin]);
			EXPECT(reason == expected, "twin %d, MWAIT %s: MONITOR exits with %u (%s)",
			       twin, i & 1 ? "on" : "off", reason, exit_reason_str(reason));
		}
	}
}

static void change_tsx_ctrl(struct twins *t)
{
	int i;

	need_feature(t, 0x7, 0, KVM_CPUID_EBX, BIT_RTM);
	if (!(vcpu_get_msr(t->vcpu[UNDER_TABLE], MSR_IA32_ARCH_CAPABILITIES) &
	      ARCH_CAP_TSX_CTRL_MSR))
		skip_case("no TSX_CTRL");
	for (i = 0; i < 3; i++) {
		both_write(t, GUEST_OP_WRMSR, MSR_IA32_TSX_CTRL,
			   i & 1 ? 0 : TSX_CTRL_CPUID_CLEAR);
		expect_bit(t, 0x7, 0, KVM_CPUID_EBX, BIT_RTM, i & 1);
		expect_same_in_state(t, i & 1 ? "TSX on" : "TSX hidden");
	}
}

static struct kvm_cpuid2 *hv_invtsc_table(void)
{
	struct kvm_cpuid2 *t = hyperv_table();

	if (!(cpuid_find(t, 0x40000003, 0)->eax & BIT_HV_INVTSC))
		skip_case("no Hyper-V control of the invariant TSC");
	cpuid_put(t, (struct kvm_cpuid_entry2) { .function = 0x80000007, .edx = BIT_INVTSC });
	return t;
}

static void change_hv_invtsc(struct twins *t)
{
	expect_bit(t, 0x80000007, 0, KVM_CPUID_EDX, BIT_INVTSC, !hyperv_hides_invtsc());
	both_write(t, GUEST_OP_WRMSR, MSR_HV_INVTSC_CONTROL, 1);
	expect_bit(t, 0x80000007, 0, KVM_CPUID_EDX, BIT_INVTSC, true);
	expect_same_in_state(t, "Hyper-V's invariant TSC");
}

/* Older kernels hide PV_UNHALT when something else that CPUID shows changes. */
static void change_any(struct twins *t)
{
	need_feature(t, 0x40000001, 0, KVM_CPUID_EAX, BIT_PV_UNHALT);
	change_apic(t);
	expect_bit(t, 0x40000001, 0, KVM_CPUID_EAX, BIT_PV_UNHALT, false);
}

/* To enter SMM clears CR4, and to leave it restores CR4. */
static void enter_smm(struct twins *t)
{
	struct guest_op rsm = { .op = SMM_OP_RSM };
	struct kvm_vcpu_events events;
	struct guest_op *ops;
	int i, round;

	if (!kvm_has_cap(KVM_CAP_X86_SMM))
		skip_case("no SMM");
	need_feature(t, 0x1, 0, KVM_CPUID_ECX, BIT_XSAVE);

	for (i = 0; i < NR_TWINS; i++) {
		vm_userspace_mem_region_add(t->vm[i], VM_MEM_SRC_ANONYMOUS, SMBASE_GPA,
					    SMM_SLOT, SMM_NR_PAGES, 0);
		memcpy(addr_gpa2hva(t->vm[i], SMM_CODE_GPA), vm_cpuid_smm_start,
		       vm_cpuid_smm_end - vm_cpuid_smm_start);
	}
	both_write(t, GUEST_OP_SET_CR4, 0, CR4_OSXSAVE);

	for (round = 0; round < 2; round++) {
		expect_bit(t, 0x1, 0, KVM_CPUID_ECX, BIT_OSXSAVE, true);
		for (i = 0; i < NR_TWINS; i++)
			vcpu_ioctl(t->vcpu[i], KVM_SMI, NULL);
		t->in_smm = true;
		for (i = 0; i < NR_TWINS; i++) {
			smm_run(t->vcpu[i], NULL, 0);
			vcpu_events_get(t->vcpu[i], &events);
			EXPECT(events.smi.smm, "not in SMM");
		}
		expect_bit(t, 0x1, 0, KVM_CPUID_ECX, BIT_OSXSAVE, false);
		expect_same_in_state(t, "in SMM");

		for (i = 0; i < NR_TWINS; i++) {
			ops = addr_gpa2hva(t->vm[i], GUEST_OPS_GPA);
			ops[0].op = GUEST_OP_DONE;
			smm_run(t->vcpu[i], &rsm, 1);
			vcpu_events_get(t->vcpu[i], &events);
			EXPECT(!events.smi.smm, "still in SMM");
		}
		t->in_smm = false;
		expect_bit(t, 0x1, 0, KVM_CPUID_ECX, BIT_OSXSAVE, true);
		expect_same_in_state(t, "after SMM");
	}
}

/* INIT clears CR4, but neither XCR0 nor the local APIC's base. */
static void get_init(struct twins *t)
{
	/* To all local APICs. */
	struct kvm_msi init = { .address_lo = 0xfeeff000, .data = 5 << 8 };
	struct kvm_mp_state mp_state;
	struct kvm_sregs sregs;
	int i;

	need_feature(t, 0x1, 0, KVM_CPUID_ECX, BIT_XSAVE);
	both_write(t, GUEST_OP_SET_CR4, 0, CR4_OSXSAVE);
	both_set_xcr0(t, 3);
	expect_same_in_state(t, "before INIT");

	for (i = 0; i < NR_TWINS; i++) {
		EXPECT(__vm_ioctl(t->vm[i], KVM_SIGNAL_MSI, &init) > 0, "INIT wasn't delivered");
		/* This is also what makes it happen. */
		vcpu_mp_state_get(t->vcpu[i], &mp_state);
		EXPECT(t->vcpu[i]->id ? mp_state.mp_state == KVM_MP_STATE_INIT_RECEIVED :
		       mp_state.mp_state == KVM_MP_STATE_RUNNABLE, "state after INIT: %u",
		       mp_state.mp_state);
		vcpu_sregs_get(t->vcpu[i], &sregs);
		EXPECT(!sregs.cr4 && !(sregs.cr0 & X86_CR0_PE), "no INIT");
	}
	expect_bit(t, 0x1, 0, KVM_CPUID_ECX, BIT_OSXSAVE, false);
	expect_same_in_state(t, "after INIT");
	both_write(t, GUEST_OP_SET_CR4, 0, CR4_OSXSAVE);
	expect_same_in_state(t, "OSXSAVE after INIT");
}

struct state_case {
	const char *name;
	struct kvm_cpuid2 *(*table)(void);
	void (*change)(struct twins *t);
	u64 disabled_quirks;
	u64 disabled_exits;
};

static const struct state_case state_cases[] = {
	{ "state: CR4.OSXSAVE", state_table, change_cr4 },
	{ "state: CR4.PKE", state_table, change_pke },
	{ "state: XCR0", state_table, change_xcr0 },
	{ "state: IA32_XSS", state_table, change_xss },
	{ "state: local APIC off and on", state_table, change_apic },
	{ "state: MISC_ENABLE's MWAIT", state_table, change_mwait,
	  KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT },
	{ "state: MISC_ENABLE's MWAIT, with the quirk", state_table, change_mwait_in_vain },
	{ "state: MISC_ENABLE's MWAIT, with the quirk, not in the table", amd_table,
	  change_mwait_in_vain },
	{ "state: MONITOR faults without MWAIT", state_table, change_monitor,
	  KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS },
	{ "state: TSX_CTRL", state_table, change_tsx_ctrl },
	{ "state: Hyper-V's invariant TSC", hv_invtsc_table, change_hv_invtsc },
	{ "state: HLT doesn't exit", state_table, change_any, 0, KVM_X86_DISABLE_EXITS_HLT },
	{ "state: SMM", state_table, enter_smm },
	{ "state: INIT", state_table, get_init },
};

static void disable(struct twins *t, u64 quirks, u64 exits)
{
	int i;

	for (i = 0; i < NR_TWINS; i++) {
		if (quirks)
			vm_enable_cap(t->vm[i], KVM_CAP_DISABLE_QUIRKS2, quirks);
		if (exits)
			vm_enable_cap(t->vm[i], KVM_CAP_X86_DISABLE_EXITS, exits);
	}
}

static void run_state_case(const void *row)
{
	static const u32 ids[] = { 300, 0 };
	const struct state_case *c = row;
	struct kvm_cpuid2 *table;
	struct twins t;
	int i;

	if (c->disabled_exits & ~kvm_check_cap(KVM_CAP_X86_DISABLE_EXITS))
		skip_case("can't be disabled");

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		if (ids[i] >= kvm_check_cap(KVM_CAP_MAX_VCPU_ID))
			continue;
		/* VMs of their own, as INIT is sent to all, and Hyper-V's MSR is the VM's. */
		table = c->table();
		create_vms(&t, table);
		disable(&t, c->disabled_quirks, c->disabled_exits);
		create_vcpus(&t, ids[i]);
		expect_same_view(&t, some_inputs(false), "new vCPU");
		c->change(&t);
		free_vms(&t);
		free(table);
		if (quick)
			break;
	}
}

static u32 random_function(void)
{
	/* Those that KVM looks at, or that end a class. */
	static const u32 functions[] = {
		0x0, 0x1, 0x2, 0x4, 0x5, 0x6, 0x7, 0xa, 0xb, 0xd, 0xf, 0x12, 0x14, 0x15, 0x1c,
		0x1d, 0x1e, 0x1f, 0x20, 0x24, 0x40, 0x3fffffff, 0x40000000, 0x40000001,
		0x40000002, 0x40000003, 0x40000004, 0x40000005, 0x4000000a, 0x40000010,
		0x40000100, 0x40000101, 0x40000103, 0x40000104, 0x40000200, 0x40000201,
		0x40000204, 0x4fffffff, 0x50000000, 0x7fffffff, 0x80000000, 0x80000001,
		0x80000002, 0x80000007, 0x80000008, 0x8000000a, 0x8000001d, 0x8000001e,
		0x8000001f, 0x80000020, 0x80000021, 0x80000022, 0x80000026, 0x80000030,
		0xbfffffff, 0xc0000000, 0xc0000001, 0xc0000004, 0xc0000005, 0xffffffff,
	};
	static const u32 computed[] = {
		0x1, 0x7, 0xb, 0xd, 0x1f, 0x80000008, 0x8000001e, 0x80000026,
	};

	if (!random_below(3))
		return computed[random_below(ARRAY_SIZE(computed))];
	return functions[random_below(ARRAY_SIZE(functions))];
}

static u32 random_index(void)
{
	switch (random_below(8)) {
	case 0:
		return random_below(MAX_INDEX + 1);
	case 1:
		return huge_indices[random_below(ARRAY_SIZE(huge_indices))];
	default:
		return random_below(4);
	}
}

/* What makes KVM recognize something, and lets the guest run. */
static void fix_random_entry(struct kvm_cpuid_entry2 *e)
{
	static const char * const vendors[] = {
		"AuthenticAMD", "GenuineIntel", "HygonGenuine", "CentaurHauls",
	};
	static const char * const hypervisors[] = {
		"KVMKVMKVM\0\0", "XenVMMXenVMM", "XenVMMXenVMM", "Microsoft Hv",
	};
	const char *v = vendors[random_below(ARRAY_SIZE(vendors))];
	const char *h = hypervisors[random_below(ARRAY_SIZE(hypervisors))];

	switch (e->function) {
	case 0x0:
		e->eax = random_below(0x21);
		memcpy(&e->ebx, v, 4);
		memcpy(&e->edx, v + 4, 4);
		memcpy(&e->ecx, v + 8, 4);
		break;
	case 0x40000000:
	case 0x40000100:
	case 0x40000200:
		e->eax = e->function + random_below(8);
		memcpy(&e->ebx, h, 4);
		memcpy(&e->ecx, h + 4, 4);
		memcpy(&e->edx, h + 8, 4);
		break;
	case 0xd:
		/* Random bits may be AMX state, which isn't everybody's. */
		e->eax &= 0x2ff;
		e->edx = 0;
		break;
	case 0x80000000:
	case 0xc0000000:
		e->eax = e->function + random_below(0x31);
		break;
	case 0x80000008:
		e->eax = (random_below(2) ? 0x3000 : 0) | (random_below(2) ? 36 : 40);
		break;
	}
}

/* Valid by construction: one entry per function, or all with an index of their own. */
static struct kvm_cpuid2 *random_table(void)
{
	struct kvm_cpuid2 *t = random_below(4) ? cpuid_alloc() : state_table();
	static const u32 sizes[] = { 1, 4, 16, 64, 128, CPUID_MAX_ENTRIES };
	u32 tries, nent = sizes[random_below(ARRAY_SIZE(sizes))];
	struct kvm_cpuid_entry2 *clash, e;

	for (tries = 0; t->nent < nent && tries < 2000; tries++) {
		e = (struct kvm_cpuid_entry2) {
			.function = random_function(),
			.index = random_index(),
			.eax = random_value(),
			.ebx = random_value(),
			.ecx = random_value(),
			.edx = random_value(),
		};

		clash = cpuid_first(t, e.function);
		if (clash ? clash->flags & CPUID_INDEXED : random_below(4))
			e.flags = CPUID_INDEXED;
		if (clash && (!e.flags || cpuid_find(t, e.function, e.index)))
			continue;

		fix_random_entry(&e);
		t->entries[t->nent++] = e;
	}

	shuffle(t);
	return t;
}

/* By the host, since the guest would die of what the table doesn't allow. */
static void random_change(struct twins *t)
{
	static const u64 xcr0[] = { 1, 3, 7, 0x207, 0xe7 };
	static const u64 xss[] = { 0, 0x100, 0x800, 0x1800 };
	struct kvm_sregs sregs;

	vcpu_sregs_get(t->vcpu[UNDER_TABLE], &sregs);
	sregs.cr4 ^= random_below(2) ? CR4_OSXSAVE : 0;
	sregs.cr4 ^= random_below(2) ? CR4_PKE : 0;
	sregs.apic_base ^= random_below(2) ? BIT(11) : 0;
	/* All of it is refused if one is. */
	if (both_ioctl(t, "KVM_SET_SREGS", KVM_SET_SREGS, &sregs)) {
		sregs.cr4 &= ~CR4_PKE;
		both_ioctl(t, "KVM_SET_SREGS", KVM_SET_SREGS, &sregs);
	}

	both_set_xcr0(t, xcr0[random_below(ARRAY_SIZE(xcr0))]);
	both_set_msr(t, MSR_IA32_XSS, xss[random_below(ARRAY_SIZE(xss))]);
	both_set_msr(t, MSR_IA32_TSX_CTRL, random_below(4));
	both_set_msr(t, MSR_IA32_MISC_ENABLE, random_below(2) ? MSR_IA32_MISC_ENABLE_MWAIT : 0);
}

static u32 random_id(void)
{
	if (random_below(2))
		return all_ids[random_below(nr_ids)];
	return random_below(kvm_check_cap(KVM_CAP_MAX_VCPU_ID));
}

struct random_case {
	const char *name;
	u64 seed;
};

static void run_random_case(const void *row)
{
	const struct random_case *c = row;
	struct kvm_cpuid2 *table;
	u32 id[2], exits;
	struct twins t;
	int i, j;

	random_state = c->seed;
	table = random_table();
	id[0] = random_id();
	do {
		id[1] = random_id();
	} while (id[1] == id[0]);

	exits = kvm_check_cap(KVM_CAP_X86_DISABLE_EXITS) & KVM_X86_DISABLE_EXITS_HLT;
	create_vms(&t, table);
	disable(&t, random_below(2) ? KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT : 0,
		random_below(2) ? exits : 0);

	for (i = 0; i < ARRAY_SIZE(id); i++) {
		create_vcpus(&t, id[i]);
		expect_same_view(&t, some_inputs(!i), "random");
		for (j = 0; j < 2; j++) {
			random_change(&t);
			expect_same_view(&t, some_inputs(false), "random state");
		}
	}
	free_vms(&t);
	free(table);
}

static void print_help(const char *name)
{
	printf("usage: %s [-r SEED] [-n COUNT] [-a | -q] [-t TEXT]\n"
	       " -r  what the random tables depend on (default: a new seed)\n"
	       " -n  number of random tables (default: %d)\n"
	       " -a  all inputs in all states (many times longer)\n"
	       " -q  few inputs everywhere, each table and state on one vCPU (many times quicker)\n"
	       ONLY_CASES_HELP,
	       name, DEFAULT_RANDOM_TABLES);
}

static void print_counts(void)
{
	ksft_print_msg("%llu inputs compared, in %llu views of %llu vCPUs with %llu tables\n",
		       (unsigned long long)count->inputs, (unsigned long long)count->views,
		       (unsigned long long)count->vcpus, (unsigned long long)count->tables);
}

int main(int argc, char *argv[])
{
	int opt, i, nr_random = DEFAULT_RANDOM_TABLES;
	struct random_case *random_cases;

	setlinebuf(stdout);
	seed = new_seed();

	while ((opt = getopt(argc, argv, "hr:n:aqt:")) != -1) {
		switch (opt) {
		case 'r':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			nr_random = atoi(optarg);
			break;
		case 'a':
			exhaustive = true;
			break;
		case 'q':
			quick = true;
			break;
		case 't':
			only_cases = optarg;
			break;
		default:
			print_help(argv[0]);
			exit(opt == 'h' ? 0 : 1);
		}
	}
	if (nr_random < 0) {
		print_help(argv[0]);
		exit(1);
	}

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));

	nr_ids = count_ids();

	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	TEST_ASSERT(count != MAP_FAILED, "mmap");
	init_inputs();

	/* Each table has its own seed: the run's for the first, and so on. */
	random_cases = calloc(nr_random + 1, sizeof(*random_cases));
	TEST_ASSERT(random_cases, "Out of memory");
	for (i = 0; i < nr_random; i++) {
		char *name = malloc(64);

		TEST_ASSERT(name, "Out of memory");
		random_cases[i].seed = seed + i;
		snprintf(name, 64, "random: -n 1 -r 0x%llx", (unsigned long long)seed + i);
		random_cases[i].name = name;
	}

	const struct case_set case_sets[] = {
		{ run_view_case, view_cases, sizeof(view_cases[0]), ARRAY_SIZE(view_cases) },
		{ run_state_case, state_cases, sizeof(state_cases[0]), ARRAY_SIZE(state_cases) },
		{ run_random_case, random_cases, sizeof(random_cases[0]), nr_random },
	};

	ksft_print_header();
	ksft_print_msg("%d inputs, %d where few will do, %d vCPU ids, seed 0x%llx\n",
		       all_inputs.nr, few_inputs.nr, nr_ids, (unsigned long long)seed);
	run_cases(case_sets, ARRAY_SIZE(case_sets), print_counts);
}
