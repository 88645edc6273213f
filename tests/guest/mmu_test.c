// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that vCPUs under a VM's CPUID table agree on what is reserved in page
 * tables, whichever of them gets there first.
 *
 * KVM's shadow pages are shared by all vCPUs whose page role is the same.  What
 * is reserved in the guest's page tables depends on the guest's CPUID model, which
 * isn't part of the role.  So if vCPUs have different models, by KVM_SET_CPUID2,
 * then a vCPU for which an entry is good makes KVM shadow it, and a vCPU for
 * which the entry has a reserved bit uses that shadow and misses its #PF.  What
 * the guest sees depends on who comes first.
 *
 * That hole can't be closed as long as models may differ, therefore this test
 * shows it, but doesn't fail on it.  It fails if vCPUs under a VM's table, i.e.
 * with one model, don't get what the model says, in whatever order.
 *
 * With two-dimensional paging it is the CPU that walks the guest's page tables,
 * and it goes by the host's model.  KVM doesn't promise more then, and the test
 * prints what is so.  The exception are nested guests, as KVM shadows the tables
 * of nested paging.
 */
#include "util.h"

#define NARROW_MAXPHYADDR	38
#define WIDE_MAXPHYADDR		46

/* The lowest address that is too much for the narrow model. */
#define HIGH_GPA		BIT_ULL(NARROW_MAXPHYADDR)
#define HIGH_SLOT		1
#define HIGH_PT_GPA		(HIGH_GPA + 0x1000)
#define HIGH_NR_PAGES		2
#define HIGH_MMIO_GPA		(HIGH_GPA + BIT_ULL(20))

#define DATA_GPA		0x0
#define LOAD_GPA		0x1000
#define VMRUN_GPA		0x1010
#define NESTED_CODE_GPA		0x1020
#define PF_GPA			0x1030
#define PML4_GPA		0x2000
#define PDPT_GPA		0x3000
#define LOW_PD_GPA		0x4000
#define PD_GPA			0x5000
#define PT_GPA			0x6000
#define IDT_GPA			0x7000
#define GDT_GPA			0x8000
#define STACK_GPA(i)		(0x9000ull + 0x1000 * (i))
#define VMCB_GPA(i)		(0xb000ull + 0x1000 * (i))
#define HSAVE_GPA(i)		(0xd000ull + 0x1000 * (i))
#define L1_PML4_GPA		0xf000
#define L1_PDPT_GPA		0x10000
#define L1_PD_GPA		0x11000
#define LOW_NR_PAGES		18

/*
 * PML4[0] and PML4[1] have the same PDPT, so that an entry under test is never
 * needed for the guest's code, and is in reach of a nested 32-bit guest.  A guest
 * that has a nested one needs other tables for itself: KVM takes the CPU's walks
 * of its tables for writes, and drops its shadows of them.
 */
#define NESTED_GPA		BIT_ULL(30)
#define TEST_GVA		(BIT_ULL(39) + NESTED_GPA)

#define PT_PRESENT		BIT_ULL(0)
#define PT_WRITABLE		BIT_ULL(1)
#define PT_USER			BIT_ULL(2)
#define PT_ACCESSED		BIT_ULL(5)
#define PT_DIRTY		BIT_ULL(6)
#define PT_LARGE		BIT_ULL(7)
#define PT_BIT8			BIT_ULL(8)
#define PT_NX			BIT_ULL(63)
/* A nested guest's accesses are user accesses to the tables of nested paging. */
#define PT_COMMON		(PT_PRESENT | PT_WRITABLE | PT_USER | PT_ACCESSED | PT_DIRTY)

#define PF_PRESENT		BIT(0)
#define PF_RSVD			BIT(3)

#define PORT_DONE		0x80
#define PORT_PF			0x81

#define EFER_BIT_LME		BIT(8)
#define EFER_BIT_LMA		BIT(10)
#define EFER_BIT_NXE		BIT(11)
#define EFER_BIT_SVME		BIT(12)

