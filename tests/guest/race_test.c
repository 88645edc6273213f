// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that KVM_VM_SET_CPUID keeps its promises when it races with itself, with
 * KVM_VM_GET_CPUID, with the creation of vCPUs, with their own CPUID ioctls, and
 * with the end of the VM.
 *
 * Groups of threads do random operations on a few VMs that they share, and log
 * what they did, when they began, and when they were done.  Then the group's
 * first thread checks for each VM that the operations can have happened in an
 * order in which every result is right.  Then the group goes on with new VMs.
 *
 * What a thread does depends on the seed alone, how threads interleave doesn't.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <linux/userfaultfd.h>

#include "util.h"

#define DEFAULT_SECONDS		10
#define DEFAULT_THREADS		16
#define MAX_THREADS		256
#define GROUP_THREADS		4
#define MAX_VMS			4
#define MAX_VCPUS		32
/* A thread's operations on the VMs of a round, before and after the first creation. */
#define MAX_OPS_WITHOUT_VCPU	150
#define MAX_OPS_WITH_VCPUS	24
#define MAX_OPS			(MAX_OPS_WITHOUT_VCPU + MAX_OPS_WITH_VCPUS)

/* Violations to report in full; one is enough to end the test. */
#define MAX_REPORTS		3

#define NR_TABLES		8

/* What isn't one of the tables. */
#define NO_TABLE		-1
#define UNKNOWN_TABLE		-2

/* All different; similar sizes make that freed memory is used again soon. */
static const u32 table_sizes[NR_TABLES] = { 5, 6, 7, 8, 20, 205, 230, 256 };

struct table {
	/* In no particular order, with junk in the fields that KVM computes. */
	struct kvm_cpuid2 *input;
	struct kvm_cpuid2 *canonical;
};

static struct table tables[NR_TABLES];

enum invariant {
	SET_SUCCEEDS,
	SET_IS_BUSY,
	LAST_SET_COUNTS,
	ONE_TABLE,
	WHOLE_TABLE,
	VCPU_SET,
	ERRORS,
	NR_INVARIANTS
};

static struct {
	const char *name;
	atomic_ulong checked, violated;
} invariants[NR_INVARIANTS] = {
	[SET_SUCCEEDS]		= { "no table is set once a vCPU exists" },
	[SET_IS_BUSY]		= { "EBUSY only if a vCPU exists or is being created" },
	[LAST_SET_COUNTS]	= { "the table that was set last is in force" },
	[ONE_TABLE]		= { "all vCPUs of a VM have its table" },
	[WHOLE_TABLE]		= { "a get returns a whole table that wasn't replaced" },
	[VCPU_SET]		= { "a vCPU's table can be set if and only if the VM has none" },
	[ERRORS]		= { "nothing but the documented errors appears" },
};

enum op {
	SET,
	SET_BAD,
	GET,
	GET_SMALL,
	READ_DEBUGFS,
	CREATE,
	CREATE_AND_FAIL,
	VCPU_SET_CPUID,
	VCPU_SET_CPUID2,
	VCPU_GET_CPUID2,
	VCPU_GET_SMALL,
	CLOSE_VCPU,
	CLOSE_VM,
	NR_OPS
};

/* Few creations, as they end the interesting part of a VM's life. */
static const struct {
	const char *name;
	int weight;
} ops[NR_OPS] = {
	[SET]			= { "set", 30 },
	[SET_BAD]		= { "set bad", 6 },
	[GET]			= { "get", 12 },
	[GET_SMALL]		= { "get small", 3 },
	[READ_DEBUGFS]		= { "read debugfs", 2 },
	[CREATE]		= { "create", 9 },
	[CREATE_AND_FAIL]	= { "create and fail", 2 },
	[VCPU_SET_CPUID]	= { "vCPU set", 4 },
	[VCPU_SET_CPUID2]	= { "vCPU set2", 6 },
	[VCPU_GET_CPUID2]	= { "vCPU get2", 12 },
	[VCPU_GET_SMALL]	= { "vCPU get2 small", 2 },
	[CLOSE_VCPU]		= { "close vCPU", 4 },
	[CLOSE_VM]		= { "close VM", 1 },
};

struct event {
	enum op op;
	int vm;
	int worker;
	/* What was set or seen, or the vCPU's id. */
	int arg;
	/* 0 or an errno. */
	int result;
	/* In ticks of the group's clock. */
	unsigned long start, end;
	/* When another table is in force for sure, if this is a set. */
	unsigned long replaced;
};

struct vm {
	int fd;
	pid_t creator;
	bool has_debugfs;

	/* Protects the vCPUs' file descriptors, but not what is done to them. */
	pthread_mutex_t lock;
	int nr_vcpus;
	struct {
		int fd;
		u32 id;
	} vcpus[MAX_VCPUS];
};

struct worker {
	struct group *group;
	int index;
	pthread_t thread;
	struct kvm_cpuid2 *table;
	int vm_fds[MAX_VMS];
	int nr_events;
	struct event events[MAX_OPS];
	/* For a child process, while this thread waits for it. */
	char stack[16384] __aligned(16);
};

struct group {
	int index;
	int nr_workers;
	struct worker workers[GROUP_THREADS];
	u64 round;
	bool done;
	int nr_ops_without_vcpu;
	int nr_vms;
	struct vm vms[MAX_VMS];
	atomic_ulong clock;

