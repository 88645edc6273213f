// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that KVM_VM_SET_CPUID and KVM_VM_GET_CPUID, and the creation of vCPUs under
 * a VM's CPUID table, survive that memory can't be allocated or accessed.
 *
 * The kernel makes the first, the second, ... of a call's allocations and copies
 * from and to userspace fail, one per call, until it has no more of them.  Such a
 * call fails with the documented error, or succeeds if the kernel can do without.
 * In any case the VM has the table that it had, and works.
 *
 * This needs CONFIG_FAULT_INJECTION and what depends on it.  What failed calls leave
 * behind is for kmemleak to find.
 */
#include <limits.h>
#include <sys/mman.h>

#include "util.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"

/* No call has so many allocations and copies. */
#define MAX_FAULTS	5000

/* Lots of faults for the kernel to count down from. */
#define NR_TIMES	1000000

enum fault {
	NO_FAULT,
	SLAB,
	PAGE,
	USER_COPY,
	NR_FAULTS
};

static const struct {
	const char *dir;
	int error;
} faults[NR_FAULTS] = {
	[SLAB]		= { "failslab", ENOMEM },
	[PAGE]		= { "fail_page_alloc", ENOMEM },
	[USER_COPY]	= { "fail_usercopy", EFAULT },
};

static int open_knob(enum fault fault, const char *name, int flags)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", faults[fault].dir, name);
	return open(path, flags);
}

static bool write_knob(enum fault fault, const char *name, const char *value)
{
	int fd = open_knob(fault, name, O_WRONLY);
	bool is_ok;

	if (fd < 0)
		return false;
	is_ok = write(fd, value, strlen(value)) == strlen(value);
	close(fd);
	return is_ok;
}

/* How many faults of this kind are left; debugfs wants a new file for each look. */
static int faults_left(enum fault fault)
{
	int fd = open_knob(fault, "times", O_RDONLY);
	char buf[32] = "";

	TEST_ASSERT(fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0, "Cannot count faults of %s",
		    faults[fault].dir);
	close(fd);
	return atoi(buf);
}

/* Any allocation may fail, also one that could wait for memory, and silently. */
static bool prepare_faults(void)
{
	enum fault i;

	for (i = SLAB; i < NR_FAULTS; i++) {
		if (!write_knob(i, "verbose", "0") ||
		    !write_knob(i, "times", __stringify(NR_TIMES)))
			return false;
	}

	return write_knob(SLAB, "ignore-gfp-wait", "N") &&
	       write_knob(PAGE, "ignore-gfp-wait", "N") &&
	       write_knob(PAGE, "ignore-gfp-highmem", "N") &&
	       write_knob(PAGE, "min-order", "0");
}

/* Repeats a call with one fault after the other. */
struct sweep {
	const char *call;
	int n;
	enum fault injected;
	int fail_nth_fd;
	int left[NR_FAULTS];
	int nr_injected[NR_FAULTS];
	int nr_failed;
	int nr_survived;
};

static void sweep_begin(struct sweep *s, const char *call)
{
	enum fault i;

	*s = (struct sweep) {
		.call = call,
		.fail_nth_fd = open(FAIL_NTH, O_RDWR),
	};
	TEST_ASSERT(s->fail_nth_fd >= 0, "Cannot open " FAIL_NTH ": %s", strerror(errno));

	for (i = SLAB; i < NR_FAULTS; i++)
		s->left[i] = faults_left(i);
}

static void sweep_end(struct sweep *s)
{
	close(s->fail_nth_fd);

	ksft_print_msg("%s: %d faults injected: %d slab, %d page, %d user copy\n",
		       s->call, s->n - 1, s->nr_injected[SLAB], s->nr_injected[PAGE],
		       s->nr_injected[USER_COPY]);
	ksft_print_msg("%s: %d calls failed, %d succeeded nonetheless\n", s->call,
		       s->nr_failed, s->nr_survived);

	/* A test of nothing isn't one. */
	EXPECT(s->nr_failed, "no call failed");
}

/*
 * Do the call with the next fault.  Returns what it returns, or a negative errno.
 * When the call has no such fault, it is the last one of the sweep.
 */
