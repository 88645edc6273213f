// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that KVM_VM_SET_CPUID keeps its promises when it races with itself, with
 * KVM_VM_GET_CPUID, with the creation of vCPUs and with the end of the VM.
 *
 * Groups of threads do random operations on a VM that they share, and check each result
 * against the operations that began or ended before.  When all are done, the group's
 * first thread checks the VM's table and all vCPUs; then all threads close the VM at
 * once, and go on with a new one.
 */
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <linux/userfaultfd.h>

#include "util.h"

#define DEFAULT_SECONDS		10
#define DEFAULT_THREADS		16
#define MAX_THREADS		256
#define GROUP_THREADS		4
/* A thread's operations on a VM, before and after it may create vCPUs. */
#define MAX_OPS_WITHOUT_VCPU	200
#define MAX_OPS_WITH_VCPUS	24

/* More than the largest table. */
#define BUFFER_SIZE		(4 * 4096)

/* All different; the first means no table.  Tables of similar sizes reuse freed memory. */
static const u32 table_sizes[] = { 0, 5, 6, 7, 8, 20, 230, 256 };

#define NR_TABLES		ARRAY_SIZE(table_sizes)
#define UNKNOWN_TABLE		NR_TABLES

enum promise { SET, SET_BUSY, LAST_SET, WHOLE_TABLE, VCPU_TABLE, VCPU_BUSY, ERRORS, NR_PROMISES };

static struct {
	const char *name;
	atomic_ulong checked, broken;
} promises[NR_PROMISES] = {
	[SET]		= { "no table is set once a vCPU exists" },
	[SET_BUSY]	= { "EBUSY only if a vCPU exists or is being created" },
	[LAST_SET]	= { "the table that was set last is in force" },
	[WHOLE_TABLE]	= { "what is read is a whole table, one that was set" },
	[VCPU_TABLE]	= { "all vCPUs of a VM have its table" },
	[VCPU_BUSY]	= { "a vCPU's table can be set if and only if the VM has none" },
	[ERRORS]	= { "nothing but the documented errors appears" },
};

struct thread {
	struct group *group;
	pthread_t pthread;
	struct kvm_cpuid2 *buffer;
	int index, fd;
	/* The last table that the thread set, if any. */
	int last_set;
	int nr_vcpus;
	struct {
		int fd;
		u32 id;
		bool has_own_table;
	} vcpus[MAX_OPS_WITH_VCPUS];
};

struct group {
	struct kvm_cpuid2 *inputs[NR_TABLES], *tables[NR_TABLES];
	struct thread threads[GROUP_THREADS];
	pthread_barrier_t barrier;
	int nr_threads, nr_ops_without_vcpu, vm;
	char debugfs[64];
	bool is_over;

	/* The operations that began, or ended, in this round. */
	atomic_int nr_ready;
	atomic_uint sets_begun;
	atomic_bool is_creating, is_created;
};

static int kvm_fd;
static u32 max_vcpu_id;
static u64 seed;
static time_t deadline;
static atomic_bool is_broken;
static atomic_ulong nr_vms, nr_sets, nr_busy, nr_creations;

/* Count a check, and report the first few that fail. */
static void __printf(3, 4) check(enum promise promise, bool holds, const char *fmt, ...)
{
	char text[128];
	va_list args;

	atomic_fetch_add(&promises[promise].checked, 1);
	if (holds)
		return;
	is_broken = true;
	if (atomic_fetch_add(&promises[promise].broken, 1) >= 3)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	ksft_print_msg("broken: %s: %s\n", promises[promise].name, text);
}

static struct kvm_cpuid2 *alloc_buffer(void)
{
	void *buffer = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(buffer != MAP_FAILED, "Out of memory");
	return buffer;
}

/*
 * Prepare for a get.  Page faults make KVM's copying slow, as if the process was
 * swapped out, and give others a chance.
 */
static struct kvm_cpuid2 *make_room(struct kvm_cpuid2 *buffer)
{
	madvise(buffer, BUFFER_SIZE, MADV_DONTNEED);
	buffer->nent = CPUID_MAX_ENTRIES;
	return buffer;
}

