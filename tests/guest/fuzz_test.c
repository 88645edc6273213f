// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test random sequences of the ioctls that set, get and use guest CPUID, with random
 * tables, good and bad, against a model of what they should do.
 *
 * A sequence is the life of a VM.  It depends on its seed alone, so that a sequence that
 * fails can be repeated.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <getopt.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "util.h"

#define DEFAULT_SECONDS		10
/* Destroying a VM is mostly waiting: have many VMs at a time. */
#define NR_PROCESSES		8
#define MAX_VCPUS		4
#define MAX_STEPS		60
#define MEMORY_SIZE		(4 * 4096)

static void do_set(void);
static void do_get(void);
static void do_create(void);
static void do_vcpu_set2(void);
static void do_vcpu_set(void);
static void do_vcpu_get2(void);
static void do_xen_id(void);

static const struct {
	const char *name;
	void (*op)(void);
	int weight;
} ops[] = {
	{ "KVM_VM_SET_CPUID", do_set, 20 },
	{ "KVM_VM_GET_CPUID", do_get, 10 },
	{ "KVM_CREATE_VCPU", do_create, 6 },
	{ "KVM_SET_CPUID2", do_vcpu_set2, 8 },
	{ "KVM_SET_CPUID", do_vcpu_set, 3 },
	{ "KVM_GET_CPUID2", do_vcpu_get2, 10 },
	{ "KVM_XEN_VCPU_SET_ATTR", do_xen_id, 4 },
};

/* Shared by the processes. */
static struct {
	atomic_bool is_over;
	atomic_ulong nr_sequences, nr_ops[ARRAY_SIZE(ops)], nr_errors[256];
	u64 seeds[NR_PROCESSES];
} *shared;

/* What the VM must have: its table, and the settings of its vCPUs. */
static struct {
	struct kvm_vm *vm;
	struct kvm_cpuid2 *table;
	int nr_vcpus;
	struct {
		int fd;
		u32 id, xen_id;
		bool has_xen_id;
	} vcpus[MAX_VCPUS];
} model;

/* The end of the mapped memory. */
static void *memory_end;
static u32 max_vcpu_id;

static void expect(const char *what, int r, int error)
{
	atomic_fetch_add(&shared->nr_errors[r < 0 ? min(errno, 255) : 0], 1);
	assert_errno(what, r, error);
}

/* Change a table, often so that KVM rejects it. */
static void mutate(struct kvm_cpuid2 *t)
{
	struct kvm_cpuid_entry2 *e = &t->entries[random_below(t->nent)];

	switch (random_below(8)) {
	case 0:
		e->padding[random_below(3)] = random_value();
		break;
	case 1:
		e->flags = random_value();
		break;
	case 2:
		e->flags ^= CPUID_INDEXED;
		break;
	case 3:
		e->function ^= BIT(8 + random_below(24));
		break;
	case 4:
		*e = t->entries[0];
		break;
	case 5:
		*e = (struct kvm_cpuid_entry2) { 0x80000008, .eax = random_value() };
		break;
	case 6:
		*e = (struct kvm_cpuid_entry2) { 0xd, .eax = XFEATURE_MASK_XTILE_DATA };
		break;
	default:
		e->index = random_value();
	}
}

/* In KVM's order: is all of it mapped, and is anything else wrong? */
static int model_set_error(const struct kvm_cpuid2 *t, u32 room, u32 *padding)
{
	int error;

	if (t->nent > CPUID_MAX_ENTRIES)
		return E2BIG;
	if (*padding)
		return EINVAL;
	if (room < t->nent)
		return EFAULT;
	error = -ref_set(t->entries, t->nent, padding, 0);
	return error ?: model.nr_vcpus ? EBUSY : 0;
}

static void do_set(void)
{
	struct kvm_cpuid2 *t = random_table(), *arg;
	u32 room = t->nent, padding;
	int i, error;

	for (i = one_in(2) ? 0 : random_below(3); i; i--)
		mutate(t);
	if (one_in(24))
		t->nent = one_in(2) ? CPUID_MAX_ENTRIES + 1 : random_u32() | 0x200;
	else if (one_in(12))
		t->nent = 0;
	if (one_in(24))
		t->padding = random_value();
	if (one_in(24))
		room = random_below(room);

	arg = memory_end - kvm_cpuid2_size(room);
	memcpy(arg, t, kvm_cpuid2_size(room));
	padding = t->padding;
	error = model_set_error(t, room, &padding);
	expect("KVM_VM_SET_CPUID", __vm_set_cpuid(model.vm, arg), error);

	TEST_ASSERT_EQ(arg->nent, t->nent);
	TEST_ASSERT_EQ(arg->padding, padding);
	TEST_ASSERT(!memcmp(arg->entries, t->entries, room * sizeof(*t->entries)),
		    "The table that was given has changed");
	if (!error) {
		free(model.table);
		model.table = t->nent ? t : NULL;
	}
	if (error || !t->nent)
		free(t);
}

