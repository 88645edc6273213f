// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure the cost of guest CPUID, when set for each vCPU (KVM_SET_CPUID2) and when set
 * for the VM (KVM_VM_SET_CPUID).
 *
 * Print comma-separated values, a line per figure, in cycles of the TSC, or bytes.
 * "own" is a VM without a table, whose vCPUs get their CPUID by KVM_SET_CPUID2, or
 * none if there are 0 entries; "table" is a VM with one.  Without KVM_CAP_VM_CPUID,
 * measure the former only.
 */
#include <getopt.h>

#include "../tests/guest/util.h"

#define MAX_ROUNDS	99

static const u32 sizes[] = { 0, 1, 8, 16, 32, 64, 128, 256 };
static const u32 exit_sizes[] = { 32, 256 };

static u32 nr_rounds = 7;
static u32 max_vcpus = 16;

/*
 * The guest runs in flat 32-bit protected mode without paging, so that it needs no
 * feature that a small table lacks.  It executes CPUID for each operation that it finds
 * in memory, and writes there how long that took.
 */
#define GUEST_CODE_GPA		0x1000
#define GUEST_OPS_GPA		0x2000
#define GUEST_NR_PAGES		8

#define GUEST_OP_DONE		0
#define GUEST_OP_CPUID		1

struct guest_op {
	u32 op, eax, ebx, ecx, edx;
};

extern const char vm_cpuid_timed_start[], vm_cpuid_timed_end[];

asm(".pushsection .rodata\n"
	".code32\n"
	"vm_cpuid_timed_start:\n"
	"	mov	%edi, %esi\n"
	"1:	cmpl	$" __stringify(GUEST_OP_CPUID) ", (%esi)\n"
	"	jne	2f\n"
	"	rdtsc\n"
	"	mov	%eax, %ebp\n"
	"	mov	4(%esi), %eax\n"
	"	mov	12(%esi), %ecx\n"
	"	cpuid\n"
	"	rdtsc\n"
	"	sub	%ebp, %eax\n"
	"	mov	%eax, 16(%esi)\n"
	"	add	$20, %esi\n"
	"	jmp	1b\n"
	"2:	out	%al, $0x80\n"
	"	jmp	vm_cpuid_timed_start\n"
	"vm_cpuid_timed_end:\n"
	".code64\n"
	".popsection\n");

static struct kvm_vm *create_vm(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, GUEST_CODE_GPA, 0,
				    GUEST_NR_PAGES, 0);
	return vm;
}

static void guest_init(struct kvm_vcpu *vcpu)
{
	struct kvm_mp_state mp_state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 0x8, .type = 0xb,
		.present = 1, .db = 1, .s = 1, .g = 1,
	};
	struct kvm_segment data = code;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_sregs_get(vcpu, &sregs);
	if (sregs.cr0 & X86_CR0_PE)
		return;

	data.selector = 0x10;
	data.type = 0x3;

	sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.ss = data;
	sregs.idt.limit = 0;
	vcpu_sregs_set(vcpu, &sregs);

	vcpu_regs_get(vcpu, &regs);
	regs.rip = GUEST_CODE_GPA;
	regs.rdi = GUEST_OPS_GPA;
	vcpu_regs_set(vcpu, &regs);
	vcpu_mp_state_set(vcpu, &mp_state);
}

static void guest_run(struct kvm_vcpu *vcpu, struct guest_op *ops, int nr)
{
	struct guest_op *mem = addr_gpa2hva(vcpu->vm, GUEST_OPS_GPA);

	memcpy(mem, ops, nr * sizeof(*ops));
	mem[nr].op = GUEST_OP_DONE;
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	memcpy(ops, mem, nr * sizeof(*ops));
}

static void print_figure(const char *what, u32 nent, bool table, u64 figure)
{
	printf("%s,%u,%s,%ld\n", what, nent, table ? "table" : "own", (long)figure);
}