	/* What happened to the VM that is being checked. */
	int nr_events;
	struct event events[GROUP_THREADS * MAX_OPS];

	pthread_barrier_t barrier;
	atomic_int nr_ready;
};

static int kvm_fd;
static u32 max_vcpu_id;
static u64 seed;
static struct timespec deadline;
static atomic_int nr_reports;
static atomic_bool failed;
static atomic_ulong nr_vms, nr_rounds, op_counts[NR_OPS], set_counts[2];

static u64 mix(u64 a, u64 b)
{
	u64 state = a + b * 0x632be59bd9b4e019ull;

	return next_random(&state);
}

/* More than the largest table, in pages of its own. */
#define BUFFER_SIZE	(4 * 4096)

static struct kvm_cpuid2 *alloc_buffer(void)
{
	void *buffer = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(buffer != MAP_FAILED, "Out of memory");
	return buffer;
}

/*
 * Prepare for a get.  That page faults interrupt KVM's copying makes it slow,
 * just as if the process was swapped out, and so gives others a chance.
 */
static struct kvm_cpuid2 *make_room(struct kvm_cpuid2 *buffer)
{
	madvise(buffer, BUFFER_SIZE, MADV_DONTNEED);
	buffer->nent = CPUID_MAX_ENTRIES;
	return buffer;
}

static bool has_ids(const struct kvm_cpuid2 *table, u32 id)
{
	struct kvm_cpuid2 *t = cpuid_copy(table);
	bool is_same;

	fill_ids(t, id);
	is_same = !memcmp(t->entries, table->entries, t->nent * sizeof(t->entries[0]));
	free(t);
	return is_same;
}

/* All entries of a table differ from those of all others. */
static void init_tables(void)
{
	static const struct kvm_cpuid_entry2 first_entries[] = {
		{ 0x0 }, { 0x1 }, { 0xb, 0, CPUID_INDEXED }, { 0xb, 1, CPUID_INDEXED },
		{ 0x80000026, 0, CPUID_INDEXED },
	};
	struct kvm_cpuid_entry2 *e;
	struct kvm_cpuid2 *t;
	int i, n;

	random_state = seed;

	for (i = 0; i < NR_TABLES; i++) {
		t = cpuid_alloc();
		for (n = 0; n < table_sizes[i]; n++) {
			e = &t->entries[n];
			if (n < ARRAY_SIZE(first_entries))
				*e = first_entries[n];
			else
				e->function = 0x1000 + n;
			e->eax = random_u32();
			e->ebx = random_u32();
			e->ecx = random_u32();
			e->edx = random_u32();
			/* No features with requirements to other leaves. */
			if (e->function == 0x1)
				e->ecx &= 0x7;
		}
		t->nent = n;
		shuffle(t);
		tables[i].input = t;
		tables[i].canonical = canonical(t);
	}
}

static int identify_canonical(const struct kvm_cpuid2 *table)
{
	int i;

	for (i = 0; i < NR_TABLES; i++) {
		if (table->nent == tables[i].canonical->nent &&
		    !table->padding &&
		    !memcmp(table->entries, tables[i].canonical->entries,
			    table->nent * sizeof(table->entries[0])))
			return i;
	}
	return UNKNOWN_TABLE;
}

/*
 * Which table a vCPU has.  If that is the VM's table, then it has the vCPU's IDs
 * and is sorted, else it has what its setter left there.
 */
static int identify_vcpu_table(const struct kvm_cpuid2 *table, u32 id, bool *is_vm_table)
{
	struct kvm_cpuid2 *t;
	int i;

	/* KVM_SET_CPUID sets one entry or none, which isn't one of the tables. */
	*is_vm_table = table->nent > 1 && has_ids(table, id);
	if (table->nent <= 1)
		return NO_TABLE;

	t = canonical(table);
	i = identify_canonical(t);
	free(t);
	return i;
}

static const char *table_str(int table)
{
	static const char * const names[NR_TABLES] = { "0", "1", "2", "3", "4", "5", "6", "7" };

	return table == NO_TABLE ? "none" : table == UNKNOWN_TABLE ? "unknown" : names[table];
}

static int compare_events(const void *a, const void *b)
{
	const struct event *l = a, *r = b;

	return l->start < r->start ? -1 : 1;
}

static bool is_good_set(const struct event *e)
{
	return e->op == SET && !e->result;
}

/* In the order in which they began. */
static void collect_events(struct group *g, int vm)
{
	unsigned long replaced;
	struct event *e, *later;
	struct worker *w;
	int i;

	g->nr_events = 0;
	for (w = g->workers; w < g->workers + g->nr_workers; w++) {
		for (i = 0; i < w->nr_events; i++) {
			if (w->events[i].vm == vm)
				g->events[g->nr_events++] = w->events[i];
		}
	}
	qsort(g->events, g->nr_events, sizeof(g->events[0]), compare_events);

	/* A set replaces those that were done when it began. */
	for (e = g->events; e < g->events + g->nr_events; e++) {
		replaced = -1ul;
		for (later = e + 1; later < g->events + g->nr_events; later++) {
			if (is_good_set(later) && later->start > e->end && later->end < replaced)
				replaced = later->end;
		}
		e->replaced = replaced;
	}
}

static void report_events(struct group *g)
{
	const struct event *e;

	for (e = g->events; e < g->events + g->nr_events; e++)
		ksft_print_msg("  %3lu to %3lu: thread %d: %s %d: %s\n", e->start, e->end,
			       e->worker, ops[e->op].name, e->arg,
			       e->result ? strerror(e->result) : "done");
}