#define MSR_HSAVE_PA		0xc0010117

/* Any value that isn't in memory or on the bus by chance. */
#define MEMORY_DATA		0x600dda7au
#define MMIO_DATA		0x0ddba115u

/* Of the VMCB, which the selftest library declares differently over time. */
#define VMCB_EXCEPTIONS		0x8
#define VMCB_INTERCEPT3		0xc
#define  VMCB_INTERCEPT3_SHUTDOWN	BIT(31)
#define VMCB_INTERCEPT4		0x10
#define  VMCB_INTERCEPT4_VMRUN		BIT(0)
#define  VMCB_INTERCEPT4_VMMCALL	BIT(1)
#define VMCB_ASID		0x58
#define VMCB_EXIT_CODE		0x70
#define  VMCB_EXIT_VMMCALL	0x81
#define  VMCB_EXIT_NPF		0x400
#define VMCB_EXIT_INFO_1	0x78
#define VMCB_EXIT_INFO_2	0x80
#define VMCB_NESTED_CTL		0x90
#define VMCB_NESTED_CR3		0xb0
#define VMCB_ES			0x400
#define VMCB_CS			0x410
#define VMCB_SS			0x420
#define VMCB_DS			0x430
#define VMCB_EFER		0x4d0
#define VMCB_CR0		0x558
#define VMCB_DR7		0x560
#define VMCB_DR6		0x568
#define VMCB_RFLAGS		0x570
#define VMCB_RIP		0x578
#define VMCB_RAX		0x5f8
#define VMCB_G_PAT		0x668

/*
 * The selftest library's guests can't be used, as to create them is to call
 * KVM_SET_CPUID2, and their page tables aren't for a test to break.
 */
static const u8 load_code[] = {
	0x48, 0x8b, 0x07,		/* mov (%rdi), %rax */
	0xe6, PORT_DONE,		/* out %al, $PORT_DONE */
};

static const u8 vmrun_code[] = {
	0x48, 0x89, 0xf8,		/* mov %rdi, %rax */
	0x0f, 0x01, 0xd8,		/* vmrun */
	0xe6, PORT_DONE,		/* out %al, $PORT_DONE */
};

/* 32-bit. */
static const u8 nested_code[] = {
	0x8b, 0x00,			/* mov (%eax), %eax */
	0x0f, 0x01, 0xd9,		/* vmmcall */
};

static const u8 pf_code[] = {
	0x5e,				/* pop %rsi */
	0xe6, PORT_PF,			/* out %al, $PORT_PF */
};

/* Two models, one of which has more bits reserved than the other. */
enum model { NARROW, WIDE, NR_MODELS };

/* For which models KVM promises that the guest gets what its model says. */
enum promise {
	/* With shadow paging. */
	SHADOW_PAGING,
	/* If it can enforce a MAXPHYADDR below the host's, else for WIDE only. */
	SMALLER_MAXPHYADDR,
	ALWAYS,
};

struct mmu_case {
	const char *name;
	void (*apply)(struct kvm_cpuid2 *table, enum model model);
	enum promise promise;
	/* The entry that is good for WIDE, and has a reserved bit for NARROW. */
	u64 entry_gpa;
	u64 entry;
	bool is_mmio;
	bool is_nested;
	/* EFER bits that only WIDE has, and may set. */
	u64 efer;
};

enum outcome_kind { LOADED, MMIO, PAGE_FAULT, NESTED_PAGE_FAULT, CANNOT_RUN, SOMETHING_ELSE };

struct outcome {
	enum outcome_kind kind;
	u64 error_code;
	u64 address;
};

/* The accesses of an experiment: by one vCPU, by the other, by the first again. */
#define NR_ACCESSES	3

struct outcomes {
	struct outcome outcome[NR_ACCESSES];
};

static bool is_tdp;

