// SPDX-License-Identifier: GPL-2.0-only
/*
 * What guest CPUID costs: with a table for each vCPU (KVM_SET_CPUID2), and with
 * one table for the VM (KVM_VM_SET_CPUID).
 *
 * Prints comma-separated values, a line per figure, in cycles of the TSC.  Without
 * KVM_CAP_VM_CPUID, what does not need it is measured all the same.
 */
#include <getopt.h>
#include <sys/ioctl.h>

#include "../tests/guest/util.h"

/* Who has the table: nobody, as nobody has called an ioctl, each vCPU, or the VM. */
enum way { WAY_NONE, WAY_VCPU, WAY_VM, NR_WAYS };

static const char *const way_names[NR_WAYS] = { "none", "vcpu", "vm" };

static const u32 sizes[] = { 1, 2, 4, 8, 10, 16, 32, 64, 128, 256 };

static enum way nr_ways = NR_WAYS;
static u32 nr_rounds = 7;
static u32 max_vcpus = 16;

#define MAX_ROUNDS	99

/* Without the interrupts and the empty slabs that others paid for. */
static u64 least(const u64 *figures, int nr)
{
	u64 result = figures[0];

	while (nr--)
		result = min(result, figures[nr]);
	return result;
}

/* Straight to the system call, what the libraries do on the way isn't of interest. */
static int timed_ioctl(int fd, unsigned long cmd, const void *arg, u64 *cycles)
{
	u64 start = rdtsc();
	int r = ioctl(fd, cmd, arg);

	*cycles = rdtsc() - start;
	TEST_ASSERT(r >= 0, "ioctl 0x%lx failed: %s", cmd, strerror(errno));
	return r;
}

static u64 vm_set_cpuid_timed(struct kvm_vm *vm, const struct kvm_cpuid2 *table)
{
	struct kvm_cpuid2 *copy = cpuid_copy(table);
	u64 cycles;

	timed_ioctl(vm->fd, KVM_VM_SET_CPUID, copy, &cycles);
	free(copy);
	return cycles;
}

/*
 * The first @nent entries of what KVM supports, sorted, or all of them and as
 * many more as are missing.  Of what is filled in, one in four has subleaves.
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
	cpuid_sort(t);
	t->nent = nent;
	return t;
}

/* The guest times each of its operations. */
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
	"	jmp	9f\n"
	"2:	cmpl	$" __stringify(GUEST_OP_RDMSR) ", (%esi)\n"
	"	jne	3f\n"
	"	rdtsc\n"
	"	mov	%eax, %ebp\n"
	"	mov	12(%esi), %ecx\n"
	"	rdmsr\n"
	"	jmp	9f\n"
	"3:	cmpl	$" __stringify(GUEST_OP_SET_CR4) ", (%esi)\n"
	"	jne	4f\n"
	"	rdtsc\n"
	"	mov	%eax, %ebp\n"
	"	mov	4(%esi), %eax\n"
	"	mov	%eax, %cr4\n"
	"	jmp	9f\n"
	"4:	out	%al, $0x80\n"
	"	jmp	vm_cpuid_timed_start\n"
	"9:	rdtsc\n"
	"	sub	%ebp, %eax\n"
	"	mov	%eax, 16(%esi)\n"
	"	add	$20, %esi\n"
	"	jmp	1b\n"
	"vm_cpuid_timed_end:\n"
	".code64\n"
	".popsection\n");

static struct kvm_vm *create_vm(enum way way, const struct kvm_cpuid2 *table)
{
	struct kvm_vm *vm = vm_cpuid_create_vm();

	memcpy(addr_gpa2hva(vm, GUEST_CODE_GPA), vm_cpuid_timed_start,
	       vm_cpuid_timed_end - vm_cpuid_timed_start);
	if (way == WAY_VM)
		vm_set_cpuid_timed(vm, table);
	return vm;
}

static struct kvm_vcpu *add_vcpu(struct kvm_vm *vm, u32 id, enum way way,
				 const struct kvm_cpuid2 *table)
{
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, id);

	if (way == WAY_VCPU)
		vcpu_ioctl(vcpu, KVM_SET_CPUID2, table);
	guest_init(vcpu);
	return vcpu;
}