/* Count a check and say whether it failed.  @vm is -1 as long as the VM is in use. */
static bool __printf(5, 6) violates(struct group *g, int vm, enum invariant invariant, bool ok,
				    const char *fmt, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	char what[256];
	va_list args;

	atomic_fetch_add(&invariants[invariant].checked, 1);
	if (ok)
		return false;

	atomic_fetch_add(&invariants[invariant].violated, 1);
	atomic_store(&failed, true);
	if (atomic_fetch_add(&nr_reports, 1) >= MAX_REPORTS)
		return true;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);

	pthread_mutex_lock(&lock);
	ksft_print_msg("violated: %s\n", invariants[invariant].name);
	ksft_print_msg("%s (group %d, round %llu, VM %d)\n", what, g->index,
		       (unsigned long long)g->round, vm);
	if (vm >= 0)
		report_events(g);
	pthread_mutex_unlock(&lock);
	return true;
}

static unsigned long tick(struct group *g)
{
	return atomic_fetch_add(&g->clock, 1) + 1;
}

static int __ioctl(struct group *g, struct event *e, int fd, unsigned long cmd, void *arg)
{
	int r;

	e->start = tick(g);
	r = ioctl(fd, cmd, arg);
	e->result = r < 0 ? errno : 0;
	e->end = tick(g);
	return r;
}

static void check_error(struct worker *w, struct event *e, int a, int b)
{
	int r = e->result;

	violates(w->group, -1, ERRORS, !r || r == a || r == b, "%s %d: %s", ops[e->op].name,
		 e->arg, strerror(r));
}

/* Of one of the tables, or of none. */
static void op_set(struct worker *w, struct event *e, int fd)
{
	struct kvm_cpuid2 none = { };

	e->arg = random_below(NR_TABLES + 1) - 1;
	static_assert(NO_TABLE == -1, "as it is drawn");
	/* Not written by KVM. */
	__ioctl(w->group, e, fd, KVM_VM_SET_CPUID,
		e->arg == NO_TABLE ? &none : tables[e->arg].input);
	atomic_fetch_add(&set_counts[!!e->result], 1);
	check_error(w, e, EBUSY, 0);
}

/* It never succeeds; that it has no effect shows in that its table is never seen. */
static void op_set_bad(struct worker *w, struct event *e, int fd)
{
	const struct kvm_cpuid2 *input = tables[random_below(NR_TABLES)].input;
	struct kvm_cpuid2 *t = w->table;
	void *arg = t;
	int expected;

	t->nent = input->nent;
	t->padding = 0;
	memcpy(t->entries, input->entries, t->nent * sizeof(t->entries[0]));

	expected = EINVAL;
	e->arg = random_below(5);
	switch (e->arg) {
	case 0:
		arg = NULL;
		expected = EFAULT;
		break;
	case 1:
		t->padding = 1;
		break;
	case 2:
		t->entries[t->nent - 1].padding[2] = 1;
		break;
	case 3:
		/* The first entry once more. */
		t->entries[t->nent - 1] = t->entries[0];
		break;
	case 4:
		t->nent = CPUID_MAX_ENTRIES + 1;
		expected = E2BIG;
		break;
	}

	__ioctl(w->group, e, fd, KVM_VM_SET_CPUID, arg);
	violates(w->group, -1, ERRORS, e->result == expected || e->result == EBUSY, "%s %d: %s",
		 ops[e->op].name, e->arg, strerror(e->result));
}

static void op_get(struct worker *w, struct event *e, int fd)
{
	__ioctl(w->group, e, fd, KVM_VM_GET_CPUID, make_room(w->table));
	e->arg = e->result ? NO_TABLE : identify_canonical(w->table);
	check_error(w, e, ENOENT, 0);
	violates(w->group, -1, WHOLE_TABLE, e->arg != UNKNOWN_TABLE,
		 "got an unknown table with %u entries", w->table->nent);
}

static void op_get_small(struct worker *w, struct event *e, int fd)
{
	int i;

	w->table->nent = random_below(table_sizes[0]);
	w->table->padding = 0;

	__ioctl(w->group, e, fd, KVM_VM_GET_CPUID, w->table);
	e->arg = NO_TABLE;
	violates(w->group, -1, ERRORS, e->result == E2BIG || e->result == ENOENT, "%s: %s",
		 ops[e->op].name, strerror(e->result));
	if (e->result != E2BIG)
		return;

	e->arg = UNKNOWN_TABLE;
	for (i = 0; i < NR_TABLES; i++) {
		if (w->table->nent == table_sizes[i])
			e->arg = i;
	}
	violates(w->group, -1, WHOLE_TABLE, e->arg != UNKNOWN_TABLE,
		 "got an unknown size, %u entries", w->table->nent);
}