static void put_maxphyaddr(struct kvm_cpuid2 *table, u32 bits)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0x80000008, 0);

	TEST_ASSERT(e && cpuid_find(table, 0x80000000, 0)->eax >= 0x80000008,
		    "No address widths in KVM_GET_SUPPORTED_CPUID");
	/* With the width for guests of nested paging, to which 0 is "the same". */
	e->eax &= ~0xff00ff;
	e->eax |= bits;
}

static void apply_maxphyaddr(struct kvm_cpuid2 *table, enum model model)
{
	put_maxphyaddr(table, model == WIDE ? WIDE_MAXPHYADDR : NARROW_MAXPHYADDR);
}

static void apply_gbpages(struct kvm_cpuid2 *table, enum model model)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0x80000001, 0);

	e->edx &= ~BIT(26);
	if (model == WIDE)
		e->edx |= BIT(26);
}

static void apply_nx(struct kvm_cpuid2 *table, enum model model)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0x80000001, 0);

	e->edx &= ~BIT(20);
	if (model == WIDE)
		e->edx |= BIT(20);
}

static void apply_vendor(struct kvm_cpuid2 *table, enum model model)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(table, 0, 0);
	const char *vendor = model == WIDE ? "GenuineIntel" : "AuthenticAMD";

	memcpy(&e->ebx, vendor, 4);
	memcpy(&e->edx, vendor + 4, 4);
	memcpy(&e->ecx, vendor + 8, 4);
}

/* As KVM supports it: both models are the same. */
static void apply_nothing(struct kvm_cpuid2 *table, enum model model)
{
}

static const struct mmu_case mmu_cases[] = {
	{ "MAXPHYADDR: PTE with bit 38", apply_maxphyaddr, SMALLER_MAXPHYADDR,
	  PT_GPA, HIGH_GPA | PT_COMMON },
	{ "MAXPHYADDR: PDE with bit 38, of a page table", apply_maxphyaddr, SMALLER_MAXPHYADDR,
	  PD_GPA, HIGH_PT_GPA | PT_COMMON },
	{ "MAXPHYADDR: PDE with bit 38, of a 2M page", apply_maxphyaddr, SMALLER_MAXPHYADDR,
	  PD_GPA, HIGH_GPA | PT_LARGE | PT_COMMON },
	{ "MAXPHYADDR: PTE with bit 38, of MMIO", apply_maxphyaddr, SHADOW_PAGING,
	  PT_GPA, HIGH_MMIO_GPA | PT_COMMON, .is_mmio = true },
	{ "GBPAGES: PDPTE with bit 7", apply_gbpages, SHADOW_PAGING,
	  PDPT_GPA + 8, DATA_GPA | PT_LARGE | PT_COMMON },
	{ "vendor: PML4E with bit 8", apply_vendor, SHADOW_PAGING,
	  PML4_GPA + 8, PDPT_GPA | PT_BIT8 | PT_COMMON },
	{ "NX: PTE with bit 63", apply_nx, ALWAYS,
	  PT_GPA, DATA_GPA | PT_NX | PT_COMMON, .efer = EFER_BIT_NXE },
	{ "nested paging, MAXPHYADDR: PTE with bit 38", apply_maxphyaddr, ALWAYS,
	  PT_GPA, HIGH_GPA | PT_COMMON, .is_nested = true },
	{ "nested paging, MAXPHYADDR: PDE with bit 38, of a page table", apply_maxphyaddr, ALWAYS,
	  PD_GPA, HIGH_PT_GPA | PT_COMMON, .is_nested = true },
	{ "nested paging, MAXPHYADDR: PDE with bit 38, of a 2M page", apply_maxphyaddr, ALWAYS,
	  PD_GPA, HIGH_GPA | PT_LARGE | PT_COMMON, .is_nested = true },
	{ "nested paging, MAXPHYADDR: PTE with bit 38, of MMIO", apply_maxphyaddr, ALWAYS,
	  PT_GPA, HIGH_MMIO_GPA | PT_COMMON, .is_mmio = true, .is_nested = true },
};

