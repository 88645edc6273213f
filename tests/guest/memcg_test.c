// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test what a process can make KVM hold by KVM_VM_SET_CPUID: one table for each of
 * its VMs, however often it sets one and however many vCPUs there are, and charged
 * to the process's memory cgroup.
 *
 * The kernel counts the memory of a cgroup in batches for each CPU.  So there are
 * many VMs, and what is expected is far from what is not.
 */
#include <limits.h>
#include <sys/stat.h>

#include "util.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"

#define NR_VMS		128
#define NR_VCPUS	128

/* What one table takes if it has as many entries as KVM accepts. */
#define TABLE_SIZE	(CPUID_MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2))

/* What the tables of all VMs, or of all vCPUs, take; and half of it is a lot. */
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

static struct kvm_cpuid2 *largest_table(void)
{
	struct kvm_cpuid2 *t = cpuid_alloc();

	for (t->nent = 0; t->nent < CPUID_MAX_ENTRIES; t->nent++)
		t->entries[t->nent].function = t->nent;
	return t;
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

/* What the process gained, or with a minus lost, since @before. */
static long report_gain(const char *what, long before)
{
	long gain = kernel_memory() - before;

	ksft_print_msg("%s: %+ld KiB\n", what, gain / 1024);
	return gain;
}

static void set_in_all(const int *vms, const struct kvm_cpuid2 *table, int error)
{
	struct kvm_cpuid2 *copy;
	int i, r;

	for (i = 0; i < NR_VMS; i++) {
		copy = cpuid_copy(table);
		r = ioctl(vms[i], KVM_VM_SET_CPUID, copy) ? errno : 0;
		TEST_ASSERT(r == error, "KVM_VM_SET_CPUID: %s", strerror(r));
		free(copy);
	}
}

struct memcg_case {
	const char *name;
};

static const struct memcg_case vm_cases[] = {
	{ "a VM has one table, and it is charged" },
};

static void test_vms(const void *row)
{
	struct kvm_cpuid2 *table = largest_table(), *bad = largest_table();
	long start, before, gain;
	int i, vms[NR_VMS];

	bad->entries[CPUID_MAX_ENTRIES - 1].function = 0;
	enter_cgroup();
	start = kernel_memory();
	ksft_print_msg("%d tables are %ld KiB\n", NR_VMS, ALL_TABLES / 1024);

	for (i = 0; i < NR_VMS; i++)
		vms[i] = create_vm();
	report_gain("VMs", start);

	before = kernel_memory();
	set_in_all(vms, bad, EINVAL);
	gain = report_gain("bad tables", before);
	EXPECT(gain < A_LOT, "bad tables are kept");

	before = kernel_memory();
	set_in_all(vms, table, 0);
	gain = report_gain("first tables", before);
	EXPECT(gain > A_LOT, "tables aren't charged");
	/* The allocator rounds up to a power of two, at most. */
	EXPECT(gain < 2 * ALL_TABLES + A_LOT, "a table takes too much");

	before = kernel_memory();
	for (i = 0; i < 2; i++)
		set_in_all(vms, table, 0);
	gain = report_gain("two more tables for each", before);
	EXPECT(gain < A_LOT, "old tables are kept");

	before = kernel_memory();
	set_in_all(vms, bad, EINVAL);
	gain = report_gain("a bad table for each", before);
	EXPECT(gain < A_LOT, "bad tables are kept");

	/* Some of what a VM has is freed later. */
	for (i = 0; i < NR_VMS; i++)
		close(vms[i]);
	for (i = 0; i < 100 && kernel_memory() - start >= A_LOT; i++)
		usleep(100000);
	gain = report_gain("all VMs closed, since the start", start);
	EXPECT(gain < A_LOT, "a VM leaves something behind");
}

static const struct memcg_case vcpu_cases[] = {
	{ "vCPUs share the table of their VM" },
};

/* What the vCPUs of a VM take, under its table or with copies by KVM_SET_CPUID. */
static long charge_vcpus(const struct kvm_cpuid2 *vm_table, struct kvm_cpuid *vcpu_table,
			 const char *what)
{
	int i, vm = create_vm(), vcpus[NR_VCPUS];
	struct kvm_cpuid2 *copy;
	long before, gain;

	if (vm_table) {
		copy = cpuid_copy(vm_table);
		TEST_ASSERT(!ioctl(vm, KVM_VM_SET_CPUID, copy), "Cannot set the table");
		free(copy);
	}

	before = kernel_memory();
	for (i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = create_vcpu(vm, i);
		if (vcpu_table)
			TEST_ASSERT(!ioctl(vcpus[i], KVM_SET_CPUID, vcpu_table),
				    "KVM_SET_CPUID: %s", strerror(errno));
	}
	gain = report_gain(what, before);

	for (i = 0; i < NR_VCPUS; i++)
		close(vcpus[i]);
	close(vm);
	return gain;
}

static void test_vcpus(const void *row)
{
	struct kvm_cpuid2 *table = largest_table();
	struct kvm_cpuid *copy;
	long without, shared, copies;

	/* Not KVM_SET_CPUID2: KVM doesn't charge its tables. */
	copy = calloc(1, sizeof(*copy) + CPUID_MAX_ENTRIES * sizeof(copy->entries[0]));
	TEST_ASSERT(copy, "Out of memory");
	copy->nent = CPUID_MAX_ENTRIES;

	enter_cgroup();
	/* The first VM also pays for what later ones share or reuse. */
	charge_vcpus(NULL, NULL, "vCPUs, to begin with");
	without = charge_vcpus(NULL, NULL, "vCPUs without CPUID");
	shared = charge_vcpus(table, NULL, "vCPUs under a table of the VM");
	copies = charge_vcpus(NULL, copy, "vCPUs with their own copies");

	EXPECT(shared - without < A_LOT, "vCPUs have copies of the table");
	EXPECT(copies - without > A_LOT, "copies aren't seen, so the test is blind");
}

static const struct case_set case_sets[] = {
	{ test_vms, vm_cases, sizeof(vm_cases[0]), ARRAY_SIZE(vm_cases) },
	{ test_vcpus, vcpu_cases, sizeof(vcpu_cases[0]), ARRAY_SIZE(vcpu_cases) },
};

int main(void)
{
	setlinebuf(stdout);
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_CPUID));
	__TEST_REQUIRE(create_cgroup(), "no cgroup2 with memory control in " CGROUP_ROOT);

	kvm_fd = open(KVM_DEV_PATH, O_RDWR | O_CLOEXEC);
	TEST_ASSERT(kvm_fd >= 0, "Cannot open %s", KVM_DEV_PATH);

	ksft_print_header();
	run_cases(case_sets, ARRAY_SIZE(case_sets), NULL);
}