static void op_read_debugfs(struct worker *w, struct event *e, struct vm *vm)
{
	struct kvm_cpuid2 *t = w->table;
	struct kvm_cpuid_entry2 *entry;
	char path[64], line[128];
	const struct kvm_cpuid2 *canonical;
	bool is_same;
	FILE *file;
	int i, j;

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/cpuid", vm->creator, vm->fd);
	t->nent = 0;
	e->start = tick(w->group);
	file = fopen(path, "re");
	if (!file && errno != ENOENT) {
		e->result = errno;
		e->end = tick(w->group);
		check_error(w, e, 0, 0);
		return;
	}
	/* A VM that is gone has none. */
	while (file && fgets(line, sizeof(line), file) && t->nent < CPUID_MAX_ENTRIES) {
		entry = &t->entries[t->nent++];
		if (sscanf(line, " %x %x: eax=%x ebx=%x ecx=%x edx=%x", &entry->function,
			   &entry->index, &entry->eax, &entry->ebx, &entry->ecx,
			   &entry->edx) != 6)
			entry->function = -1;
	}
	if (file)
		fclose(file);
	e->end = tick(w->group);

	e->arg = t->nent ? UNKNOWN_TABLE : NO_TABLE;
	for (i = 0; i < NR_TABLES; i++) {
		canonical = tables[i].canonical;
		is_same = t->nent == canonical->nent;
		for (j = 0; is_same && j < t->nent; j++) {
			/* Flags aren't shown. */
			t->entries[j].flags = canonical->entries[j].flags;
			memset(t->entries[j].padding, 0, sizeof(t->entries[j].padding));
			is_same = !memcmp(&t->entries[j], &canonical->entries[j],
					  sizeof(t->entries[j]));
		}
		if (is_same)
			e->arg = i;
	}
	violates(w->group, -1, WHOLE_TABLE, e->arg != UNKNOWN_TABLE,
		 "read an unknown table with %u entries from debugfs", t->nent);
}

/* Often an id that is in use already, rarely one that is too big. */
static u32 random_vcpu_id(struct worker *w)
{
	switch (random_below(16)) {
	case 0:
		return max_vcpu_id - random_below(2);
	case 1:
		return random_below(max_vcpu_id);
	default:
		return random_below(8);
	}
}

static void op_create(struct worker *w, struct event *e, struct vm *vm, int fd)
{
	bool is_taken = false;
	int vcpu_fd;

	e->arg = random_vcpu_id(w);
	vcpu_fd = __ioctl(w->group, e, fd, KVM_CREATE_VCPU, (void *)(unsigned long)e->arg);
	check_error(w, e, EEXIST, e->arg >= max_vcpu_id ? EINVAL : 0);
	if (vcpu_fd < 0)
		return;

	pthread_mutex_lock(&vm->lock);
	if (vm->nr_vcpus < MAX_VCPUS) {
		vm->vcpus[vm->nr_vcpus].fd = vcpu_fd;
		vm->vcpus[vm->nr_vcpus].id = e->arg;
		vm->nr_vcpus++;
		is_taken = true;
	}
	pthread_mutex_unlock(&vm->lock);
	if (!is_taken)
		close(vcpu_fd);
}

struct creation {
	int fd;
	u32 id;
	int result;
};

static int create_without_files(void *arg)
{
	const struct rlimit no_files = { 0, 0 };
	struct creation *c = arg;
	int r = -1;

	errno = 0;
	if (!setrlimit(RLIMIT_NOFILE, &no_files))
		r = ioctl(c->fd, KVM_CREATE_VCPU, (void *)(unsigned long)c->id);
	c->result = r < 0 ? errno : 0;
	_exit(0);
}

/*
 * The last thing that KVM does is to get a file descriptor: let it get none.  The
 * limit is for a process, and KVM takes ioctls only from the address space that
 * the VM was created in: so this is for a process with the same address space.
 */
static void op_create_and_fail(struct worker *w, struct event *e, int fd)
{
	struct creation creation = { .fd = fd, .id = random_vcpu_id(w) };
	pid_t pid;

	e->arg = creation.id;
	e->start = tick(w->group);
	pid = clone(create_without_files, w->stack + sizeof(w->stack),
		    CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &creation);
	e->end = tick(w->group);
	e->result = creation.result;
	TEST_ASSERT(pid > 0 && waitpid(pid, NULL, 0) == pid, "clone() failed");

	violates(w->group, -1, ERRORS,
		 e->result == EMFILE || e->result == EEXIST ||
		 (e->result == EINVAL && e->arg >= max_vcpu_id),
		 "%s %d: %s", ops[e->op].name, e->arg, strerror(e->result));
}

/* A file descriptor that nobody else closes, of any vCPU of the VM. */
static int get_vcpu_fd(struct worker *w, struct vm *vm, u32 *id)
{
	u32 random = random_below(1u << 31);
	int i, fd = -1;

	pthread_mutex_lock(&vm->lock);
	if (vm->nr_vcpus) {
		i = random % vm->nr_vcpus;
		*id = vm->vcpus[i].id;
		fd = dup(vm->vcpus[i].fd);
		TEST_ASSERT(fd >= 0, "dup() failed: %s", strerror(errno));
	}
	pthread_mutex_unlock(&vm->lock);
	return fd;
}

static void op_close_vcpu(struct worker *w, struct vm *vm)
{
	u32 random = random_below(1u << 31);
	int i, fd = -1;

	pthread_mutex_lock(&vm->lock);
	if (vm->nr_vcpus) {
		i = random % vm->nr_vcpus;
		fd = vm->vcpus[i].fd;
		vm->vcpus[i] = vm->vcpus[--vm->nr_vcpus];
	}
	pthread_mutex_unlock(&vm->lock);
	if (fd >= 0)
		close(fd);
}