/* Leave out what interrupts and empty slabs cost in some rounds. */
static void print_least(const char *what, u32 nent, bool table, const u64 *figures)
{
	u64 least = figures[0];
	int i;

	for (i = 1; i < nr_rounds; i++)
		least = min(least, figures[i]);
	print_figure(what, nent, table, least);
}

/* Make the system call directly, so as not to measure the library's wrappers. */
static int timed_ioctl(int fd, unsigned long cmd, const void *arg, u64 *cycles)
{
	u64 start = rdtsc();
	int r = ioctl(fd, cmd, arg);

	*cycles = rdtsc() - start;
	TEST_ASSERT(r >= 0, "ioctl 0x%lx failed: %s", cmd, strerror(errno));
	return r;
}

static int compare_entries(const void *a, const void *b)
{
	const struct kvm_cpuid_entry2 *l = a, *r = b;

	if (l->function != r->function)
		return l->function < r->function ? -1 : 1;
	return l->index < r->index ? -1 : l->index > r->index;
}

/*
 * Sort what KVM supports, and add entries up to @nent.  Of these, one in four functions
 * has subleaves.
 */
static struct kvm_cpuid2 *sized_table(u32 nent)
{
	struct kvm_cpuid2 *t = topology_table();
	u32 function = 0x40, index = 0;

	while (t->nent < nent) {
		bool indexed = !(function % 4);

		cpuid_put(t, (struct kvm_cpuid_entry2) {
			.function = function,
			.index = index,
			.flags = indexed ? CPUID_INDEXED : 0,
			.eax = function,
		});
		if (!indexed || ++index == 3) {
			function++;
			index = 0;
		}
	}
	qsort(t->entries, t->nent, sizeof(t->entries[0]), compare_entries);
	t->nent = nent;
	return t;
}

/* Create a vCPU and set its CPUID.  The VM keeps its vCPU without the fd. */
static int timed_vcpu(struct kvm_vm *vm, u32 id, const struct kvm_cpuid2 *t, bool table,
		      u64 *create, u64 *set)
{
	int fd = timed_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)(long)id, create);

	*set = 0;
	if (!table && t->nent)
		timed_ioctl(fd, KVM_SET_CPUID2, t, set);
	return fd;
}

static void measure_bring_up(u32 nent, bool table)
{
	u64 create[MAX_ROUNDS], set[MAX_ROUNDS], ready[MAX_ROUNDS];
	struct kvm_cpuid2 *t = sized_table(nent);
	struct kvm_vm *vm = create_vm();
	int i;

	if (table) {
		for (i = 0; i < nr_rounds; i++)
			timed_ioctl(vm->fd, KVM_VM_SET_CPUID, t, &set[i]);
		print_least("KVM_VM_SET_CPUID", nent, table, set);
	}

	for (i = 0; i < nr_rounds; i++) {
		close(timed_vcpu(vm, i, t, table, &create[i], &set[i]));
		ready[i] = create[i] + set[i];
	}
	print_least("KVM_CREATE_VCPU", nent, table, create);
	if (!table && nent)
		print_least("KVM_SET_CPUID2", nent, table, set);
	print_least("ready vCPU", nent, table, ready);

	kvm_vm_free(vm);
	free(t);
}

/* With entries of one function, the check of each pair goes to the end. */
static void measure_one_function(void)
{
	struct kvm_cpuid2 *t = cpuid_alloc();
	struct kvm_vm *vm = create_vm();
	u64 set[MAX_ROUNDS];
	int i;

	for (i = 0; i < CPUID_MAX_ENTRIES; i++)
		cpuid_put(t, (struct kvm_cpuid_entry2) { .index = i, .flags = CPUID_INDEXED });
	for (i = 0; i < nr_rounds; i++)
		timed_ioctl(vm->fd, KVM_VM_SET_CPUID, t, &set[i]);
	print_least("KVM_VM_SET_CPUID of one function", t->nent, true, set);

	kvm_vm_free(vm);
	free(t);
}