/* The bit is filled in when the host's width is known. */
static struct mmu_case host_width_case = {
	"MAXPHYADDR is the host's: PTE with the next bit", apply_nothing, ALWAYS,
	PT_GPA, DATA_GPA | PT_COMMON,
};

static const struct kvm_cpuid_entry2 *supported_entry(u32 function)
{
	/* cpuid_find() takes tables that may be modified. */
	static struct kvm_cpuid2 *table;
	struct kvm_cpuid_entry2 *e;

	if (!table)
		table = supported_table();

	e = cpuid_find(table, function, 0);
	TEST_ASSERT(e, "KVM_GET_SUPPORTED_CPUID lacks 0x%x", function);
	return e;
}

static u32 host_maxphyaddr(void)
{
	return supported_entry(0x80000008)->eax & 0xff;
}

static bool is_promised(const struct mmu_case *c, enum model model)
{
	switch (c->promise) {
	case SHADOW_PAGING:
		return !is_tdp;
	case SMALLER_MAXPHYADDR:
		return model == WIDE || kvm_has_cap(KVM_CAP_SMALLER_MAXPHYADDR);
	default:
		return true;
	}
}

/* Why the case can't be run here, or NULL. */
static const char *cannot_run(const struct mmu_case *c)
{
	const struct kvm_cpuid_entry2 *e = supported_entry(0x80000001);

	/* Else KVM doesn't take the memory. */
	if (c->apply == apply_maxphyaddr && is_tdp && host_maxphyaddr() <= NARROW_MAXPHYADDR)
		return "the host has no such address";
	if (c->apply == apply_gbpages && !(e->edx & BIT(26)))
		return "no GBPAGES";
	if (c->apply == apply_nx && !(e->edx & BIT(20)))
		return "no NX";
	if (c->is_nested &&
	    (!(e->ecx & BIT(2)) || !(supported_entry(0x8000000a)->edx & BIT(0))))
		return "no nested paging for guests of AMD's kind";
	return NULL;
}

static struct kvm_cpuid2 *model_table(const struct mmu_case *c, enum model model)
{
	struct kvm_cpuid2 *table = supported_table();

	c->apply(table, model);
	return table;
}

static void put_u64(struct kvm_vm *vm, u64 gpa, u64 value)
{
	memcpy(addr_gpa2hva(vm, gpa), &value, sizeof(value));
}

static void put_u32(struct kvm_vm *vm, u64 gpa, u32 value)
{
	memcpy(addr_gpa2hva(vm, gpa), &value, sizeof(value));
}

static u64 get_u64(struct kvm_vm *vm, u64 gpa)
{
	u64 value;

	memcpy(&value, addr_gpa2hva(vm, gpa), sizeof(value));
	return value;
}