static void op_vcpu_set_cpuid(struct worker *w, struct event *e, int fd)
{
	struct {
		struct kvm_cpuid header;
		struct kvm_cpuid_entry entry;
	} table = {
		.header.nent = random_below(2),
		.entry = { .function = 0x1000 },
	};

	__ioctl(w->group, e, fd, KVM_SET_CPUID, &table);
	check_error(w, e, EBUSY, 0);
}

static void op_vcpu_set_cpuid2(struct worker *w, struct event *e, int fd)
{
	/* Not written by KVM. */
	__ioctl(w->group, e, fd, KVM_SET_CPUID2, tables[random_below(NR_TABLES)].input);
	check_error(w, e, EBUSY, 0);
}

static void op_vcpu_get_cpuid2(struct worker *w, struct event *e, int fd, u32 id)
{
	bool is_vm_table;

	__ioctl(w->group, e, fd, KVM_GET_CPUID2, make_room(w->table));
	check_error(w, e, 0, 0);
	e->arg = NO_TABLE;
	if (e->result)
		return;

	cpuid_trim(w->table);
	e->arg = identify_vcpu_table(w->table, id, &is_vm_table);
	violates(w->group, -1, WHOLE_TABLE, e->arg != UNKNOWN_TABLE,
		 "vCPU %u has an unknown table with %u entries", id, w->table->nent);

	/* A table of its own never counts as the VM's. */
	if (!is_vm_table)
		e->arg = NO_TABLE;
}

static void op_vcpu_get_small(struct worker *w, struct event *e, int fd)
{
	w->table->nent = 0;
	__ioctl(w->group, e, fd, KVM_GET_CPUID2, w->table);
	check_error(w, e, E2BIG, 0);
}

static enum op random_op(struct worker *w)
{
	int i, n, sum = 0;

	for (i = 0; i < NR_OPS; i++)
		sum += ops[i].weight;
	n = random_below(sum);
	for (i = 0; n >= ops[i].weight; i++)
		n -= ops[i].weight;
	return i;
}

static void do_op(struct worker *w, bool may_create)
{
	struct event *e = &w->events[w->nr_events];
	struct group *g = w->group;
	int fd, vcpu_fd = -1;
	struct vm *vm;
	u32 id = 0;

	memset(e, 0, sizeof(*e));
	e->op = random_op(w);
	if ((e->op == CREATE || e->op == CREATE_AND_FAIL) && !may_create)
		e->op = SET;
	e->worker = w->index;
	e->vm = random_below(g->nr_vms);
	vm = &g->vms[e->vm];

	/* Each thread has its own, so that its end is that of a reference. */
	fd = w->vm_fds[e->vm];

	switch (e->op) {
	case VCPU_SET_CPUID:
	case VCPU_SET_CPUID2:
	case VCPU_GET_CPUID2:
	case VCPU_GET_SMALL:
		vcpu_fd = get_vcpu_fd(w, vm, &id);
		if (vcpu_fd < 0)
			return;
		break;
	case CLOSE_VCPU:
		op_close_vcpu(w, vm);
		return;
	case READ_DEBUGFS:
		if (!vm->has_debugfs)
			return;
		break;
	default:
		if (fd < 0)
			return;
	}

	atomic_fetch_add(&op_counts[e->op], 1);

	switch (e->op) {
	case SET:
		op_set(w, e, fd);
		break;
	case SET_BAD:
		op_set_bad(w, e, fd);
		break;
	case GET:
		op_get(w, e, fd);
		break;
	case GET_SMALL:
		op_get_small(w, e, fd);
		break;
	case READ_DEBUGFS:
		op_read_debugfs(w, e, vm);
		break;
	case CREATE:
		op_create(w, e, vm, fd);
		break;
	case CREATE_AND_FAIL:
		op_create_and_fail(w, e, fd);
		break;
	case VCPU_SET_CPUID:
		op_vcpu_set_cpuid(w, e, vcpu_fd);
		break;
	case VCPU_SET_CPUID2:
		op_vcpu_set_cpuid2(w, e, vcpu_fd);
		break;
	case VCPU_GET_CPUID2:
		op_vcpu_get_cpuid2(w, e, vcpu_fd, id);
		break;
	case VCPU_GET_SMALL:
		op_vcpu_get_small(w, e, vcpu_fd);
		break;
	default:
		close(fd);
		w->vm_fds[e->vm] = -1;
		return;
	}

	if (vcpu_fd >= 0)
		close(vcpu_fd);
	w->nr_events++;
}

/* Can @table, or none, have been the VM's at some time from @start to @end? */
static bool can_be_table(struct group *g, int table, unsigned long start, unsigned long end)
{
	bool is_as_created = true;
	const struct event *e;

	for (e = g->events; e < g->events + g->nr_events; e++) {
		if (!is_good_set(e))
			continue;
		if (e->arg == table && e->start < end && e->replaced >= start)
			return true;
		if (e->end < start)
			is_as_created = false;
	}
	return table == NO_TABLE && is_as_created;
}

/* What the VM has now that the threads are done with it. */
static int get_final_table(struct worker *w, struct vm *vm)
{
	if (ioctl(vm->fd, KVM_VM_GET_CPUID, make_room(w->table)))
		return NO_TABLE;
	return identify_canonical(w->table);
}

