// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test how much memory a process can make KVM hold by KVM_VM_SET_CPUID: one table for
 * each of its VMs and each of their vCPUs, however often it sets one and however often
 * the creation of a vCPU fails, all charged to the process's memory cgroup.
 *
 * The kernel counts the memory of a cgroup in batches for each CPU.  So use many VMs,
 * and keep what is expected far from what is wrong.
 */
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "kvm_test_harness.h"
#include "util.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"

#define NR_VMS		128
#define NR_VCPUS	128

/* The size of a table that has as many entries as KVM accepts. */
#define TABLE_SIZE	(CPUID_MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2))

/* The size of the tables of all VMs, or of all vCPUs; half of it counts as a lot. */
#define ALL_TABLES	(NR_VMS * (long)TABLE_SIZE)
#define A_LOT		(ALL_TABLES / 2)

static_assert(NR_VMS == NR_VCPUS, "The tables of both take the same");

static char cgroup[PATH_MAX];
static pid_t main_pid;
static int kvm_fd;

static bool write_file(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX + 32];
	bool is_ok;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	is_ok = write(fd, text, strlen(text)) == strlen(text);
	close(fd);
	return is_ok;
}

/* The kernel memory that is charged to the cgroup. */
static long kernel_memory(void)
{
	char path[PATH_MAX + 32], line[128];
	long bytes = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/memory.stat", cgroup);
	f = fopen(path, "r");
	TEST_ASSERT(f, "Cannot open %s", path);
	while (bytes < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "kernel %ld", &bytes);
	fclose(f);
	TEST_ASSERT(bytes >= 0, "%s has no line for kernel memory", path);
	return bytes;
}

static void remove_cgroup(void)
{
	if (getpid() == main_pid)
		rmdir(cgroup);
}

static bool create_cgroup(void)
{
	main_pid = getpid();
	snprintf(cgroup, sizeof(cgroup), CGROUP_ROOT "/vm_cpuid_memcg_test.%d", main_pid);
	if (!write_file(CGROUP_ROOT, "cgroup.subtree_control", "+memory") || mkdir(cgroup, 0755))
		return false;
	atexit(remove_cgroup);
	return true;
}

static void enter_cgroup(void)
{
	TEST_ASSERT(write_file(cgroup, "cgroup.procs", "0"), "Cannot enter %s", cgroup);
}

static int create_vm(void)
{
	int fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);

	TEST_ASSERT(fd >= 0, "KVM_CREATE_VM: %s", strerror(errno));
	return fd;
}

static int create_vcpu(int vm, unsigned long id)
{
	int fd = ioctl(vm, KVM_CREATE_VCPU, id);

	TEST_ASSERT(fd >= 0, "KVM_CREATE_VCPU %lu: %s", id, strerror(errno));
	return fd;
}

/* The memory that the process gained since @before, or lost if it is negative. */
static long report_gain(const char *what, long before)
{
	long gain = kernel_memory() - before;

	ksft_print_msg("%s: %+ld KiB\n", what, gain / 1024);
	return gain;
}

static void set_in_all(const int *vms, struct kvm_cpuid2 *table, int error)
{
	int i, r;

	for (i = 0; i < NR_VMS; i++) {
		table->padding = 0;
		r = ioctl(vms[i], KVM_VM_SET_CPUID, table) ? errno : 0;
		TEST_ASSERT(r == error, "KVM_VM_SET_CPUID: %s", strerror(r));
	}
}

EMPTY_FIXTURE(memcg)