/* A new vCPU, among others, until it is ready to run; and its first run. */
static void measure_bring_up(enum way way, u32 nent)
{
	u64 create[MAX_ROUNDS] = {}, set[MAX_ROUNDS] = {};
	u64 ready[MAX_ROUNDS] = {}, run[MAX_ROUNDS] = {};
	struct kvm_cpuid2 *table = sized_table(nent);
	struct kvm_vm *vm = vm_cpuid_create_vm();
	u64 vm_set = 0;
	int i, fd;

	if (way == WAY_VM)
		vm_set = vm_set_cpuid_timed(vm, table);

	for (i = 0; i < nr_rounds; i++) {
		fd = timed_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)(long)i, &create[i]);
		if (way == WAY_VCPU)
			timed_ioctl(fd, KVM_SET_CPUID2, table, &set[i]);
		ready[i] = create[i] + set[i];
		close(fd);
	}
	kvm_vm_free(vm);

	/* Nothing must have been put off. */
	vm = create_vm(way, table);
	for (i = 0; i < nr_rounds; i++)
		timed_ioctl(add_vcpu(vm, i, way, table)->fd, KVM_RUN, NULL, &run[i]);
	kvm_vm_free(vm);
	free(table);

	printf("bring-up,%s,%u,%lu,%lu,%lu,%lu,%lu\n", way_names[way], nent,
	       least(create, nr_rounds), least(set, nr_rounds), least(ready, nr_rounds),
	       least(run, nr_rounds), vm_set);
}

/* Bytes that the kernel holds, in its slabs and by vmalloc(). */
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

/*
 * A whole VM: its vCPUs ready to run, and what they take.  The VM stays, so that
 * the next one can't have the memory that this one leaves behind.
 */
static void measure_vm(enum way way, u32 nr_vcpus)
{
	struct kvm_cpuid2 *table = sized_table(0);
	struct kvm_vm *vm = vm_cpuid_create_vm();
	u64 cycles, ready = 0, memory;
	u32 i;
	int fd;

	table->nent = topology_table()->nent;

	memory = kernel_memory();
	if (way == WAY_VM)
		ready = vm_set_cpuid_timed(vm, table);
	for (i = 0; i < nr_vcpus; i++) {
		fd = timed_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)(long)i, &cycles);
		ready += cycles;
		if (way == WAY_VCPU) {
			timed_ioctl(fd, KVM_SET_CPUID2, table, &cycles);
			ready += cycles;
		}
		/* The VM keeps its vCPU. */
		close(fd);
	}
	memory = kernel_memory() - memory;

	printf("vm,%s,%u,%u,%lu,%ld\n", way_names[way], table->nent, nr_vcpus, ready, memory);
	free(table);
}

/* Run the operations again and again; each one's EDX is what it took. */
static void time_guest(struct kvm_vcpu *vcpu, const struct guest_op *ops, int nr, u64 *cycles)
{
	u64 (*rounds)[MAX_ROUNDS] = calloc(nr, sizeof(*rounds));
	struct guest_op *copy = calloc(nr, sizeof(*copy));
	int i, round;

	TEST_ASSERT(rounds && copy, "Out of memory");
	for (round = -1; round < (int)nr_rounds; round++) {
		memcpy(copy, ops, nr * sizeof(*ops));
		guest_run(vcpu, copy, nr);
		/* The first one is to warm up. */
		for (i = 0; i < nr && round >= 0; i++)
			rounds[i][round] = copy[i].edx;
	}
	for (i = 0; i < nr; i++)
		cycles[i] = least(rounds[i], nr_rounds);
	free(rounds);
	free(copy);
}

/*
 * CPUID for every entry, or for the one leaf that @leaf says.  If @dirty, what
 * CPUID reports of CR4 has changed before each.
 */
static void measure_exits(enum way way, const struct kvm_cpuid2 *table,
			  const struct kvm_cpuid_entry2 *leaf, const char *what,
			  bool dirty, u64 xcr0)
{
	struct kvm_vm *vm = create_vm(way, table);
	struct kvm_vcpu *vcpu = add_vcpu(vm, 0, way, table);
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = xcr0 };
	const struct kvm_cpuid_entry2 *e = leaf ?: table->entries;
	const int nr = leaf ? 1 : table->nent, per_leaf = dirty ? 2 : 1;
	struct guest_op *ops = calloc(nr * per_leaf, sizeof(*ops)), *op = ops;
	u64 *cycles = calloc(nr * per_leaf, sizeof(*cycles));
	int i;

	TEST_ASSERT(ops && cycles, "Out of memory");
	if (xcr0)
		vcpu_ioctl(vcpu, KVM_SET_XCRS, &xcrs);

	for (i = 0; i < nr; i++) {
		if (dirty) {
			op->op = GUEST_OP_SET_CR4;
			op++->eax = i % 2 ? 0 : X86_CR4_OSXSAVE;
		}
		op->op = GUEST_OP_CPUID;
		op->eax = e[i].function;
		op++->ecx = e[i].index;
	}
	/* The last one's next one is the first one. */
	time_guest(vcpu, ops, nr * per_leaf, cycles);

	for (i = 0; i < nr; i++)
		printf("exit,%s,%u,%s,%d,0x%x,0x%x,%lu\n", way_names[way], table->nent, what,
		       leaf ? -1 : i + 1, e[i].function, e[i].index,
		       cycles[i * per_leaf + per_leaf - 1]);

	kvm_vm_free(vm);
	free(cycles);
	free(ops);
}