static void do_get(void)
{
	u32 size = model.table ? model.table->nent : 0;
	u32 nent = one_in(4) ? random_u32() : random_below(size + 8);
	u32 room = one_in(12) ? random_below(size + 1) : size;
	struct kvm_cpuid2 *arg = memory_end - kvm_cpuid2_size(room), *expected;

	memset(arg, 0x5a, kvm_cpuid2_size(room));
	arg->nent = nent;
	expect("KVM_VM_GET_CPUID", __vm_get_cpuid(model.vm, arg),
	       !model.table ? ENOENT : nent < size ? E2BIG : room < size ? EFAULT : 0);
	if (!model.table) {
		TEST_ASSERT_EQ(arg->nent, nent);
	} else if (nent < size) {
		TEST_ASSERT_EQ(arg->nent, size);
	} else if (room == size) {
		expected = model_table(model.table, 0);
		assert_same_cpuid("KVM_VM_GET_CPUID", arg, expected);
		free(expected);
	}
}

static void do_create(void)
{
	const u32 ids[] = { random_below(4), 255, 300, max_vcpu_id - 1, max_vcpu_id };
	u32 id = ids[random_below(ARRAY_SIZE(ids))];
	int i, error = id >= max_vcpu_id ? EINVAL : 0, fd;

	for (i = 0; i < model.nr_vcpus; i++) {
		if (model.vcpus[i].id == id)
			error = EEXIST;
	}
	if (!error && model.nr_vcpus == MAX_VCPUS)
		return;

	fd = __vm_ioctl(model.vm, KVM_CREATE_VCPU, (void *)(unsigned long)id);
	expect("KVM_CREATE_VCPU", fd, error);
	if (error)
		return;
	model.vcpus[model.nr_vcpus].fd = fd;
	model.vcpus[model.nr_vcpus].id = id;
	model.vcpus[model.nr_vcpus++].has_xen_id = false;
}

/* A vCPU, or -1. */
static int random_vcpu(void)
{
	return model.nr_vcpus ? random_below(model.nr_vcpus) : -1;
}

static void do_vcpu_set2(void)
{
	struct kvm_cpuid2 *t = random_table();
	int i = random_vcpu();

	if (i >= 0)
		expect("KVM_SET_CPUID2", ioctl(model.vcpus[i].fd, KVM_SET_CPUID2, t),
		       model.table ? EBUSY : 0);
	free(t);
}

static void do_vcpu_set(void)
{
	struct kvm_cpuid none = {};
	int i = random_vcpu();

	if (i >= 0)
		expect("KVM_SET_CPUID", ioctl(model.vcpus[i].fd, KVM_SET_CPUID, &none),
		       model.table ? EBUSY : 0);
}

static void do_vcpu_get2(void)
{
	struct kvm_cpuid2 *seen, *expected;
	int i = random_vcpu(), j;

	if (i < 0 || !model.table)
		return;
	seen = vcpu_table(model.vcpus[i].fd);
	expected = model_new_vcpu(model.table, model.vcpus[i].id);
	for (j = 0; j < expected->nent && model.vcpus[i].has_xen_id; j++) {
		if (ref_has_xen_id(expected->entries, expected->nent, j))
			expected->entries[j].ebx = model.vcpus[i].xen_id;
	}
	assert_same_cpuid("KVM_GET_CPUID2", seen, expected);
	free(seen);
	free(expected);
}

static void do_xen_id(void)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID,
		.u.vcpu_id = random_below(100),
	};
	int i = random_vcpu();

	if (i < 0 || !(kvm_check_cap(KVM_CAP_XEN_HVM) & KVM_XEN_HVM_CONFIG_EVTCHN_SEND))
		return;
	expect("KVM_XEN_VCPU_SET_ATTR", ioctl(model.vcpus[i].fd, KVM_XEN_VCPU_SET_ATTR, &attr), 0);
	model.vcpus[i].has_xen_id = true;
	model.vcpus[i].xen_id = attr.u.vcpu_id;
}