static void check_vcpu(struct worker *w, int vm, int fd, u32 id, int table)
{
	bool is_vm_table;
	int seen;

	if (violates(w->group, vm, ERRORS, !ioctl(fd, KVM_GET_CPUID2, make_room(w->table)),
		     "KVM_GET_CPUID2: %s", strerror(errno)))
		return;
	cpuid_trim(w->table);
	seen = identify_vcpu_table(w->table, id, &is_vm_table);
	/* Without a table of the VM, each vCPU may have its own, or none. */
	if (table == NO_TABLE)
		violates(w->group, vm, ONE_TABLE, !is_vm_table,
			 "vCPU %u has table %s, the VM has none", id, table_str(seen));
	else
		violates(w->group, vm, ONE_TABLE, is_vm_table && seen == table,
			 "vCPU %u has %s %s, the VM has %s", id,
			 is_vm_table ? "the VM's table" : "a table of its own:",
			 table_str(seen), table_str(table));
}

static void check_vm(struct worker *w, int index)
{
	unsigned long first_created = -1ul, creation_began = -1ul;
	struct group *g = w->group;
	struct vm *vm = &g->vms[index];
	const unsigned long now = tick(g);
	const struct event *e;
	int i, table, fd;

	collect_events(g, index);
	for (e = g->events; e < g->events + g->nr_events; e++) {
		if (e->op != CREATE && e->op != CREATE_AND_FAIL)
			continue;
		if (e->start < creation_began)
			creation_began = e->start;
		if (!e->result && e->end < first_created)
			first_created = e->end;
	}

	table = get_final_table(w, vm);
	violates(g, index, LAST_SET_COUNTS, can_be_table(g, table, now, now),
		 "the table in force is %s", table_str(table));

	for (e = g->events; e < g->events + g->nr_events; e++) {
		switch (e->op) {
		case SET:
		case SET_BAD:
			if (!e->result)
				violates(g, index, SET_SUCCEEDS, e->start < first_created,
					 "set at %lu", e->start);
			else if (e->result == EBUSY)
				violates(g, index, SET_IS_BUSY, creation_began < e->end,
					 "EBUSY at %lu", e->end);
			break;
		case GET:
		case GET_SMALL:
		case READ_DEBUGFS:
			violates(g, index, WHOLE_TABLE,
				 can_be_table(g, e->arg, e->start, e->end),
				 "table %s at %lu", table_str(e->arg), e->start);
			if (e->start > first_created)
				violates(g, index, LAST_SET_COUNTS, e->arg == table,
					 "table %s at %lu, then it is %s", table_str(e->arg),
					 e->start, table_str(table));
			break;
		case VCPU_GET_CPUID2:
			violates(g, index, ONE_TABLE, e->arg == table,
				 "a vCPU has the VM's table %s at %lu, then the VM has %s",
				 table_str(e->arg), e->start, table_str(table));
			break;
		case VCPU_SET_CPUID:
		case VCPU_SET_CPUID2:
			violates(g, index, VCPU_SET, (e->result == EBUSY) == (table != NO_TABLE),
				 "%s at %lu: %s, the VM's table is %s", ops[e->op].name, e->start,
				 e->result ? strerror(e->result) : "done", table_str(table));
			break;
		default:
			break;
		}
	}

	for (i = 0; i < vm->nr_vcpus; i++)
		check_vcpu(w, index, vm->vcpus[i].fd, vm->vcpus[i].id, table);

	/* Also what a vCPU gets that is created when all is quiet, maybe the first. */
	fd = ioctl(vm->fd, KVM_CREATE_VCPU, max_vcpu_id / 2);
	violates(g, index, ERRORS, fd >= 0 || errno == EEXIST, "KVM_CREATE_VCPU: %s",
		 strerror(errno));
	if (fd < 0)
		return;
	if (first_created == -1ul)
		check_vcpu(w, index, fd, max_vcpu_id / 2, table);
	close(fd);
}

static bool is_over(void)
{
	return atomic_load(&failed) || is_past(&deadline);
}

/* New VMs, unless it is time to stop. */
static void begin_round(struct worker *w)
{
	struct group *g = w->group;
	struct vm *vm;
	char path[64];

	/* The first round always runs. */
	g->done = g->round && is_over();
	if (g->done)
		return;

	atomic_store(&g->clock, 0);
	atomic_store(&g->nr_ready, 0);
	g->nr_ops_without_vcpu = random_below(2) ? 0 : random_below(MAX_OPS_WITHOUT_VCPU);
	g->nr_vms = random_below(2) ? 1 : 1 + random_below(MAX_VMS);
	for (vm = g->vms; vm < g->vms + g->nr_vms; vm++) {
		vm->nr_vcpus = 0;
		vm->creator = syscall(SYS_gettid);
		vm->fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
		TEST_ASSERT(vm->fd >= 0, "KVM_CREATE_VM: %s", strerror(errno));
		snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d", vm->creator, vm->fd);
		vm->has_debugfs = !access(path, R_OK);
	}
	atomic_fetch_add(&nr_vms, g->nr_vms);
	atomic_fetch_add(&nr_rounds, 1);
}

static void destroy_vms(struct group *g, bool vm_first)
{
	struct vm *vm;
	int i;

	for (vm = g->vms; vm < g->vms + g->nr_vms; vm++) {
		if (vm_first)
			close(vm->fd);
		for (i = 0; i < vm->nr_vcpus; i++)
			close(vm->vcpus[i].fd);
		if (!vm_first)
			close(vm->fd);
	}
}