static struct kvm_vm *create_vm(const struct mmu_case *c)
{
	struct kvm_vm *vm = vm_create_barebones();

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, LOW_NR_PAGES, 0);
	put_u64(vm, DATA_GPA, MEMORY_DATA);
	memcpy(addr_gpa2hva(vm, LOAD_GPA), load_code, sizeof(load_code));
	memcpy(addr_gpa2hva(vm, VMRUN_GPA), vmrun_code, sizeof(vmrun_code));
	memcpy(addr_gpa2hva(vm, NESTED_CODE_GPA), nested_code, sizeof(nested_code));
	memcpy(addr_gpa2hva(vm, PF_GPA), pf_code, sizeof(pf_code));

	put_u64(vm, L1_PML4_GPA, L1_PDPT_GPA | PT_COMMON);
	put_u64(vm, L1_PDPT_GPA, L1_PD_GPA | PT_COMMON);
	put_u64(vm, L1_PD_GPA, PT_LARGE | PT_COMMON);

	put_u64(vm, PML4_GPA, PDPT_GPA | PT_COMMON);
	put_u64(vm, PML4_GPA + 8, PDPT_GPA | PT_COMMON);
	put_u64(vm, PDPT_GPA, LOW_PD_GPA | PT_COMMON);
	put_u64(vm, PDPT_GPA + 8, PD_GPA | PT_COMMON);
	put_u64(vm, LOW_PD_GPA, PT_LARGE | PT_COMMON);
	put_u64(vm, PD_GPA, PT_GPA | PT_COMMON);
	put_u64(vm, PT_GPA, DATA_GPA | PT_COMMON);
	put_u64(vm, c->entry_gpa, c->entry);

	if (c->apply == apply_maxphyaddr) {
		vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, HIGH_GPA, HIGH_SLOT,
					    HIGH_NR_PAGES, 0);
		put_u64(vm, HIGH_GPA, MEMORY_DATA);
		put_u64(vm, HIGH_PT_GPA, DATA_GPA | PT_COMMON);
	}

	/* A 64-bit interrupt gate for #PF, and the code segment that it needs. */
	put_u64(vm, IDT_GPA + 14 * 16, PF_GPA | (0x8 << 16) | (0x8eull << 40));
	put_u64(vm, GDT_GPA + 8, 0x00af9b000000ffffull);

	return vm;
}

/* A 32-bit guest without paging of its own, which uses the page tables under test. */
static void init_vmcb(struct kvm_vm *vm, u64 vmcb)
{
	static const u16 data_segments[] = { VMCB_ES, VMCB_SS, VMCB_DS };
	int i;

	memset(addr_gpa2hva(vm, vmcb), 0, 4096);

	/* The VM exits on whatever is unexpected. */
	put_u32(vm, vmcb + VMCB_EXCEPTIONS, -1u);
	put_u32(vm, vmcb + VMCB_INTERCEPT3, VMCB_INTERCEPT3_SHUTDOWN);
	put_u32(vm, vmcb + VMCB_INTERCEPT4, VMCB_INTERCEPT4_VMRUN | VMCB_INTERCEPT4_VMMCALL);
	put_u32(vm, vmcb + VMCB_ASID, 1);
	put_u64(vm, vmcb + VMCB_NESTED_CTL, 1);
	put_u64(vm, vmcb + VMCB_NESTED_CR3, PML4_GPA);

	/* Flat segments: attributes and limit. */
	put_u64(vm, vmcb + VMCB_CS, 0xffffffff0c9b0008ull);
	for (i = 0; i < ARRAY_SIZE(data_segments); i++)
		put_u64(vm, vmcb + data_segments[i], 0xffffffff0c930010ull);

	put_u64(vm, vmcb + VMCB_EFER, EFER_BIT_SVME);
	put_u64(vm, vmcb + VMCB_CR0, X86_CR0_PE | X86_CR0_ET | X86_CR0_NE);
	put_u64(vm, vmcb + VMCB_DR7, 0x400);
	put_u64(vm, vmcb + VMCB_DR6, 0xffff0ff0);
	put_u64(vm, vmcb + VMCB_RFLAGS, 0x2);
	put_u64(vm, vmcb + VMCB_RIP, NESTED_CODE_GPA);
	put_u64(vm, vmcb + VMCB_RAX, NESTED_GPA);
	put_u64(vm, vmcb + VMCB_G_PAT, 0x0007040600070406ull);
}

/* Fails if the model isn't what the vCPU has, and doesn't allow the state. */
static bool init_vcpu(const struct mmu_case *c, struct kvm_vcpu *vcpu, enum model model)
{
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 0x8, .type = 0xb,
		.present = 1, .l = 1, .s = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 0x10, .type = 0x3,
		.present = 1, .db = 1, .s = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	sregs.cr3 = c->is_nested ? L1_PML4_GPA : PML4_GPA;
	sregs.cr4 = X86_CR4_PAE;
	sregs.efer = EFER_BIT_LME | EFER_BIT_LMA;
	if (model == WIDE)
		sregs.efer |= c->efer;
	if (c->is_nested)
		sregs.efer |= EFER_BIT_SVME;
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;
	sregs.idt.base = IDT_GPA;
	sregs.idt.limit = 15 * 16 - 1;
	sregs.gdt.base = GDT_GPA;
	sregs.gdt.limit = 2 * 8 - 1;
	if (_vcpu_sregs_set(vcpu, &sregs))
		return false;

	return !c->is_nested || _vcpu_set_msr(vcpu, MSR_HSAVE_PA, HSAVE_GPA(vcpu->id)) == 1;
}