static struct kvm_vm *create_timed_vm(const struct kvm_cpuid2 *t, bool table)
{
	struct kvm_vm *vm = create_vm();

	memcpy(addr_gpa2hva(vm, GUEST_CODE_GPA), vm_cpuid_timed_start,
	       vm_cpuid_timed_end - vm_cpuid_timed_start);
	if (table)
		vm_set_cpuid(vm, t);
	return vm;
}

static struct kvm_vcpu *add_timed_vcpu(struct kvm_vm *vm, u32 id,
				       const struct kvm_cpuid2 *t, bool table)
{
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, id);

	if (!table && t->nent)
		vcpu_ioctl(vcpu, KVM_SET_CPUID2, t);
	guest_init(vcpu);
	return vcpu;
}

/* Time the first run too: the ioctl must not leave work for it. */
static void measure_run(u32 nent, bool table)
{
	struct kvm_cpuid2 *t = sized_table(nent);
	struct kvm_vm *vm = create_timed_vm(t, table);
	u64 first[MAX_ROUNDS], run[MAX_ROUNDS];
	struct kvm_vcpu *vcpu;
	int i;

	for (i = 0; i < nr_rounds; i++) {
		vcpu = add_timed_vcpu(vm, i, t, table);
		timed_ioctl(vcpu->fd, KVM_RUN, NULL, &first[i]);
		timed_ioctl(vcpu->fd, KVM_RUN, NULL, &run[i]);
	}
	print_least("first KVM_RUN", nent, table, first);
	print_least("KVM_RUN", nent, table, run);

	kvm_vm_free(vm);
	free(t);
}

/* @what is the name of all leaves, or NULL if each has its own. */
static void measure_exits(const struct kvm_cpuid2 *t, bool table, const char *what,
			  const struct kvm_cpuid_entry2 *leaves, int nr)
{
	u64 (*cycles)[MAX_ROUNDS] = calloc(nr, sizeof(*cycles));
	struct guest_op *ops = calloc(nr, sizeof(*ops));
	struct kvm_vm *vm = create_timed_vm(t, table);
	struct kvm_vcpu *vcpu = add_timed_vcpu(vm, 0, t, table);
	char name[40];
	int i, round;

	TEST_ASSERT(cycles && ops, "Out of memory");

	/* The first one warms up. */
	for (round = -1; round < (int)nr_rounds; round++) {
		for (i = 0; i < nr; i++) {
			ops[i].op = GUEST_OP_CPUID;
			ops[i].eax = leaves[i].function;
			ops[i].ecx = leaves[i].index;
		}
		guest_run(vcpu, ops, nr);
		for (i = 0; i < nr && round >= 0; i++)
			cycles[i][round] = ops[i].edx;
	}

	for (i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "CPUID 0x%x.0x%x", leaves[i].function,
			 leaves[i].index);
		print_least(what ?: name, t->nent, table, cycles[i]);
	}

	kvm_vm_free(vm);
	free(cycles);
	free(ops);
}

static void measure_all_exits(u32 nent, bool table)
{
	const struct kvm_cpuid_entry2 missing = { .function = 0x1b };
	const struct kvm_cpuid_entry2 beyond = { .function = 0x3000 };
	struct kvm_cpuid2 *t = sized_table(nent);

	measure_exits(t, table, NULL, t->entries, t->nent);
	measure_exits(t, table, "CPUID of a missing leaf", &missing, 1);

	/* Intel's CPUs answer with the last basic leaf. */
	memcpy(&t->entries[0].ebx, "Genu", 4);
	memcpy(&t->entries[0].edx, "ineI", 4);
	memcpy(&t->entries[0].ecx, "ntel", 4);
	measure_exits(t, table, "CPUID beyond the last leaf of Intel", &beyond, 1);
	free(t);
}