static void wait_for_group(struct group *g)
{
	pthread_barrier_wait(&g->barrier);
}

/* To sleep, and be woken one after the other, would order the threads. */
static void start_together(struct group *g)
{
	atomic_fetch_add(&g->nr_ready, 1);
	while (atomic_load(&g->nr_ready) < g->nr_workers)
		sched_yield();
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	struct group *g = w->group;
	int i, nr_ops;

	for (;;) {
		random_state = mix(seed, mix(g->round, g->index * GROUP_THREADS + w->index));
		w->nr_events = 0;

		if (!w->index)
			begin_round(w);
		wait_for_group(g);
		if (g->done)
			return NULL;

		for (i = 0; i < g->nr_vms; i++) {
			w->vm_fds[i] = dup(g->vms[i].fd);
			TEST_ASSERT(w->vm_fds[i] >= 0, "dup() failed: %s", strerror(errno));
		}
		nr_ops = g->nr_ops_without_vcpu + 1 + random_below(MAX_OPS_WITH_VCPUS);

		start_together(g);
		for (i = 0; i < nr_ops; i++)
			do_op(w, i >= g->nr_ops_without_vcpu);
		wait_for_group(g);

		if (!w->index) {
			for (i = 0; i < g->nr_vms; i++)
				check_vm(w, i);
		}
		wait_for_group(g);

		/* Any thread may have the last reference. */
		for (i = 0; i < g->nr_vms; i++) {
			if (w->vm_fds[i] >= 0)
				close(w->vm_fds[i]);
		}
		if (!w->index) {
			destroy_vms(g, random_below(2));
			g->round++;
		}
		wait_for_group(g);
	}
}

static void run_groups(int nr_threads)
{
	const int nr_groups = (nr_threads + GROUP_THREADS - 1) / GROUP_THREADS;
	struct group *groups, *g;
	struct worker *w;
	int i, j;

	groups = calloc(nr_groups, sizeof(*groups));
	TEST_ASSERT(groups, "Out of memory");

	for (i = 0; i < nr_groups; i++) {
		g = &groups[i];
		g->index = i;
		g->nr_workers = min(nr_threads - i * GROUP_THREADS, GROUP_THREADS);
		pthread_barrier_init(&g->barrier, NULL, g->nr_workers);
		for (j = 0; j < MAX_VMS; j++)
			pthread_mutex_init(&g->vms[j].lock, NULL);
		for (j = 0; j < g->nr_workers; j++) {
			w = &g->workers[j];
			w->group = g;
			w->index = j;
			w->table = alloc_buffer();
		}
	}

	for (i = 0; i < nr_groups; i++) {
		for (j = 0; j < groups[i].nr_workers; j++) {
			w = &groups[i].workers[j];
			TEST_ASSERT(!pthread_create(&w->thread, NULL, run_worker, w),
				    "pthread_create() failed");
		}
	}
	for (i = 0; i < nr_groups; i++) {
		for (j = 0; j < groups[i].nr_workers; j++)
			pthread_join(groups[i].workers[j].thread, NULL);
	}
}

/* An ioctl of a VM by a thread of its own. */
struct queued_ioctl {
	pthread_t thread;
	int fd;
	unsigned long cmd;
	void *arg;
	int ret;
	int error;
};

static void *run_queued_ioctl(void *arg)
{
	struct queued_ioctl *q = arg;

	q->ret = ioctl(q->fd, q->cmd, q->arg);
	q->error = q->ret < 0 ? errno : 0;
	return NULL;
}

static void queue_ioctl(struct queued_ioctl *q, int fd, unsigned long cmd, void *arg)
{
	q->fd = fd;
	q->cmd = cmd;
	q->arg = arg;
	TEST_ASSERT(!pthread_create(&q->thread, NULL, run_queued_ioctl, q),
		    "pthread_create() failed");
	/* Time to get to where it waits; if it takes longer, less is tested. */
	usleep(50000);
}

/* Page faults in @buffer, but not those of its first page, wait to be told. */
static int stall_page_faults(void *buffer)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (unsigned long)buffer + 4096, BUFFER_SIZE - 4096 },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg)) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * A creation and a set queue up behind a get, which doesn't get on because of
 * page faults: if the get keeps others out of the VM, as it does, then both begin
 * before either has an effect.  Returns false if it can't be tested.
 */