/* All entries of a table differ from those of all other tables, in all groups. */
static void init_tables(struct group *g)
{
	static const u32 functions[] = { 0x0, 0x4, 0xb, 0x1f, 0x80000026 };
	struct kvm_cpuid2 *t;
	int i, n;

	for (i = 0; i < NR_TABLES; i++) {
		t = cpuid_alloc();
		for (n = 0; n < table_sizes[i]; n++)
			t->entries[n] = (struct kvm_cpuid_entry2) {
				.function = n < ARRAY_SIZE(functions) ? functions[n] : 0x1000 + n,
				.eax = random_u32(), .ebx = random_u32(),
				.ecx = random_u32(), .edx = random_u32(),
			};
		t->nent = n;
		shuffle(t);
		g->inputs[i] = t;
		g->tables[i] = model_table(t, 0);
	}
}

static int identify(struct group *g, const struct kvm_cpuid2 *t)
{
	int i;

	for (i = 0; i < NR_TABLES; i++) {
		if (t->nent == table_sizes[i])
			return memcmp(t, g->tables[i], kvm_cpuid2_size(t->nent)) ? UNKNOWN_TABLE : i;
	}
	return UNKNOWN_TABLE;
}

/* Was it set, or does a VM begin with it? */
static void check_seen(struct group *g, int table, const char *what)
{
	check(WHOLE_TABLE, table != UNKNOWN_TABLE && (!table || g->sets_begun & BIT(table)),
	      "%s has table %d", what, table);
}

static void op_set(struct thread *t)
{
	struct group *g = t->group;
	int table = random_below(NR_TABLES), error;
	bool is_created = g->is_created;

	atomic_fetch_or(&g->sets_begun, BIT(table));
	error = ioctl(t->fd, KVM_VM_SET_CPUID, g->inputs[table]) ? errno : 0;
	check(ERRORS, !error || error == EBUSY, "set: %s", strerror(error));
	if (error) {
		check(SET_BUSY, g->is_creating, "table %d", table);
		atomic_fetch_add(&nr_busy, 1);
	} else {
		check(SET, !is_created, "table %d", table);
		t->last_set = table;
		atomic_fetch_add(&nr_sets, 1);
	}
}

/* A table that is none of the known ones, so that a check would notice it. */
static void op_set_bad(struct thread *t)
{
	struct kvm_cpuid2 *bad = make_room(t->buffer);

	bad->nent = table_sizes[1 + random_below(NR_TABLES - 1)];
	memset(bad->entries, 0x11, bad->nent * sizeof(bad->entries[0]));
	check(ERRORS, ioctl(t->fd, KVM_VM_SET_CPUID, bad) && errno == EINVAL, "bad set: %s",
	      strerror(errno));
}

static int get_table(struct group *g, int fd, struct kvm_cpuid2 *buffer)
{
	if (!ioctl(fd, KVM_VM_GET_CPUID, make_room(buffer)))
		return identify(g, buffer);
	check(ERRORS, errno == ENOENT, "get: %s", strerror(errno));
	return 0;
}

static void op_get(struct thread *t)
{
	check_seen(t->group, get_table(t->group, t->fd, t->buffer), "KVM_VM_GET_CPUID");
}

static void op_get_size(struct thread *t)
{
	int i;

	t->buffer->nent = 0;
	if (!ioctl(t->fd, KVM_VM_GET_CPUID, t->buffer) || errno != E2BIG) {
		check(ERRORS, errno == ENOENT, "get: %s", strerror(errno));
		return;
	}
	for (i = 1; i < NR_TABLES && table_sizes[i] != t->buffer->nent; i++)
		;
	check_seen(t->group, i, "KVM_VM_GET_CPUID's size");
}

/*
 * Return which table debugfs shows, or -1 if it has no file: there is none before the first
 * set, nor for a VM with the name of one whose folder is still there.
 */
static int read_debugfs(struct thread *t)
{
	FILE *f = fopen(t->group->debugfs, "re");
	struct kvm_cpuid2 *seen = make_room(t->buffer);
	struct kvm_cpuid_entry2 *e = seen->entries;
	char line[128];

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f) && e < &seen->entries[CPUID_MAX_ENTRIES]) {
		if (sscanf(line, " %x %x: eax=%x ebx=%x ecx=%x edx=%x", &e->function, &e->index,
			   &e->eax, &e->ebx, &e->ecx, &e->edx) != 6)
			e->function = JUNK;
		e++;
	}
	fclose(f);
	seen->nent = e - seen->entries;
	return identify(t->group, seen);
}

static void op_read_debugfs(struct thread *t)
{
	int table = read_debugfs(t);

	if (table >= 0)
		check_seen(t->group, table, "debugfs");
}