static void measure_all_exits(enum way way, u32 nent)
{
	const struct kvm_cpuid_entry2 miss = { .function = 0x1b };
	const struct kvm_cpuid_entry2 beyond = { .function = 0x3000 };
	struct kvm_cpuid2 *table = sized_table(nent);
	const struct kvm_cpuid_entry2 *e;

	measure_exits(way, table, NULL, "hit", false, 0);
	measure_exits(way, table, &miss, "miss", false, 0);
	measure_exits(way, table, &beyond, "beyond", false, 0);

	e = cpuid_first(table, 1);
	if (e && e->ecx & BIT_XSAVE)
		measure_exits(way, table, NULL, "dirty", true, 0);

	e = cpuid_find(table, 0xd, 0);
	if (e)
		measure_exits(way, table, e, "xsave", false, e->eax);
	e = cpuid_find(table, 0xd, 1);
	if (e)
		measure_exits(way, table, e, "xsave", false, cpuid_find(table, 0xd, 0)->eax);

	/* Intel's CPUs answer with the last basic leaf. */
	put_vendor(table, 0, 0x1f, "GenuineIntel");
	measure_exits(way, table, &beyond, "beyond-intel", false, 0);
	free(table);
}

/* What has little or nothing to do with guest CPUID. */
static void measure_rest(enum way way)
{
	struct kvm_cpuid2 *table = topology_table(), *out = cpuid_alloc();
	struct guest_op ops[] = {
		{ .op = GUEST_OP_RDMSR, .ecx = MSR_IA32_APICBASE },
		{ .op = GUEST_OP_SET_CR4, .eax = X86_CR4_DE },
		{ .op = GUEST_OP_SET_CR4, .eax = 0 },
	};
	static const char *const names[] = { "rdmsr", "cr4-set", "cr4-clear" };
	u64 run[MAX_ROUNDS] = {}, get[MAX_ROUNDS] = {}, create[MAX_ROUNDS] = {};
	u64 cycles[ARRAY_SIZE(ops)];
	int kvm_fd = open(KVM_DEV_PATH, O_RDWR), i;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	TEST_ASSERT(kvm_fd >= 0, "Cannot open " KVM_DEV_PATH);
	cpuid_sort(table);
	vm = create_vm(way, table);
	vcpu = add_vcpu(vm, 0, way, table);

	time_guest(vcpu, ops, ARRAY_SIZE(ops), cycles);
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		printf("rest,%s,%s,%lu\n", way_names[way], names[i], cycles[i]);

	guest_run(vcpu, ops, 0);
	for (i = 0; i < nr_rounds; i++) {
		out->nent = CPUID_MAX_ENTRIES;
		timed_ioctl(vcpu->fd, KVM_RUN, NULL, &run[i]);
		timed_ioctl(vcpu->fd, KVM_GET_CPUID2, out, &get[i]);
		close(timed_ioctl(kvm_fd, KVM_CREATE_VM, NULL, &create[i]));
	}
	printf("rest,%s,run,%lu\n", way_names[way], least(run, nr_rounds));
	printf("rest,%s,get,%lu\n", way_names[way], least(get, nr_rounds));
	printf("rest,%s,create-vm,%lu\n", way_names[way], least(create, nr_rounds));

	kvm_vm_free(vm);
	close(kvm_fd);
	free(table);
	free(out);
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
	int opt, i;
	enum way way;
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

	if (!kvm_has_cap(KVM_CAP_VM_CPUID))
		nr_ways = WAY_VM;

	puts("# bring-up,way,entries,create,set,ready,first run,KVM_VM_SET_CPUID");
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (way = WAY_VCPU; way < nr_ways; way++)
			measure_bring_up(way, sizes[i]);
	}
	measure_bring_up(WAY_NONE, 0);

	puts("# exit,way,entries,what,position,function,index,cycles");
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (way = WAY_VCPU; way < nr_ways; way++)
			measure_all_exits(way, sizes[i]);
	}

	puts("# rest,way,what,cycles");
	for (way = WAY_NONE; way < nr_ways; way++)
		measure_rest(way);

	puts("# vm,way,entries,vcpus,ready,bytes");
	for (nr = 1; nr <= max_vcpus; nr *= 4) {
		for (way = WAY_NONE; way < nr_ways; way++)
			measure_vm(way, nr);
	}
	return 0;
}