static int sweep_ioctl(struct sweep *s, int fd, unsigned long cmd, void *arg)
{
	char n[16];
	int r, len, left;
	bool is_injected;
	enum fault i;

	TEST_ASSERT(s->n < MAX_FAULTS, "The faults don't end");
	len = snprintf(n, sizeof(n), "%d", ++s->n);
	TEST_ASSERT(pwrite(s->fail_nth_fd, n, len, 0) == len, "Cannot ask for fault %s", n);

	r = ioctl(fd, cmd, arg);
	if (r < 0)
		r = -errno;

	/*
	 * Zero if it was injected.  Else the fault is still to come, and may hit these
	 * two, which then are the ones without which there is none left.
	 */
	is_injected = pread(s->fail_nth_fd, n, sizeof(n), 0) > 0 && n[0] == '0';
	TEST_ASSERT(pwrite(s->fail_nth_fd, "0", 1, 0) == 1 || errno == EFAULT,
		    "Cannot cancel fault %d", s->n);

	s->injected = NO_FAULT;
	for (i = SLAB; i < NR_FAULTS; i++) {
		left = faults_left(i);
		if (is_injected && left < s->left[i]) {
			s->injected = i;
			s->nr_injected[i]++;
		}
		s->left[i] = left;
	}
	TEST_ASSERT(is_injected == !!s->injected, "Fault %d is of no known kind", s->n);

	if (is_injected && r < 0)
		s->nr_failed++;
	else if (is_injected)
		s->nr_survived++;
	return r;
}

/* A call that failed did so because of the fault, and as it should. */
static void expect_fault_errno(const struct sweep *s, int r)
{
	EXPECT(s->injected, "%s failed without a fault: %s", s->call, strerror(-r));
	if (s->injected)
		EXPECT(-r == faults[s->injected].error, "%s, fault %d (%s): errno %d (%s)",
		       s->call, s->n, faults[s->injected].dir, -r, strerror(-r));
}

static void expect_table_or_none(struct kvm_vm *vm, const struct kvm_cpuid2 *table)
{
	struct kvm_cpuid2 none = {};

	if (table)
		expect_vm_table(vm, table);
	else
		EXPECT_ERRNO("KVM_VM_GET_CPUID", try_get_cpuid(vm, &none), ENOENT);
}

static void expect_vcpu(struct kvm_vcpu *vcpu, const struct kvm_cpuid2 *table)
{
	struct kvm_cpuid2 *expected = expected_cpuid(table, vcpu->id);

	expect_new_vcpu(vcpu, table);
	expect_guest(vcpu, expected);
	free(expected);
}

/* Whatever failed before: a vCPU can be created, and its guest has @table. */
static void expect_usable(struct kvm_vm *vm, const struct kvm_cpuid2 *table)
{
	expect_vcpu(__vm_vcpu_add(vm, 300), table);
	EXPECT_ERRNO("KVM_VM_SET_CPUID after a vCPU", try_set_cpuid(vm, full_table()), EBUSY);
}

/* Tables that KVM has in one page, and in several. */
static struct kvm_cpuid2 *one_page_table(void)
{
	struct kvm_cpuid2 *t = topology_table();

	TEST_ASSERT(t->nent * sizeof(t->entries[0]) < 3500, "The supported table is too large");
	return t;
}

#define BAD_ENTRY	200

static struct kvm_cpuid2 *bad_table(void)
{
	struct kvm_cpuid2 *t = full_table();

	t->entries[BAD_ENTRY].padding[1] = 1;
	return t;
}

struct set_case {
	const char *name;
	struct kvm_cpuid2 *(*old_table)(void);
	struct kvm_cpuid2 *(*new_table)(void);
	int error;
};

static const struct set_case set_cases[] = {
	{ "KVM_VM_SET_CPUID, first table", NULL, one_page_table },
	{ "KVM_VM_SET_CPUID, first table, of several pages", NULL, full_table },
	{ "KVM_VM_SET_CPUID, another table", full_table, one_page_table },
	{ "KVM_VM_SET_CPUID, another table, of several pages", one_page_table, full_table },
	{ "KVM_VM_SET_CPUID, a bad table", one_page_table, bad_table, EINVAL },
};

static void test_set(const void *row)
{
	const struct set_case *c = row;
	struct kvm_cpuid2 *old = c->old_table ? c->old_table() : NULL;
	struct kvm_cpuid2 *new = c->new_table(), *arg;
	struct kvm_vm *vm = NULL;
	struct sweep s;
	int r;

	sweep_begin(&s, "KVM_VM_SET_CPUID");
	do {
		/* The one of the failed call before, if there is nothing to set back. */
		if (!vm || !old) {
			if (vm)
				kvm_vm_free(vm);
			vm = vm_cpuid_create_vm();
		}
		if (old)
			vm_set_cpuid(vm, old);

		arg = cpuid_copy(new);
		r = sweep_ioctl(&s, vm->fd, KVM_VM_SET_CPUID, arg);
		if (!r) {
			expect_vm_table(vm, new);
		} else {
			/* A fault that KVM can do without doesn't make a bad table good. */
			if (r != -c->error)
				expect_fault_errno(&s, r);
			expect_table_or_none(vm, old);
		}
		EXPECT_U32("nent", arg->nent, new->nent);
		EXPECT_U32("padding", arg->padding, r == -EINVAL ? BAD_ENTRY + 1 : 0);
		free(arg);
	} while (s.injected);
	sweep_end(&s);

	EXPECT(r == -c->error, "without a fault: %s", strerror(-r));
	expect_usable(vm, c->error ? old : new);
}