/* A VM has one table, and it is charged. */
TEST_F_TIMEOUT(memcg, vms, CASE_TIMEOUT_S)
{
	struct kvm_cpuid2 *table = full_table(), *bad = full_table(), *none = cpuid_alloc();
	long start, before, gain;
	int i, vms[NR_VMS];

	bad->entries[CPUID_MAX_ENTRIES - 1].padding[0] = 1;
	enter_cgroup();
	start = kernel_memory();
	ksft_print_msg("%d tables are %ld KiB\n", NR_VMS, ALL_TABLES / 1024);

	for (i = 0; i < NR_VMS; i++)
		vms[i] = create_vm();
	report_gain("VMs", start);

	before = kernel_memory();
	set_in_all(vms, bad, EINVAL);
	gain = report_gain("bad tables", before);
	TEST_ASSERT(gain < A_LOT, "bad tables are kept");

	before = kernel_memory();
	set_in_all(vms, table, 0);
	gain = report_gain("first tables", before);
	TEST_ASSERT(gain > A_LOT, "tables aren't charged");
	/* The allocator rounds up to a power of two, at most. */
	TEST_ASSERT(gain < 2 * ALL_TABLES + A_LOT, "a table takes too much");

	before = kernel_memory();
	for (i = 0; i < 2; i++)
		set_in_all(vms, table, 0);
	gain = report_gain("two more tables for each", before);
	TEST_ASSERT(gain < A_LOT, "old tables are kept");

	before = kernel_memory();
	set_in_all(vms, bad, EINVAL);
	gain = report_gain("a bad table for each", before);
	TEST_ASSERT(gain < A_LOT, "bad tables are kept");

	before = kernel_memory();
	set_in_all(vms, none, 0);
	gain = report_gain("tables taken back", before);
	TEST_ASSERT(gain < -A_LOT, "tables that are taken back are kept");
	set_in_all(vms, table, 0);

	/* Some of what a VM has is freed later. */
	for (i = 0; i < NR_VMS; i++)
		close(vms[i]);
	for (i = 0; i < 100 && kernel_memory() - start >= A_LOT; i++)
		usleep(100000);
	gain = report_gain("all VMs closed, since the start", start);
	TEST_ASSERT(gain < A_LOT, "a VM leaves something behind");
}

/* The memory that a VM's vCPUs take, with a table or without. */
static long charge_vcpus(struct kvm_cpuid2 *table, const char *what)
{
	int i, vm = create_vm(), vcpus[NR_VCPUS];
	long before, gain;

	TEST_ASSERT(!ioctl(vm, KVM_VM_SET_CPUID, table), "Cannot set the table");
	before = kernel_memory();
	for (i = 0; i < NR_VCPUS; i++)
		vcpus[i] = create_vcpu(vm, i);
	gain = report_gain(what, before);

	for (i = 0; i < NR_VCPUS; i++)
		close(vcpus[i]);
	close(vm);
	return gain;
}

/* A vCPU has one table, and it is charged. */
TEST_F_TIMEOUT(memcg, vcpus, CASE_TIMEOUT_S)
{
	struct kvm_cpuid2 *table = full_table(), *none = cpuid_alloc();
	long start, without, with;

	enter_cgroup();
	/* The first VM also pays for what later ones share or reuse. */
	charge_vcpus(none, "vCPUs, to begin with");
	start = kernel_memory();
	without = charge_vcpus(none, "vCPUs without a table");
	with = charge_vcpus(table, "vCPUs under a table of the VM");

	TEST_ASSERT(with - without > A_LOT, "vCPUs' tables aren't charged");
	TEST_ASSERT(with - without < 2 * ALL_TABLES + A_LOT, "a vCPU's table takes too much");
	TEST_ASSERT(report_gain("both VMs closed", start) < A_LOT, "a vCPU leaves something behind");
}

/* A vCPU that can't be created leaves no table behind.  A file descriptor is what it needs last. */
TEST_F_TIMEOUT(memcg, failed_vcpus, CASE_TIMEOUT_S)
{
	struct rlimit limit = { };
	long before, gain;
	int i, vm = create_vm();

	enter_cgroup();
	TEST_ASSERT(!ioctl(vm, KVM_VM_SET_CPUID, full_table()), "Cannot set the table");
	close(create_vcpu(vm, NR_VCPUS));

	before = kernel_memory();
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (i = 0; i < NR_VCPUS; i++)
		assert_errno("KVM_CREATE_VCPU", ioctl(vm, KVM_CREATE_VCPU, i), EMFILE);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	gain = report_gain("vCPUs that failed", before);
	TEST_ASSERT(gain < A_LOT, "failed creations leave something behind");
	close(vm);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));
	__TEST_REQUIRE(create_cgroup(), "no cgroup2 with memory control in " CGROUP_ROOT);

	kvm_fd = open(KVM_DEV_PATH, O_RDWR | O_CLOEXEC);
	TEST_ASSERT(kvm_fd >= 0, "Cannot open %s", KVM_DEV_PATH);

	return test_harness_run(argc, argv);
}