/* A vCPU has its IDs in 0xb and so on. */
static void check_vcpu(struct group *g, int fd, u32 id, int table)
{
	struct kvm_cpuid2 *seen = vcpu_table(fd), *expected = model_table(g->tables[table], id);

	check(VCPU_TABLE, seen->nent == expected->nent &&
	      !memcmp(seen, expected, kvm_cpuid2_size(seen->nent)),
	      "vCPU %u: %u entries; the VM has table %d\n", id, seen->nent, table);
	free(seen);
	free(expected);
}

/* Often use an ID that is in use already, rarely one that is too big. */
static void op_create(struct thread *t)
{
	u32 id = one_in(16) ? max_vcpu_id - random_below(2) : random_below(8);
	struct group *g = t->group;
	int fd;

	g->is_creating = true;
	fd = ioctl(t->fd, KVM_CREATE_VCPU, (void *)(unsigned long)id);
	if (fd < 0) {
		check(ERRORS, errno == EEXIST || (errno == EINVAL && id >= max_vcpu_id),
		      "create %u: %s", id, strerror(errno));
		return;
	}
	g->is_created = true;
	atomic_fetch_add(&nr_creations, 1);
	t->vcpus[t->nr_vcpus].fd = fd;
	t->vcpus[t->nr_vcpus].id = id;
	t->vcpus[t->nr_vcpus++].has_own_table = false;

	/* From here on, the table doesn't change. */
	check_vcpu(g, fd, id, get_table(g, t->fd, t->buffer));
}

static void op_vcpu_set(struct thread *t)
{
	int i = random_below(t->nr_vcpus ?: 1), error, table;
	struct group *g = t->group;

	if (!t->nr_vcpus)
		return;
	error = ioctl(t->vcpus[i].fd, KVM_SET_CPUID2, g->inputs[1]) ? errno : 0;
	table = get_table(g, t->fd, t->buffer);
	check(VCPU_BUSY, error == (table ? EBUSY : 0), "table %d: %s", table, strerror(error));
	t->vcpus[i].has_own_table = true;
}

/* Create few vCPUs, as that ends the interesting part of a VM's life. */
static const struct {
	void (*op)(struct thread *t);
	int weight;
} ops[] = {
	{ op_set, 30 }, { op_set_bad, 4 }, { op_get, 12 }, { op_get_size, 3 },
	{ op_read_debugfs, 3 }, { op_create, 9 }, { op_vcpu_set, 4 },
};

static void do_op(struct thread *t, bool may_create)
{
	/* Without the last two, if it may not create vCPUs. */
	int i, n = random_below(may_create ? 65 : 52);

	for (i = 0; n >= ops[i].weight; i++)
		n -= ops[i].weight;
	ops[i].op(t);
}

/* Runs when no other thread uses the VM. */
static void check_vm(struct group *g)
{
	struct thread *t, *first = g->threads;
	int i, table = get_table(g, g->vm, first->buffer);
	bool is_set = false, is_last = false;

	check_seen(g, table, "the VM");
	for (t = first; t < first + g->nr_threads; t++) {
		is_set |= t->last_set >= 0;
		is_last |= t->last_set == table;
		for (i = 0; i < t->nr_vcpus; i++) {
			if (!t->vcpus[i].has_own_table || table)
				check_vcpu(g, t->vcpus[i].fd, t->vcpus[i].id, table);
		}
	}
	check(LAST_SET, is_set ? is_last : !table, "table %d", table);
	i = read_debugfs(first);
	check(LAST_SET, i == table || i < 0, "debugfs has table %d, not %d", i, table);

	/* A vCPU that is created now, maybe the first, must get the table. */
	i = ioctl(g->vm, KVM_CREATE_VCPU, 100ul);
	check(ERRORS, i >= 0, "create: %s", strerror(errno));
	check_vcpu(g, i, 100, table);
	close(i);
}

static void begin_round(struct group *g)
{
	g->is_over = atomic_load(&is_broken) || time(NULL) >= deadline;
	if (g->is_over)
		return;
	g->vm = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	TEST_ASSERT(g->vm >= 0, "KVM_CREATE_VM: %s", strerror(errno));
	snprintf(g->debugfs, sizeof(g->debugfs), "/sys/kernel/debug/kvm/%ld-%d/cpuid",
		 syscall(SYS_gettid), g->vm);
	g->nr_ops_without_vcpu = one_in(2) ? 0 : random_below(MAX_OPS_WITHOUT_VCPU);
	g->nr_ready = 0;
	g->sets_begun = 0;
	g->is_creating = false;
	g->is_created = false;
	atomic_fetch_add(&nr_vms, 1);
}