/* Let the vCPU, or its nested guest, load from the address under test. */
static struct outcome run_access(const struct mmu_case *c, struct kvm_vcpu *vcpu)
{
	const u64 vmcb = VMCB_GPA(vcpu->id), mmio_data = MMIO_DATA;
	struct outcome outcome = { SOMETHING_ELSE };
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs = {
		.rip = c->is_nested ? VMRUN_GPA : LOAD_GPA,
		.rdi = c->is_nested ? vmcb : TEST_GVA,
		.rsp = STACK_GPA(vcpu->id) + 0x1000,
		.rflags = 0x2,
	};
	struct kvm_sregs sregs;
	bool is_mmio = false;
	u32 data;

	if (c->is_nested)
		init_vmcb(vcpu->vm, vmcb);
	vcpu_regs_set(vcpu, &regs);
	vcpu_run(vcpu);

	if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write &&
	    run->mmio.phys_addr == HIGH_MMIO_GPA) {
		memcpy(run->mmio.data, &mmio_data, sizeof(run->mmio.data));
		is_mmio = true;
		vcpu_run(vcpu);
	}

	if (run->exit_reason != KVM_EXIT_IO) {
		ksft_print_msg("vCPU %u exited with %u (%s)\n", vcpu->id, run->exit_reason,
			       exit_reason_str(run->exit_reason));
		return outcome;
	}

	vcpu_regs_get(vcpu, &regs);
	data = regs.rax;

	if (run->io.port == PORT_PF) {
		vcpu_sregs_get(vcpu, &sregs);
		outcome.kind = PAGE_FAULT;
		outcome.error_code = regs.rsi;
		outcome.address = sregs.cr2;
		return outcome;
	}

	if (c->is_nested) {
		outcome.error_code = get_u64(vcpu->vm, vmcb + VMCB_EXIT_INFO_1);
		outcome.address = get_u64(vcpu->vm, vmcb + VMCB_EXIT_INFO_2);
		switch ((u32)get_u64(vcpu->vm, vmcb + VMCB_EXIT_CODE)) {
		case VMCB_EXIT_NPF:
			outcome.kind = NESTED_PAGE_FAULT;
			return outcome;
		case VMCB_EXIT_VMMCALL:
			data = get_u64(vcpu->vm, vmcb + VMCB_RAX);
			break;
		default:
			return outcome;
		}
	}

	memset(&outcome, 0, sizeof(outcome));
	if (data == (is_mmio ? MMIO_DATA : MEMORY_DATA))
		outcome.kind = is_mmio ? MMIO : LOADED;
	else
		outcome.kind = SOMETHING_ELSE;
	return outcome;
}

static bool is_as_modeled(const struct mmu_case *c, enum model model, const struct outcome *o)
{
	const u64 error_code = PF_RSVD | PF_PRESENT;

	if (model == WIDE)
		return o->kind == (c->is_mmio ? MMIO : LOADED);

	/* More bits say which kind of access a nested page fault was. */
	if (c->is_nested)
		return o->kind == NESTED_PAGE_FAULT && o->address == NESTED_GPA &&
		       (o->error_code & error_code) == error_code;

	if (o->kind != PAGE_FAULT || o->address != TEST_GVA)
		return false;

	/* KVM's error codes are right, those of an emulated CPU may lack PRESENT. */
	if (is_tdp)
		return (o->error_code | PF_PRESENT) == error_code;

	return o->error_code == error_code;
}