static void measure_create_vm(void)
{
	int kvm_fd = open(KVM_DEV_PATH, O_RDWR), i;
	u64 create[MAX_ROUNDS];

	TEST_ASSERT(kvm_fd >= 0, "Cannot open " KVM_DEV_PATH);
	for (i = 0; i < nr_rounds; i++)
		close(timed_ioctl(kvm_fd, KVM_CREATE_VM, NULL, &create[i]));
	print_least("KVM_CREATE_VM", 0, false, create);
	close(kvm_fd);
}

/* Count the kernel's memory in slabs and from vmalloc(). */
static u64 kernel_memory(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	u64 kib, sum = 0;
	char line[128];

	TEST_ASSERT(f, "Cannot read /proc/meminfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Slab: %lu", &kib) == 1 ||
		    sscanf(line, "VmallocUsed: %lu", &kib) == 1)
			sum += kib * 1024;
	}
	fclose(f);
	return sum;
}

/* Keep the VM, so that the next one can't get the memory that this one would free. */
static void measure_vm(u32 nent, bool table, u32 nr_vcpus)
{
	struct kvm_cpuid2 *t = sized_table(nent);
	struct kvm_vm *vm = create_vm();
	u64 create, set, ready = 0, memory;
	char name[40];
	u32 i;

	memory = kernel_memory();
	if (table)
		timed_ioctl(vm->fd, KVM_VM_SET_CPUID, t, &ready);
	for (i = 0; i < nr_vcpus; i++) {
		close(timed_vcpu(vm, i, t, table, &create, &set));
		ready += create + set;
	}
	memory = kernel_memory() - memory;

	snprintf(name, sizeof(name), "ready VM of %u", nr_vcpus);
	print_figure(name, nent, table, ready);
	snprintf(name, sizeof(name), "bytes of a VM of %u", nr_vcpus);
	print_figure(name, nent, table, memory);
	free(t);
}

static void __noreturn usage(const char *name, int status)
{
	fprintf(status ? stderr : stdout,
		"%s [-r ROUNDS] [-v VCPUS]\n"
		"  -r  take each figure so often, and print the least (1 to %d, default %u)\n"
		"  -v  the largest VM, in powers of 4 (default %u)\n",
		name, MAX_ROUNDS, nr_rounds, max_vcpus);
	exit(status);
}

int main(int argc, char *argv[])
{
	bool has_table = kvm_has_cap(KVM_CAP_VM_CPUID);
	struct kvm_cpuid2 *t = sized_table(0);
	struct kvm_vm *vm;
	int opt, i;
	u32 nr;

	while ((opt = getopt(argc, argv, "hr:v:")) != -1) {
		switch (opt) {
		case 'r':
			nr_rounds = atoi(optarg);
			break;
		case 'v':
			max_vcpus = atoi(optarg);
			break;
		default:
			usage(argv[0], opt == 'h' ? 0 : 1);
		}
	}
	if (nr_rounds < 1 || nr_rounds > MAX_ROUNDS || max_vcpus < 1)
		usage(argv[0], 1);

	/* Fill the slabs, so that the first figures don't include it. */
	vm = create_timed_vm(t, false);
	for (i = 0; i < nr_rounds; i++)
		add_timed_vcpu(vm, i, t, false);
	kvm_vm_free(vm);

	puts("# what,entries,way,figure");
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		measure_bring_up(sizes[i], false);
		if (has_table && sizes[i])
			measure_bring_up(sizes[i], true);
	}
	if (has_table)
		measure_one_function();

	measure_run(0, false);
	measure_run(32, false);
	if (has_table)
		measure_run(32, true);

	for (i = 0; i < ARRAY_SIZE(exit_sizes); i++) {
		measure_all_exits(exit_sizes[i], false);
		if (has_table)
			measure_all_exits(exit_sizes[i], true);
	}

	measure_create_vm();

	for (nr = 1; nr <= max_vcpus; nr *= 4) {
		measure_vm(0, false, nr);
		measure_vm(32, false, nr);
		if (has_table)
			measure_vm(32, true, nr);
	}
	free(t);
	return 0;
}