struct get_case {
	const char *name;
	struct kvm_cpuid2 *(*table)(void);
};

static const struct get_case get_cases[] = {
	{ "KVM_VM_GET_CPUID", one_page_table },
	{ "KVM_VM_GET_CPUID, several pages", full_table },
};

static void test_get(const void *row)
{
	const struct get_case *c = row;
	struct kvm_cpuid2 *table = c->table(), *seen = cpuid_alloc(), *expected;
	struct kvm_vm *vm = vm_cpuid_create_vm();
	struct sweep s;
	int r;

	vm_set_cpuid(vm, table);
	expected = canonical(table);

	/* Fault its pages in, not to have that fail in the ioctl. */
	memset(seen, 0, sizeof(*seen) + CPUID_MAX_ENTRIES * sizeof(seen->entries[0]));

	sweep_begin(&s, "KVM_VM_GET_CPUID");
	do {
		seen->nent = CPUID_MAX_ENTRIES;
		r = sweep_ioctl(&s, vm->fd, KVM_VM_GET_CPUID, seen);
		if (r)
			expect_fault_errno(&s, r);
		else
			expect_table(s.call, -1, seen, expected);
		expect_vm_table(vm, table);
	} while (s.injected);
	sweep_end(&s);

	EXPECT(!r, "without a fault: %s", strerror(-r));
	expect_usable(vm, table);
}

struct create_case {
	const char *name;
	struct kvm_cpuid2 *(*table)(void);
	bool is_second;
};

/* Between them, the first two have the allocations and the ends of all. */
#define NR_QUICK_CREATE_CASES	2

static const struct create_case create_cases[] = {
	{ "KVM_CREATE_VCPU, Hyper-V", hyperv_table },
	{ "KVM_CREATE_VCPU, a second vCPU", one_page_table, true },
	{ "KVM_CREATE_VCPU", one_page_table },
	{ "KVM_CREATE_VCPU, the largest table", full_table },
	{ "KVM_CREATE_VCPU, no table", NULL },
};

/* To the selftest library, to create a vCPU is not to fail. */
static struct kvm_vcpu adopt_vcpu(struct kvm_vm *vm, u32 id, int fd)
{
	struct kvm_vcpu vcpu = { .vm = vm, .id = id, .fd = fd };

	vcpu.run = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TEST_ASSERT(vcpu.run != MAP_FAILED, "mmap of vCPU %u: %s", id, strerror(errno));
	return vcpu;
}

static void test_create(const void *row)
{
	const struct create_case *c = row;
	struct kvm_cpuid2 *table, *again;
	struct kvm_vcpu *first, vcpu;
	const u32 id = 5;
	struct kvm_vm *vm;
	struct sweep s;
	int r;

	table = c->table ? c->table() : NULL;
	again = one_page_table();

	sweep_begin(&s, "KVM_CREATE_VCPU");
	do {
		vm = vm_cpuid_create_vm();
		if (table)
			vm_set_cpuid(vm, table);
		first = c->is_second ? __vm_vcpu_add(vm, 0) : NULL;

		r = sweep_ioctl(&s, vm->fd, KVM_CREATE_VCPU, (void *)(unsigned long)id);
		expect_table_or_none(vm, table);
		if (r >= 0) {
			vcpu = adopt_vcpu(vm, id, r);
			if (table)
				expect_vcpu(&vcpu, table);
			munmap(vcpu.run, getpagesize());
			close(r);
		} else {
			expect_fault_errno(&s, r);
			/* If it is the only one, then it is as if it had never been. */
			EXPECT_ERRNO("KVM_VM_SET_CPUID", try_set_cpuid(vm, again),
				     first ? EBUSY : 0);
			expect_vcpu(__vm_vcpu_add(vm, id), first ? table : again);
		}
		if (first)
			expect_vcpu(first, table);
		kvm_vm_free(vm);
	} while (s.injected);
	sweep_end(&s);

	EXPECT(r >= 0, "without a fault: %s", strerror(-r));
}

int main(int argc, char *argv[])
{
	const bool quick = is_quick(argc, argv, "KVM_CREATE_VCPU in two settings, not in five");
	const struct case_set case_sets[] = {
		{ test_set, set_cases, sizeof(set_cases[0]), ARRAY_SIZE(set_cases) },
		{ test_get, get_cases, sizeof(get_cases[0]), ARRAY_SIZE(get_cases) },
		{ test_create, create_cases, sizeof(create_cases[0]),
		  quick ? NR_QUICK_CREATE_CASES : ARRAY_SIZE(create_cases) },
	};

	setlinebuf(stdout);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));
	__TEST_REQUIRE(!access(FAIL_NTH, W_OK) && prepare_faults(),
		       "no fault injection in this kernel, or no debugfs");

	ksft_print_header();
	run_cases(case_sets, ARRAY_SIZE(case_sets), NULL);
}