static bool run_queued(bool create_first, bool *is_ok, int *set_error)
{
	const int before = NR_TABLES - 1, after = 0;
	struct uffdio_zeropage zeropage = {};
	struct queued_ioctl get, create, set;
	struct kvm_cpuid2 *buffer, *seen;
	struct uffd_msg msg;
	bool is_vm_table;
	int fd, uffd, i, table, vcpu_table;

	buffer = alloc_buffer();
	seen = alloc_buffer();
	uffd = stall_page_faults(buffer);
	if (uffd < 0)
		return false;

	fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	TEST_ASSERT(fd >= 0, "KVM_CREATE_VM: %s", strerror(errno));
	TEST_ASSERT(!ioctl(fd, KVM_VM_SET_CPUID, tables[before].input),
		    "Cannot set the largest table");

	buffer->nent = CPUID_MAX_ENTRIES;
	queue_ioctl(&get, fd, KVM_VM_GET_CPUID, buffer);
	TEST_ASSERT(read(uffd, &msg, sizeof(msg)) == sizeof(msg), "No page fault");

	for (i = 0; i < 2; i++) {
		if (create_first == !i)
			queue_ioctl(&create, fd, KVM_CREATE_VCPU, (void *)1ul);
		else
			queue_ioctl(&set, fd, KVM_VM_SET_CPUID, tables[after].input);
	}

	zeropage.range.start = (unsigned long)buffer + 4096;
	zeropage.range.len = BUFFER_SIZE - 4096;
	TEST_ASSERT(!ioctl(uffd, UFFDIO_ZEROPAGE, &zeropage), "UFFDIO_ZEROPAGE: %s",
		    strerror(errno));
	pthread_join(get.thread, NULL);
	pthread_join(create.thread, NULL);
	pthread_join(set.thread, NULL);

	table = ioctl(fd, KVM_VM_GET_CPUID, make_room(seen)) ? NO_TABLE : identify_canonical(seen);
	*is_ok = !get.error && !create.error && (!set.error || set.error == EBUSY) &&
		 identify_canonical(buffer) == before &&
		 table == (set.error ? before : after);
	if (!create.error) {
		TEST_ASSERT(!ioctl(create.ret, KVM_GET_CPUID2, make_room(seen)),
			    "KVM_GET_CPUID2: %s", strerror(errno));
		cpuid_trim(seen);
		vcpu_table = identify_vcpu_table(seen, 1, &is_vm_table);
		if (!is_vm_table || vcpu_table != table || table < 0)
			*is_ok = false;
		close(create.ret);
	}
	*set_error = set.error;
	ksft_print_msg("%s first: get %s, create %s, set %s, then the table is %s\n",
		       create_first ? "create" : "set", strerror(get.error),
		       strerror(create.error), strerror(set.error), table_str(table));

	close(fd);
	close(uffd);
	munmap(buffer, BUFFER_SIZE);
	munmap(seen, BUFFER_SIZE);
	return true;
}

static void test_queued(bool create_first)
{
	const char *name = create_first ? "a set that waits for a creation" :
					  "a creation that waits for a set";
	const int expected = create_first ? EBUSY : 0;
	bool is_ok = true;
	int i, error = -1;

	/* The other one may be the first to get on, but not each time. */
	for (i = 0; i < 5 && is_ok && error != expected; i++) {
		if (!run_queued(create_first, &is_ok, &error)) {
			ksft_test_result_skip("%s: no userfaultfd\n", name);
			return;
		}
	}
	ksft_test_result(is_ok && error == expected, "%s\n", name);
}

static void print_help(const char *name)
{
	printf("usage: %s [-s SECONDS] [-r SEED] [-t THREADS]\n"
	       " -s  how long to run (default: %d)\n"
	       " -r  what the random numbers depend on (default: a new seed)\n"
	       " -t  the number of threads, 2 to %d (default: %d)\n",
	       name, DEFAULT_SECONDS, MAX_THREADS, DEFAULT_THREADS);
}

int main(int argc, char *argv[])
{
	int opt, i, seconds = DEFAULT_SECONDS, nr_threads = DEFAULT_THREADS;
	char counts[512] = "";

	setlinebuf(stdout);
	seed = new_seed();

	while ((opt = getopt(argc, argv, "hs:r:t:")) != -1) {
		switch (opt) {
		case 's':
			seconds = atoi(optarg);
			break;
		case 'r':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			nr_threads = atoi(optarg);
			break;
		default:
			print_help(argv[0]);
			exit(opt == 'h' ? 0 : 1);
		}
	}
	if (seconds < 1 || nr_threads < 2 || nr_threads > MAX_THREADS) {
		print_help(argv[0]);
		exit(1);
	}

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));

	alarm(seconds + CASE_TIMEOUT_S);
	deadline = time_in(seconds);
	kvm_fd = open(KVM_DEV_PATH, O_RDWR | O_CLOEXEC);
	TEST_ASSERT(kvm_fd >= 0, "Cannot open %s", KVM_DEV_PATH);
	max_vcpu_id = kvm_check_cap(KVM_CAP_MAX_VCPU_ID);

	ksft_print_header();
	ksft_set_plan(NR_INVARIANTS + 2);
	ksft_print_msg("seed %#llx, %d threads, %d seconds\n", (unsigned long long)seed,
		       nr_threads, seconds);
	init_tables();
	test_queued(true);
	test_queued(false);
	run_groups(nr_threads);

	for (i = 0; i < NR_OPS; i++) {
		size_t len = strlen(counts);

		if (atomic_load(&op_counts[i]))
			snprintf(counts + len, sizeof(counts) - len, "%s%s %lu",
				 len ? ", " : "", ops[i].name, atomic_load(&op_counts[i]));
	}
	ksft_print_msg("%lu VMs in %lu rounds: %s\n", atomic_load(&nr_vms),
		       atomic_load(&nr_rounds), counts);
	ksft_print_msg("%lu sets succeeded, %lu failed with EBUSY\n",
		       atomic_load(&set_counts[0]), atomic_load(&set_counts[1]));

	for (i = 0; i < NR_INVARIANTS; i++) {
		unsigned long checked = atomic_load(&invariants[i].checked);
		unsigned long violated = atomic_load(&invariants[i].violated);

		ksft_print_msg("checked %lu times, violated %lu times\n", checked, violated);
		/* What was never checked isn't known to hold. */
		ksft_test_result(checked && !violated, "%s\n", invariants[i].name);
	}

	ksft_finished();
}
