// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that KVM_VM_SET_CPUID and KVM_VM_GET_CPUID, and the creation of vCPUs under
 * a VM's CPUID table, survive failed allocations and failed accesses to memory.
 *
 * The kernel makes the first, the second, ... of a call's allocations and copies
 * from and to userspace fail, one per call, until the call has no more of them.
 * The call fails with the documented error, or succeeds if the kernel can do
 * without.  In any case the VM keeps its table, and works.
 *
 * This needs CONFIG_FAULT_INJECTION and what depends on it.  kmemleak finds what
 * failed calls leave behind.
 */
#include <limits.h>
#include <sys/mman.h>

#include "kvm_test_harness.h"
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

/* The number of faults of this kind that are left.  Each read needs a new debugfs file. */
static int faults_left(enum fault fault)
{
	int fd = open_knob(fault, "times", O_RDONLY);
	char buf[32] = "";

	TEST_ASSERT(fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0, "Cannot count faults of %s",
		    faults[fault].dir);
	close(fd);
	return atoi(buf);
}

/* Let any allocation fail, even if it could wait for memory, and without a message. */
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

	/* The sweep must have tested something. */
	TEST_ASSERT(s->nr_failed, "No call failed");
}

/*
 * Do the call with the next fault.  Return what it returns, or a negative errno.
 * A call that the fault does not hit is the last one of the sweep.
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
	 * Zero if the fault was injected.  Otherwise it is still pending, and may hit
	 * this read or the write that cancels it.
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

/* Only a fault may make a call fail, and only with the right error. */
static void assert_fault_errno(const struct sweep *s, int r)
{
	TEST_ASSERT(s->injected, "%s failed without a fault: %s", s->call, strerror(-r));
	TEST_ASSERT(-r == faults[s->injected].error, "%s, fault %d (%s): %s", s->call, s->n,
		    faults[s->injected].dir, strerror(-r));
}

#define BAD_ENTRY	200

static struct kvm_cpuid2 *bad_table(void)
{
	struct kvm_cpuid2 *t = full_table();

	t->entries[BAD_ENTRY].padding[1] = 1;
	return t;
}

/* KVM has a topology_table() in one page, and a full_table() in several. */
EMPTY_FIXTURE(set)

FIXTURE_VARIANT(set) {
	struct kvm_cpuid2 *(*old_table)(void);
	struct kvm_cpuid2 *(*new_table)(void);
	int error;
};

FIXTURE_VARIANT_ADD(set, first) { NULL, topology_table };
FIXTURE_VARIANT_ADD(set, first_full) { NULL, full_table };
FIXTURE_VARIANT_ADD(set, another) { full_table, topology_table };
FIXTURE_VARIANT_ADD(set, another_full) { topology_table, full_table };
FIXTURE_VARIANT_ADD(set, bad) { topology_table, bad_table, EINVAL };

TEST_F_TIMEOUT(set, sweep, CASE_TIMEOUT_S)
{
	struct kvm_cpuid2 *old = variant->old_table ? variant->old_table() : NULL;
	struct kvm_cpuid2 *new = variant->new_table(), *arg = cpuid_alloc();
	struct kvm_vm *vm = NULL;
	struct sweep s;
	int r;

	sweep_begin(&s, "KVM_VM_SET_CPUID");
	do {
		/* Drop the VM of the last call, if there is no old table to restore. */
		if (vm && !old) {
			kvm_vm_free(vm);
			vm = NULL;
		}
		if (!vm)
			vm = vm_create_barebones();
		if (old)
			vm_set_cpuid(vm, old);

		memcpy(arg, new, kvm_cpuid2_size(new->nent));
		r = sweep_ioctl(&s, vm->fd, KVM_VM_SET_CPUID, arg);
		/* A fault that KVM can do without doesn't make a bad table good. */
		if (r && r != -variant->error)
			assert_fault_errno(&s, r);
		assert_vm_cpuid(vm, r ? old : new);
		TEST_ASSERT_EQ(arg->nent, new->nent);
		TEST_ASSERT_EQ(arg->padding, r == -EINVAL ? BAD_ENTRY + 1 : 0);
	} while (s.injected);
	sweep_end(&s);

	TEST_ASSERT_EQ(r, -variant->error);
	assert_new_vcpu(__vm_vcpu_add(vm, 300)->fd, 300, r ? old : new);
}

EMPTY_FIXTURE(get)

TEST_F_TIMEOUT(get, sweep, CASE_TIMEOUT_S)
{
	struct kvm_cpuid2 *table = full_table(), *expected = model_table(table, 0);
	struct kvm_cpuid2 *seen = cpuid_alloc();
	struct kvm_vm *vm = vm_create_barebones();
	struct sweep s;
	int r;

	vm_set_cpuid(vm, table);

	/* Fault its pages in, so that this does not fail in the ioctl. */
	memset(seen, 0, kvm_cpuid2_size(CPUID_MAX_ENTRIES));

	sweep_begin(&s, "KVM_VM_GET_CPUID");
	do {
		seen->nent = CPUID_MAX_ENTRIES;
		r = sweep_ioctl(&s, vm->fd, KVM_VM_GET_CPUID, seen);
		if (r)
			assert_fault_errno(&s, r);
		else
			assert_same_cpuid(s.call, seen, expected);
		assert_vm_cpuid(vm, table);
	} while (s.injected);
	sweep_end(&s);

	TEST_ASSERT_EQ(r, 0);
}

EMPTY_FIXTURE(create)

FIXTURE_VARIANT(create) {
	struct kvm_cpuid2 *(*table)(void);
	bool is_second;
};

FIXTURE_VARIANT_ADD(create, hyperv) { hyperv_table };
FIXTURE_VARIANT_ADD(create, second) { topology_table, true };

TEST_F_TIMEOUT(create, sweep, CASE_TIMEOUT_S)
{
	struct kvm_cpuid2 *table = variant->table(), *again = topology_table();
	struct kvm_vcpu *first = NULL;
	const u32 id = 5;
	struct kvm_vm *vm;
	struct sweep s;
	int r;

	sweep_begin(&s, "KVM_CREATE_VCPU");
	do {
		vm = vm_create_barebones();
		vm_create_irqchip(vm);
		vm_set_cpuid(vm, table);
		if (variant->is_second)
			first = __vm_vcpu_add(vm, 0);

		r = sweep_ioctl(&s, vm->fd, KVM_CREATE_VCPU, (void *)(unsigned long)id);
		assert_vm_cpuid(vm, table);
		if (r < 0) {
			assert_fault_errno(&s, r);
			/* If it is the only vCPU, the VM is as if it had never been. */
			assert_errno("KVM_VM_SET_CPUID", __vm_set_cpuid(vm, again),
				     first ? EBUSY : 0);
			assert_new_vcpu(__vm_vcpu_add(vm, id)->fd, id, first ? table : again);
		} else {
			assert_new_vcpu(r, id, table);
			close(r);
		}
		if (first)
			assert_new_vcpu(first->fd, 0, table);
		kvm_vm_free(vm);
	} while (s.injected);
	sweep_end(&s);

	TEST_ASSERT(r >= 0, "without a fault: %s", strerror(-r));
}

int main(int argc, char *argv[])
{
	take_options(&argc, argv);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));
	__TEST_REQUIRE(!access(FAIL_NTH, W_OK) && prepare_faults(),
		       "no fault injection in this kernel, or no debugfs");

	return test_harness_run(argc, argv);
}