static const char *outcome_str(const struct outcome *o)
{
	static char str[4][64];
	static int next;
	char *s = str[next++ % ARRAY_SIZE(str)];

	switch (o->kind) {
	case LOADED:
		return "loads";
	case MMIO:
		return "does MMIO";
	case PAGE_FAULT:
		snprintf(s, sizeof(str[0]), "gets #PF 0x%llx", (unsigned long long)o->error_code);
		return s;
	case NESTED_PAGE_FAULT:
		snprintf(s, sizeof(str[0]), "gets #NPF 0x%llx", (unsigned long long)o->error_code);
		return s;
	case CANNOT_RUN:
		return "cannot be set up";
	default:
		return "does something else";
	}
}

/* Two vCPUs of the given models, with the table of their VM if there is one. */
static struct outcomes run_accesses(const struct mmu_case *c, const enum model models[2],
				    const enum model *vm_model, int first)
{
	struct kvm_vm *vm = create_vm(c);
	struct kvm_cpuid2 *table;
	struct kvm_vcpu *vcpu[2];
	struct outcomes outcomes;
	bool is_ready[2];
	int i;

	if (vm_model) {
		table = model_table(c, *vm_model);
		vm_set_cpuid(vm, table);
		free(table);
	}

	for (i = 0; i < 2; i++) {
		vcpu[i] = __vm_vcpu_add(vm, i);
		if (!vm_model) {
			table = model_table(c, models[i]);
			vcpu_ioctl(vcpu[i], KVM_SET_CPUID2, table);
			free(table);
		}
		is_ready[i] = init_vcpu(c, vcpu[i], models[i]);
	}

	for (i = 0; i < NR_ACCESSES; i++) {
		int who = first ^ (i & 1);

		if (is_ready[who])
			outcomes.outcome[i] = run_access(c, vcpu[who]);
		else
			outcomes.outcome[i] = (struct outcome) { CANNOT_RUN };
	}

	kvm_vm_free(vm);
	return outcomes;
}

/* Different models in a VM, or different states; nothing is right or wrong. */
static void show_mixed(const struct mmu_case *c, const char *what, const enum model *vm_model)
{
	static const char * const names[NR_MODELS] = { "narrow", "wide" };
	static const enum model models[2] = { NARROW, WIDE };
	bool is_hole = false;
	struct outcomes o;
	int first, i;

	for (first = WIDE; first >= NARROW; first--) {
		char line[256] = "";

		o = run_accesses(c, models, vm_model, first);
		for (i = 0; i < NR_ACCESSES; i++) {
			enum model model = first ^ (i & 1);
			bool is_wrong = !is_as_modeled(c, model, &o.outcome[i]);
			size_t len = strlen(line);

			snprintf(line + len, sizeof(line) - len, "%s %s %s%s", i ? "," : "",
				 names[model], outcome_str(&o.outcome[i]),
				 !is_wrong ? "" :
				 is_promised(c, model) ? " (MISSED #PF)" : " (no promise)");
			is_hole |= is_wrong && is_promised(c, model);
		}
		ksft_print_msg("%s, %s first:%s\n", what, names[first], line);
	}
	ksft_print_msg("%s: %s\n", what, is_hole ? "known hole" : "no hole");
}