static void do_random_op(bool may_create)
{
	int i, n, total = 0;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		total += ops[i].weight;
	n = random_below(total);
	for (i = 0; n >= ops[i].weight; i++)
		n -= ops[i].weight;
	/* Make many sets, and VMs with and without a table. */
	if (ops[i].op == do_create && !may_create)
		i = 0;
	atomic_fetch_add(&shared->nr_ops[i], 1);
	ops[i].op();
}

static void run_sequence(u64 seed)
{
	int i, nr_steps;

	random_state = seed;
	nr_steps = 1 + random_below(MAX_STEPS);
	model.vm = vm_create_barebones();
	vm_enable_cap(model.vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	for (i = 0; i < nr_steps; i++)
		do_random_op(i >= nr_steps / 3);

	while (model.nr_vcpus)
		close(model.vcpus[--model.nr_vcpus].fd);
	kvm_vm_free(model.vm);
	free(model.table);
	model.table = NULL;
	atomic_fetch_add(&shared->nr_sequences, 1);
}

/* Each process runs every NR_PROCESSESth sequence. */
static void run_process(int process, u64 seed, unsigned long count, int seconds)
{
	time_t deadline = time(NULL) + seconds;
	unsigned long n;

	for (n = process; !shared->is_over; n += NR_PROCESSES) {
		if (count ? n >= count : time(NULL) >= deadline)
			break;
		shared->seeds[process] = seed + n;
		alarm(CASE_TIMEOUT_S);
		run_sequence(seed + n);
	}
}

static bool run_processes(u64 seed, unsigned long count, int seconds)
{
	pid_t pids[NR_PROCESSES];
	bool is_ok = true;
	int i, status;

	fflush(stdout);
	for (i = 0; i < NR_PROCESSES; i++) {
		pids[i] = fork();
		TEST_ASSERT(pids[i] >= 0, "fork");
		if (!pids[i]) {
			run_process(i, seed, count, seconds);
			exit(0);
		}
	}
	for (i = 0; i < NR_PROCESSES; i++) {
		TEST_ASSERT(waitpid(pids[i], &status, 0) == pids[i], "waitpid");
		if (!status)
			continue;
		is_ok = false;
		shared->is_over = true;
		ksft_print_msg("%s; repeat it with -r 0x%lx -n 1\n", WIFEXITED(status) ? "failed" :
			       WTERMSIG(status) == SIGALRM ? "hangs" : "crashed", shared->seeds[i]);
	}
	return is_ok;
}

int main(int argc, char *argv[])
{
	int opt, i, seconds = DEFAULT_SECONDS;
	u64 seed = new_seed();
	unsigned long count = 0;
	bool is_ok;

	setlinebuf(stdout);
	while ((opt = getopt(argc, argv, "hs:r:n:")) != -1) {
		if (opt == 's')
			seconds = atoi(optarg);
		else if (opt == 'r')
			seed = strtoull(optarg, NULL, 0);
		else if (opt == 'n')
			count = strtoul(optarg, NULL, 0);
		if (opt == 'h' || opt == '?' || seconds < 1) {
			printf("usage: %s [-s SECONDS | -n SEQUENCES] [-r SEED]\n", argv[0]);
			exit(opt != 'h');
		}
	}

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));
	max_vcpu_id = kvm_check_cap(KVM_CAP_MAX_VCPU_ID);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memory_end = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(shared != MAP_FAILED && memory_end != MAP_FAILED, "Out of memory");
	memory_end += MEMORY_SIZE - 4096;
	TEST_ASSERT(!mprotect(memory_end, 4096, PROT_NONE), "mprotect");

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(ops) + 1);
	ksft_print_msg("seed 0x%lx\n", seed);
	is_ok = run_processes(seed, count, seconds);
	for (i = 0; i < ARRAY_SIZE(shared->nr_errors); i++) {
		if (shared->nr_errors[i])
			ksft_print_msg("%lu times: %s\n", shared->nr_errors[i], strerror(i));
	}
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		ksft_print_msg("done %lu times\n", shared->nr_ops[i]);
		/* Each operation and error must have occurred; a few sequences may lack some. */
		ksft_test_result(shared->nr_ops[i] || count, "%s\n", ops[i].name);
	}
	ksft_print_msg("%lu sequences\n", shared->nr_sequences);
	ksft_test_result(is_ok, "all sequences are as the model says\n");
	ksft_finished();
}