static void *run_thread(void *arg)
{
	struct thread *t = arg;
	struct group *g = t->group;
	int i, nr_ops;

	random_state = seed + t->index * 0x632be59bd9b4e019ull;
	for (;;) {
		if (t == g->threads)
			begin_round(g);
		pthread_barrier_wait(&g->barrier);
		if (g->is_over)
			return NULL;
		t->fd = dup(g->vm);
		TEST_ASSERT(t->fd >= 0, "dup: %s", strerror(errno));
		t->last_set = -1;
		t->nr_vcpus = 0;
		nr_ops = g->nr_ops_without_vcpu + 1 + random_below(MAX_OPS_WITH_VCPUS);

		/* Spin: sleeping threads would wake one after the other, in some order. */
		g->nr_ready++;
		while (g->nr_ready < g->nr_threads)
			sched_yield();
		for (i = 0; i < nr_ops; i++)
			do_op(t, i >= g->nr_ops_without_vcpu);

		pthread_barrier_wait(&g->barrier);
		if (t == g->threads) {
			check_vm(g);
			close(g->vm);
		}
		pthread_barrier_wait(&g->barrier);
		/* Any of them may drop the last reference. */
		close(t->fd);
		while (t->nr_vcpus)
			close(t->vcpus[--t->nr_vcpus].fd);
	}
}

static void run_groups(int nr_threads)
{
	const int nr_groups = DIV_ROUND_UP(nr_threads, GROUP_THREADS);
	struct group *groups = calloc(nr_groups, sizeof(*groups)), *g;
	struct thread *t;
	int i;

	TEST_ASSERT(groups, "Out of memory");
	for (i = 0; i < nr_threads; i++) {
		g = &groups[i / GROUP_THREADS];
		if (!g->nr_threads) {
			g->nr_threads = min(nr_threads - i, GROUP_THREADS);
			pthread_barrier_init(&g->barrier, NULL, g->nr_threads);
			init_tables(g);
		}
		t = &g->threads[i % GROUP_THREADS];
		*t = (struct thread) { .group = g, .index = i, .buffer = alloc_buffer() };
		TEST_ASSERT(!pthread_create(&t->pthread, NULL, run_thread, t), "pthread_create");
	}
	for (i = 0; i < nr_threads; i++)
		pthread_join(groups[i / GROUP_THREADS].threads[i % GROUP_THREADS].pthread, NULL);
}

/* An ioctl in a thread of its own, which waits. */
struct queued_ioctl {
	pthread_t thread;
	int fd, ret, error;
	unsigned long cmd;
	void *arg;
	atomic_bool is_done;
};

static void *run_queued_ioctl(void *arg)
{
	struct queued_ioctl *q = arg;

	q->ret = ioctl(q->fd, q->cmd, q->arg);
	q->error = q->ret < 0 ? errno : 0;
	q->is_done = true;
	return NULL;
}

static void queue_ioctl(struct queued_ioctl *q, int fd, unsigned long cmd, void *arg)
{
	*q = (struct queued_ioctl) { .fd = fd, .cmd = cmd, .arg = arg };
	TEST_ASSERT(!pthread_create(&q->thread, NULL, run_queued_ioctl, q), "pthread_create");
	/* Give it time to get to where it waits; if it needs more, less is tested. */
	usleep(50000);
}

/* A get that holds the VM's lock, as all but its first page fault wait to be told. */
struct stalled_get {
	struct kvm_cpuid2 *buffer;
	struct queued_ioctl get;
	int uffd;
};

static bool queue_stalled_get(struct stalled_get *s, int vm)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	s->buffer = alloc_buffer();
	s->buffer->nent = CPUID_MAX_ENTRIES;
	reg.range.start = (unsigned long)s->buffer + 4096;
	reg.range.len = BUFFER_SIZE - 4096;
	s->uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (s->uffd < 0 || ioctl(s->uffd, UFFDIO_API, &api) ||
	    ioctl(s->uffd, UFFDIO_REGISTER, &reg))
		return false;
	queue_ioctl(&s->get, vm, KVM_VM_GET_CPUID, s->buffer);
	return true;
}

static void release(struct stalled_get *s)
{
	struct uffdio_zeropage zeropage = {
		.range = { (unsigned long)s->buffer + 4096, BUFFER_SIZE - 4096 },
	};
	struct pollfd fault = { .fd = s->uffd, .events = POLLIN };

	/* A smaller table needs only the first page. */
	poll(&fault, 1, 2000);
	TEST_ASSERT(!ioctl(s->uffd, UFFDIO_ZEROPAGE, &zeropage), "UFFDIO_ZEROPAGE: %s",
		    strerror(errno));
	/* The next one gets to its own page fault, if it is also a get. */
	usleep(50000);
}