/* The two models of a case, or the only one, each in both orders. */
static void test_one_model(const struct mmu_case *c, enum model model)
{
	const enum model models[2] = { model, model };
	const char *name = c == &host_width_case ? "" :
			   model == WIDE ? ", all wide" : ", all narrow";
	struct outcomes under_table, with_copies;
	const struct outcome *o, *reference = NULL;
	static struct outcomes previous;
	bool is_ok, promised = is_promised(c, model);
	int first, i;

	for (first = 0; first < 2; first++) {
		under_table = run_accesses(c, models, &model, first);
		with_copies = run_accesses(c, models, NULL, first);
		is_ok = true;

		for (i = 0; i < NR_ACCESSES; i++) {
			o = &under_table.outcome[i];
			if (!reference) {
				previous = under_table;
				reference = &previous.outcome[0];
			}

			if (promised && !is_as_modeled(c, model, o)) {
				ksft_print_msg("access %d: vCPU %d %s, not as the model says\n",
					       i, first ^ (i & 1), outcome_str(o));
				is_ok = false;
			}
			if (memcmp(o, reference, sizeof(*o))) {
				ksft_print_msg("access %d: vCPU %d %s, the first access %s\n", i,
					       first ^ (i & 1), outcome_str(o),
					       outcome_str(reference));
				is_ok = false;
			}
			if (memcmp(o, &with_copies.outcome[i], sizeof(*o))) {
				ksft_print_msg("access %d: vCPU %d %s, with its own copy it %s\n",
					       i, first ^ (i & 1), outcome_str(o),
					       outcome_str(&with_copies.outcome[i]));
				is_ok = false;
			}
		}

		if (is_ok && !promised)
			ksft_print_msg("no promise by KVM, each vCPU %s\n", outcome_str(reference));
		ksft_test_result(is_ok, "%s: VM table%s, vCPU %d first\n", c->name, name, first);
	}
}

static void skip_tests(const struct mmu_case *c, int nr, const char *why)
{
	while (nr--)
		ksft_test_result_skip("%s: %s\n", c->name, why);
}

int main(int argc, char *argv[])
{
	const bool quick = is_quick(argc, argv, "only vCPUs of one model, which is what can fail");
	const bool has_vm_cpuid = kvm_has_cap(KVM_CAP_VM_CPUID);
	const enum model wide = WIDE;
	const u32 width = host_maxphyaddr();
	int i, nr = is_wanted(host_width_case.name) ? 2 : 0;

	setlinebuf(stdout);
	for (i = 0; i < ARRAY_SIZE(mmu_cases); i++)
		nr += is_wanted(mmu_cases[i].name) ? 4 : 0;
	TEST_ASSERT(nr, "No case has that text in its name");

	is_tdp = kvm_is_tdp_enabled();

	ksft_print_header();
	if (has_vm_cpuid)
		ksft_set_plan(nr);
	ksft_print_msg("%s paging, host's MAXPHYADDR is %u, smaller ones are%s supported\n",
		       is_tdp ? "two-dimensional" : "shadow", width,
		       kvm_has_cap(KVM_CAP_SMALLER_MAXPHYADDR) ? "" : " not");

	for (i = 0; i < ARRAY_SIZE(mmu_cases); i++) {
		const struct mmu_case *c = &mmu_cases[i];
		const char *why = cannot_run(c);

		if (!is_wanted(c->name))
			continue;
		alarm(CASE_TIMEOUT_S);
		ksft_print_msg("%s%s%s\n", c->name, why ? ": skipped, " : "", why ?: "");
		if (!why && !quick)
			show_mixed(c, "different models", NULL);
		if (!has_vm_cpuid)
			continue;
		if (why) {
			skip_tests(c, 4, why);
			continue;
		}

		/*
		 * KVM's shadow pages are those of a guest with EFER.NXE set.  That
		 * the vCPUs have one model rules out that NX is reserved for some of
		 * them because they don't know it, but not because they don't use it.
		 */
		if (c->efer && !quick)
			show_mixed(c, "one model, different EFER", &wide);
		test_one_model(c, NARROW);
		test_one_model(c, WIDE);
	}

	/* The hole can be shown without the new ABI. */
	TEST_REQUIRE(has_vm_cpuid);

	host_width_case.entry |= BIT_ULL(width);
	if (!is_wanted(host_width_case.name))
		;
	else if (width >= 52)
		skip_tests(&host_width_case, 2, "no such bit");
	else
		test_one_model(&host_width_case, NARROW);

	ksft_finished();
}