/*
 * A creation, a get and a set queue up behind a get that is stalled.  In older kernels, a
 * creation drops the VM's lock: it begins, and ends only after the second get, which stalls
 * it, and after the set, which waited before it.  So the set comes in the middle of the
 * creation.
 */
static void test_set_in_creation(void)
{
	const char *name = "a set in the midst of a creation";
	const int before = NR_TABLES - 1, after = 1;
	struct stalled_get first, second;
	struct queued_ioctl create, set;
	struct kvm_cpuid2 *buffer = alloc_buffer();
	struct group g = {};
	int i, vm, table;

	init_tables(&g);
	for (i = 0; i < 5; i++) {
		vm = ioctl(kvm_fd, KVM_CREATE_VM, 0);
		TEST_ASSERT(vm >= 0 && !ioctl(vm, KVM_VM_SET_CPUID, g.inputs[before]),
			    "Cannot set a table: %s", strerror(errno));
		if (!queue_stalled_get(&first, vm)) {
			ksft_test_result_skip("%s: no userfaultfd\n", name);
			return;
		}
		queue_ioctl(&create, vm, KVM_CREATE_VCPU, (void *)1ul);
		queue_stalled_get(&second, vm);
		queue_ioctl(&set, vm, KVM_VM_SET_CPUID, g.inputs[after]);
		check(WHOLE_TABLE, !set.is_done, "a set doesn't wait for a get");
		release(&first);
		release(&second);
		pthread_join(first.get.thread, NULL);
		pthread_join(create.thread, NULL);
		pthread_join(second.get.thread, NULL);
		pthread_join(set.thread, NULL);

		table = get_table(&g, vm, buffer);
		check_vcpu(&g, create.ret, 1, table);
		ksft_print_msg("get %s, create %s, set %s, then the table is %d\n",
			       strerror(first.get.error), strerror(create.error),
			       strerror(set.error), table);
		close(create.ret);
		close(vm);
		close(first.uffd);
		close(second.uffd);
		munmap(first.buffer, BUFFER_SIZE);
		munmap(second.buffer, BUFFER_SIZE);
		/* They may run in another order, but not every time. */
		if (is_broken || set.error == EBUSY)
			break;
	}
	ksft_test_result(!is_broken && set.error == EBUSY && table == before, "%s\n", name);
	is_broken = false;
}

int main(int argc, char *argv[])
{
	int opt, i, seconds = DEFAULT_SECONDS, nr_threads = DEFAULT_THREADS;

	setlinebuf(stdout);
	seed = new_seed();
	while ((opt = getopt(argc, argv, "hs:r:t:")) != -1) {
		if (opt == 's')
			seconds = atoi(optarg);
		else if (opt == 'r')
			seed = strtoull(optarg, NULL, 0);
		else if (opt == 't')
			nr_threads = atoi(optarg);
		if (opt == 'h' || opt == '?' || seconds < 1 || nr_threads < 2 ||
		    nr_threads > MAX_THREADS) {
			printf("usage: %s [-s SECONDS] [-r SEED] [-t THREADS, 2 to %d]\n", argv[0],
			       MAX_THREADS);
			exit(opt != 'h');
		}
	}

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));
	alarm(seconds + CASE_TIMEOUT_S);
	kvm_fd = open(KVM_DEV_PATH, O_RDWR | O_CLOEXEC);
	TEST_ASSERT(kvm_fd >= 0, "Cannot open %s", KVM_DEV_PATH);
	max_vcpu_id = kvm_check_cap(KVM_CAP_MAX_VCPU_ID);
	random_state = seed;

	ksft_print_header();
	ksft_set_plan(NR_PROMISES + 1);
	ksft_print_msg("seed 0x%lx, %d threads, %d seconds\n", seed, nr_threads, seconds);
	test_set_in_creation();
	deadline = time(NULL) + seconds;
	run_groups(nr_threads);

	ksft_print_msg("%lu VMs, %lu vCPUs, %lu sets succeeded, %lu failed with EBUSY\n", nr_vms,
		       nr_creations, nr_sets, nr_busy);
	for (i = 0; i < NR_PROMISES; i++) {
		ksft_print_msg("checked %lu times, broken %lu times\n", promises[i].checked,
			       promises[i].broken);
		/* Each check must have run. */
		ksft_test_result(promises[i].checked && !promises[i].broken, "%s\n",
				 promises[i].name);
	}
	ksft_finished();
}
