// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Run QEMU with -accel kvm in the emulated machine, and compare what its guests' CPUs read
 * by CPUID with one table per VM (vm-cpuid=on) and with one per vCPU (off).
 *
 * usage: driver matrix [full] | plug | migrate | refuse | host | sabotage | stock | linux
 *
 * Prints TAP.  The guest in guest.S really executes CPUID, on every vCPU.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define QEMU		"/qemu-system-x86_64"
#define SABOTAGED	"/qemu-sabotaged"
#define RAM_SIZE	(64ul << 20)
#define MAX_ID		((RAM_SIZE - SLOTS) / SLOT_SIZE)
#define MAX_ARGS	96
#define SECONDS		30	/* of the emulated machine's: the limit for each wait */

struct record {
	uint32_t leaf, subleaf, reg[4];
};

struct machine {
	const char *name;
	pid_t pid;
	int to, from;		/* QMP */
	bool greeted, deleted;
	char ram_path[64], err_path[64];
	char *ram;
	char answer[65536];
};

static unsigned int count, failures, combinations, tables;

static void result(bool ok, const char *format, ...)
{
	va_list args;

	printf("%s %u - ", ok ? "ok" : "not ok", ++count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	failures += !ok;
}

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void nap(void)
{
	usleep(10000);
}

/* --- machines */

/* Has it ended? */
static bool ended(struct machine *m, int *status)
{
	if (m->pid && waitpid(m->pid, status, WNOHANG) == m->pid)
		m->pid = 0;
	return !m->pid;
}

static volatile uint32_t *mailbox(struct machine *m, unsigned int field)
{
	return (volatile uint32_t *)(m->ram + MAILBOX + field);
}

static volatile uint32_t *slot(struct machine *m, unsigned int id, unsigned int field)
{
	return (volatile uint32_t *)(m->ram + SLOTS + id * SLOT_SIZE + field);
}

static struct record *record(struct machine *m, unsigned int id, unsigned int i)
{
	return (struct record *)slot(m, id, SLOT_RECORDS) + i;
}

/* Clear what the CPUs have read. */
static void forget(struct machine *m)
{
	unsigned int id;

	for (id = 0; id < MAX_ID; id++)
		*slot(m, id, SLOT_COUNT) = 0;
}

/* QEMU's warnings that the emulated machine is small, and its CPU not the one asked for. */
static bool is_usual(const char *line)
{
	return strstr(line, "doesn't support requested feature") ||
	       strstr(line, "exceeds the recommended cpus");
}

/* Print other messages of QEMU's, as comments; true if there are any. */
static bool show_err(struct machine *m)
{
	FILE *f = fopen(m->err_path, "r");
	bool any = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (is_usual(line))
			continue;
		printf("# %s: %s", m->name, line);
		any = true;
	}
	if (f)
		fclose(f);
	return any;
}

static bool err_has(struct machine *m, const char *text)
{
	static char buf[65536];
	FILE *f = fopen(m->err_path, "r");
	size_t n;

	if (!f)
		return false;
	n = fread(buf, 1, sizeof(buf) - 1, f);
	fclose(f);
	buf[n] = 0;
	return strstr(buf, text);
}

/*
 * Start QEMU, with more arguments in @args, separated by blanks.  The guest waits for
 * @cpus CPUs.
 */
static void start(struct machine *m, const char *name, const char *qemu, const char *accel,
		  unsigned int cpus, bool stay, const char *args)
{
	static char words[8192], object[160], accels[128];
	char *argv[MAX_ARGS], *word;
	int fd, n = 0, in[2], out[2];

	memset(m, 0, sizeof(*m));
	m->name = name;
	snprintf(m->ram_path, sizeof(m->ram_path), "/tmp/%s.ram", name);
	snprintf(m->err_path, sizeof(m->err_path), "/tmp/%s.err", name);
	unlink(m->ram_path);

	fd = open(m->ram_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, RAM_SIZE))
		die(m->ram_path);
	m->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->ram == MAP_FAILED)
		die("mmap");
	close(fd);
	*mailbox(m, MAILBOX_CPUS) = cpus;
	*mailbox(m, MAILBOX_STAY) = stay;
	*mailbox(m, MAILBOX_GO) = 1;

	snprintf(object, sizeof(object), "memory-backend-file,id=ram,share=on,size=%lu,mem-path=%s",
		 RAM_SIZE, m->ram_path);
	snprintf(accels, sizeof(accels), "kvm%s%s", *accel ? "," : "", accel);
	snprintf(words, sizeof(words), "%s", args);

	argv[n++] = (char *)qemu;
	argv[n++] = "-accel";
	argv[n++] = accels;
	argv[n++] = "-object";
	argv[n++] = object;
	argv[n++] = "-qmp";
	argv[n++] = "stdio";
	for (word = strtok(words, " "); word; word = strtok(NULL, " ")) {
		if (n > MAX_ARGS - 20)
			die("too many arguments");
		argv[n++] = word;
	}
	argv[n++] = "-bios";
	argv[n++] = "/cpuid.rom";
	argv[n++] = "-L";
	argv[n++] = "/firmware";
	argv[n++] = "-nodefaults";
	argv[n++] = "-no-user-config";
	argv[n++] = "-display";
	argv[n++] = "none";
	if (!stay)
		argv[n++] = "-no-reboot";
	argv[n] = NULL;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	m->pid = fork();
	if (m->pid < 0)
		die("fork");
	if (!m->pid) {
		fd = open(m->err_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(fd, 2);
		execv(qemu, argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	m->to = in[1];
	m->from = out[0];
	fcntl(m->from, F_SETFL, O_NONBLOCK);
}

/* Wait for QEMU to end, and return its exit status, or -1. */
static int finish(struct machine *m)
{
	double limit = now() + SECONDS;
	int status;

	while (!ended(m, &status)) {
		if (now() > limit) {
			printf("# %s: did not end in %d s\n", m->name, SECONDS);
			return -1;
		}
		nap();
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void end(struct machine *m)
{
	if (m->pid) {
		kill(m->pid, SIGKILL);
		waitpid(m->pid, NULL, 0);
	}
	close(m->to);
	close(m->from);
	munmap(m->ram, RAM_SIZE);
	unlink(m->ram_path);
}

/* Wait until the guest's CPUs have all read their CPUID. */
static bool ready(struct machine *m, uint32_t go)
{
	double limit = now() + SECONDS;

	while (*mailbox(m, MAILBOX_READY) != go) {
		if (now() > limit || ended(m, NULL)) {
			printf("# %s: the guest is not ready, %u of %u CPUs are\n", m->name,
			       *mailbox(m, MAILBOX_DONE), *mailbox(m, MAILBOX_CPUS));
			show_err(m);
			return false;
		}
		nap();
	}
	return true;
}

/* Have the guest do it again, with that many CPUs. */
static bool again(struct machine *m, unsigned int cpus)
{
	uint32_t go = *mailbox(m, MAILBOX_GO) + 1;

	forget(m);
	*mailbox(m, MAILBOX_CPUS) = cpus;
	*mailbox(m, MAILBOX_GO) = go;
	return ready(m, go);
}

/* --- QMP */

/* Read lines until one has @text; NULL if none comes. */
static char *read_until(struct machine *m, const char *text, const char *or)
{
	double limit = now() + SECONDS;
	size_t n = 0;
	ssize_t got;

	while (now() < limit) {
		got = read(m->from, m->answer + n, 1);
		if (got == 0)
			return NULL;
		if (got < 0) {
			nap();
			continue;
		}
		if (m->answer[n] != '\n' && n < sizeof(m->answer) - 2) {
			n++;
			continue;
		}
		m->answer[n] = 0;
		n = 0;
		/* An event may come before the answer. */
		m->deleted |= !!strstr(m->answer, "DEVICE_DELETED");
		if (strstr(m->answer, text) || (or && strstr(m->answer, or)))
			return m->answer;
	}
	return NULL;
}

/* Send a command; its answer is in m->answer.  False if it failed. */
static bool qmp(struct machine *m, const char *format, ...)
{
	char command[1024];
	va_list args;
	char *answer;

	if (!m->greeted) {
		m->greeted = true;
		if (!qmp(m, "{\"execute\": \"qmp_capabilities\"}"))
			return false;
	}

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	strcat(command, "\n");
	if (write(m->to, command, strlen(command)) < 0)
		return false;
	answer = read_until(m, "\"return\"", "\"error\"");
	return answer && !strstr(answer, "\"error\"");
}

/* Does KVM have a table for this machine?  The kernel shows it in debugfs. */
static bool has_table(struct machine *m)
{
	char pattern[64], line[8];
	bool has = false;
	glob_t found;
	size_t i;
	FILE *f;

	snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/kvm/%d-*/cpuid", m->pid);
	if (glob(pattern, 0, NULL, &found))
		return false;
	for (i = 0; i < found.gl_pathc; i++) {
		f = fopen(found.gl_pathv[i], "r");
		has |= f && fgets(line, sizeof(line), f);
		if (f)
			fclose(f);
	}
	globfree(&found);
	return has;
}

static bool plug(struct machine *m, const char *model, const char *id, const char *more)
{
	return qmp(m, "{\"execute\": \"device_add\", \"arguments\": {\"driver\": \"%s-x86_64-cpu\","
		      " \"id\": \"%s\", %s}}", model, id, more);
}

/* --- comparison */

static const char *const reg_names[] = { "EAX", "EBX", "ECX", "EDX" };

/* Compare all that all CPUs read, and print the first differences. */
static unsigned int differences(struct machine *a, struct machine *b, unsigned int cpus, bool quiet)
{
	unsigned int id, i, r, n, seen = 0, bad = 0;
	struct record *x, *y;

	for (id = 0; id < MAX_ID; id++) {
		n = *slot(a, id, SLOT_COUNT);
		seen += n > 0;
		if (n != *slot(b, id, SLOT_COUNT)) {
			if (!quiet && bad < 5)
				printf("# APIC ID %u: %u records, and %u\n", id, n,
				       *slot(b, id, SLOT_COUNT));
			bad++;
			continue;
		}
		if (n && *slot(a, id, SLOT_X2APIC) != *slot(b, id, SLOT_X2APIC))
			bad++;
		for (i = 0; i < n; i++) {
			x = record(a, id, i);
			y = record(b, id, i);
			if (!memcmp(x, y, sizeof(*x)))
				continue;
			for (r = 0; r < 4; r++) {
				if (x->reg[r] == y->reg[r])
					continue;
				if (!quiet && bad < 5)
					printf("# APIC ID %u: leaf 0x%x subleaf 0x%x %s: %s 0x%08x, %s 0x%08x\n",
					       id, x->leaf, x->subleaf, reg_names[r], a->name,
					       x->reg[r], b->name, y->reg[r]);
				bad++;
			}
		}
		tables += n > 0;
	}
	if (seen != cpus) {
		if (!quiet)
			printf("# %u CPUs, not %u\n", seen, cpus);
		bad++;
	}
	return bad;
}

/* --- the matrix */

struct model {
	const char *name, *cpu, *accel, *machine;
	bool amd_ids;	/* has leaf 0x8000001e */
	bool host_ids;	/* has it if the host's CPU does */
	bool legacy_nodes;
	unsigned int quick;	/* the number of topologies in a quick run */
};

#define HYPERV	"hv-relaxed,hv-vapic,hv-time,hv-vpindex,hv-runtime,hv-synic,hv-stimer,hv-reset," \
		"hv-frequencies,hv-tlbflush,hv-ipi,hv-spinlocks=0x1fff"

static const struct model models[] = {
	{ "EPYC-Genoa", "EPYC-Genoa", .amd_ids = true, .quick = 8 },
	{ "EPYC with legacy nodes", "EPYC,legacy-multi-node=on", .amd_ids = true, .legacy_nodes = true, .quick = 5 },
	{ "Opteron_G5", "Opteron_G5", .quick = 3 },
	{ "SapphireRapids", "SapphireRapids", .quick = 6 },
	{ "Skylake-Server with Hyper-V", "Skylake-Server," HYPERV, .quick = 3 },
	{ "host", "host", .host_ids = true, .quick = 3 },
	{ "EPYC with Hyper-V", "EPYC," HYPERV, .amd_ids = true, .quick = 1 },
	{ "EPYC as little as can be",
	  "EPYC,kvm=off,cpuid-0xb=off,x2apic=off,l3-cache=off,-xsave", .amd_ids = true, .quick = 1 },
	{ "EPYC with invariant TSC", "EPYC,invtsc=on", .amd_ids = true, .quick = 1 },
	{ "EPYC", "EPYC", .amd_ids = true },
	{ "EPYC with Hyper-V, as KVM has it", "EPYC,hv-passthrough=on", .amd_ids = true, .quick = 1 },
	{ "EPYC with Xen", "EPYC", ",xen-version=0x40011,kernel-irqchip=split", .amd_ids = true, .quick = 2 },
	{ "EPYC with Xen and Hyper-V", "EPYC," HYPERV, ",xen-version=0x40011,kernel-irqchip=split",
	  .amd_ids = true, .quick = 1 },
	{ "EPYC with a split irqchip", "EPYC", ",kernel-irqchip=split", .amd_ids = true, .quick = 1 },
	{ "EPYC in a microvm", "EPYC", .machine = "microvm", .amd_ids = true, .quick = 1 },
	{ "EPYC without leaf 0x8000001e", "EPYC,xlevel=0x8000001d", .quick = 1 },
	{ "host, not migratable", "host,migratable=off", .host_ids = true, .quick = 1 },
	{ "host with the host's caches", "host,host-cache-info=on", .host_ids = true, .quick = 1 },
	{ "qemu64", "qemu64" },
	{ "Nehalem", "Nehalem" },
	{ "max", "max", .host_ids = true },
	{ "EPYC with PV features enforced", "EPYC,kvm-pv-enforce-cpuid=on", .amd_ids = true },
};

struct topology {
	const char *name, *smp;
	unsigned int cpus;
	bool dies, modules;	/* levels that KVM's core IDs may not take into account */
	const char *devices;	/* CPUs of the same model, by their IDs */
	bool x2apic;
};

/* The first QUICK of them differ most. */
static const struct topology topologies[] = {
	{ "3 cores, 2 threads", "6,cores=3,threads=2", .cpus = 6 },
	{ "4 sockets", "4,sockets=4", .cpus = 4 },
	{ "2 cores, 2 threads", "4,cores=2,threads=2", .cpus = 4 },
	{ "3 sockets, 1 core, 2 threads", "6,sockets=3,cores=1,threads=2", .cpus = 6 },
	{ "3 dies, 2 cores", "6,dies=3,cores=2", .cpus = 6, .dies = true },
	{ "2 modules, 2 cores", "4,modules=2,cores=2", .cpus = 4, .modules = true },
	{ "sparse IDs", "2,maxcpus=30,sockets=5,cores=3,threads=2", .cpus = 5,
	  .devices = "socket-id=4,core-id=2,thread-id=1 socket-id=2,core-id=0,thread-id=1 "
		     "socket-id=3,core-id=2,thread-id=0" },
	{ "sparse IDs above 255", "2,maxcpus=400,sockets=80,cores=5", .cpus = 4,
	  .devices = "socket-id=79,core-id=4,thread-id=0 socket-id=32,core-id=0,thread-id=0",
	  .x2apic = true },
	{ "1 CPU", "1", .cpus = 1 },
	{ "4 cores", "4,cores=4", .cpus = 4 },
	{ "3 cores", "3,cores=3", .cpus = 3 },
	{ "2 sockets, 5 cores", "10,sockets=2,cores=5", .cpus = 10 },
	{ "2 sockets, 3 dies, 2 cores", "12,sockets=2,dies=3,cores=2", .cpus = 12, .dies = true },
	{ "2 modules, 2 cores, 2 threads", "8,modules=2,cores=2,threads=2", .cpus = 8, .modules = true },
	{ "2 dies, 2 modules, 2 cores", "8,dies=2,modules=2,cores=2", .cpus = 8, .dies = true, .modules = true },
};

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* The CPUs that a topology adds by -device, as arguments. */
static void add_devices(char *args, const struct topology *t, const char *cpu)
{
	char ids[512], *word, *save;

	snprintf(ids, sizeof(ids), "%s", t->devices ?: "");
	for (word = strtok_r(ids, " ", &save); word; word = strtok_r(NULL, " ", &save))
		sprintf(args + strlen(args), " -device %.*s-x86_64-cpu,%s",
			(int)strcspn(cpu, ","), cpu, word);
}

static void compare(const struct model *model, const struct topology *t)
{
	/* Dies and modules are beyond KVM's core IDs, unless the nodes are the dies. */
	bool amd_ids = model->host_ids ? __get_cpuid_max(0x80000000, NULL) >= 0x8000001e : model->amd_ids;
	bool can = !(amd_ids && (t->modules || (t->dies && !model->legacy_nodes)));
	char name[256], args[4096], off_accel[96], on_accel[96];
	struct machine off, on;
	int off_status, on_status;
	double from = now();
	bool ok;

	if (t->x2apic && strstr(model->cpu, "x2apic=off"))
		return;
	if (t->devices && model->machine)
		return;
	snprintf(name, sizeof(name), "%s: %s", model->name, t->name);
	snprintf(args, sizeof(args), "-M %s,memory-backend=ram,acpi=off%s -cpu %s -smp %s",
		 model->machine ?: "q35", model->machine ? "" : ",smm=off,sata=off,smbus=off,hpet=off,vmport=off,pit=off,i8042=off", model->cpu, t->smp);
	add_devices(args, t, model->cpu);
	snprintf(off_accel, sizeof(off_accel), "vm-cpuid=off%s", model->accel ?: "");
	snprintf(on_accel, sizeof(on_accel), "vm-cpuid=on%s", model->accel ?: "");

	/* QEMU must refuse what can't be. */
	start(&on, "on", QEMU, on_accel, t->cpus, false, args);
	if (!can) {
		ok = finish(&on) == 1 && err_has(&on, "vm-cpuid=on: leaf 0x8000001e subleaf 0x0 EBX");
		if (!ok)
			show_err(&on);
		result(ok, "%s: vm-cpuid=on is refused", name);
		end(&on);
		return;
	}

	start(&off, "off", QEMU, off_accel, t->cpus, false, args);
	off_status = finish(&off);
	on_status = finish(&on);
	ok = !off_status && !on_status && !differences(&off, &on, t->cpus, false);
	if (!ok) {
		show_err(&off);
		show_err(&on);
	}
	result(ok, "%s: all %u CPUs read the same, vm-cpuid=off and on (%.1f s)", name, t->cpus,
	       now() - from);
	combinations++;
	end(&off);
	end(&on);
}

static void matrix(bool full)
{
	static const struct topology many = {
		"260 sockets", "260,sockets=260", 260, .x2apic = true,
	};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(models); i++) {
		for (j = 0; j < (full ? ARRAY_SIZE(topologies) : models[i].quick); j++)
			compare(&models[i], &topologies[j]);
	}
	if (full)
		compare(&models[0], &many);
	printf("# %u combinations of model and topology, the complete CPUID of %u CPUs compared\n",
	       combinations, tables);
}

/* --- plugging */

#define PLUG_ARGS(cpu)	"-M q35,memory-backend=ram -cpu " cpu " -smp 2,maxcpus=8,sockets=1,cores=4,threads=2"

static const char plug_args[] = PLUG_ARGS("EPYC");

static bool both(struct machine *m, bool (*f)(struct machine *m))
{
	return f(&m[0]) && f(&m[1]);
}

static bool plug_core2(struct machine *m)
{
	return plug(m, "EPYC", "c2", "\"socket-id\": 0, \"core-id\": 2, \"thread-id\": 1") && again(m, 3);
}

static bool plug_core3(struct machine *m)
{
	return plug(m, "EPYC", "c3", "\"socket-id\": 0, \"core-id\": 3, \"thread-id\": 0") && again(m, 4);
}

/* Do what an operating system does: when asked to, eject the CPU. */
static bool unplug_core2(struct machine *m)
{
	m->deleted = false;
	if (!qmp(m, "{\"execute\": \"device_del\", \"arguments\": {\"id\": \"c2\"}}"))
		return false;
	*mailbox(m, MAILBOX_EJECT) = 5;
	return (m->deleted || read_until(m, "DEVICE_DELETED", NULL)) && again(m, 3);
}

static bool replug_core2(struct machine *m)
{
	return plug(m, "EPYC", "c2", "\"socket-id\": 0, \"core-id\": 2, \"thread-id\": 1") && again(m, 4);
}

static bool reset(struct machine *m)
{
	forget(m);
	*mailbox(m, MAILBOX_READY) = 0;
	return qmp(m, "{\"execute\": \"system_reset\"}") && ready(m, *mailbox(m, MAILBOX_GO));
}

static void plugging(void)
{
	struct machine m[2];

	start(&m[0], "default", QEMU, "", 2, true, plug_args);
	result(ready(&m[0], 1) && !has_table(&m[0]), "vm-cpuid is not given: KVM has no table");
	start(&m[1], "on", QEMU, "vm-cpuid=on", 2, true, plug_args);
	result(ready(&m[1], 1) && has_table(&m[1]), "vm-cpuid=on: KVM has a table");
	result(!differences(&m[0], &m[1], 2, false), "before plugging: CPUs read the same");

	result(both(m, plug_core2) && !differences(&m[0], &m[1], 3, false),
	       "a CPU is plugged: CPUs read the same");

	result(!plug(&m[1], "EPYC", "bad", "\"socket-id\": 0, \"core-id\": 3, \"thread-id\": 0, \"avx2\": false") &&
	       strstr(m[1].answer, "vm-cpuid=on: leaf 0x7 subleaf 0x0 differs"),
	       "a CPU without AVX2 is refused: leaf and subleaf are named");
	printf("# %.300s\n", m[1].answer);
	result(!plug(&m[1], "EPYC", "bad", "\"socket-id\": 0, \"core-id\": 3, \"thread-id\": 0, \"cpuid-0xb\": false") &&
	       strstr(m[1].answer, "vm-cpuid=on: leaf 0xb subleaf 0x0 differs"),
	       "a CPU without leaf 0xb is refused: the leaf is named that it lacks");
	result(again(&m[1], 3) && again(&m[0], 3) && !differences(&m[0], &m[1], 3, false),
	       "the machine goes on: CPUs read the same");

	result(both(m, plug_core3) && !differences(&m[0], &m[1], 4, false),
	       "what was refused is plugged as it should be: CPUs read the same");
	result(both(m, unplug_core2) && !differences(&m[0], &m[1], 3, false),
	       "a CPU is unplugged: CPUs read the same");
	result(both(m, replug_core2) && !differences(&m[0], &m[1], 4, false),
	       "it is plugged again, as the vCPU that KVM still has: CPUs read the same");
	result(both(m, reset) && !differences(&m[0], &m[1], 4, false),
	       "the machine is reset: CPUs read the same");
	end(&m[0]);
	end(&m[1]);
}

/* --- migration */

/* Repeat @query until the status is @status; false if it is "failed", or this takes too long. */
static bool reaches(struct machine *m, const char *query, const char *status)
{
	double limit = now() + SECONDS;

	while (now() < limit && qmp(m, "{\"execute\": \"%s\"}", query)) {
		if (strstr(m->answer, status))
			return true;
		if (strstr(m->answer, "\"failed\""))
			break;
		nap();
	}
	return false;
}

static void migrate(const char *what, const char *from_accel, const char *to_accel, const char *machine)
{
	bool from_on = strstr(from_accel, "on"), to_on = strstr(to_accel, "on");
	char args[1024];
	struct machine from, to;
	bool ok;

	snprintf(args, sizeof(args), "%s -device EPYC-x86_64-cpu,id=c2,socket-id=0,core-id=2,thread-id=1",
		 machine);
	start(&from, "from", QEMU, from_accel, 3, true, args);
	strcat(args, " -incoming exec:cat</tmp/migration");
	unlink("/tmp/migration");
	if (mkfifo("/tmp/migration", 0600))
		die("mkfifo");
	ok = ready(&from, 1) && has_table(&from) == from_on;

	start(&to, "to", QEMU, to_accel, 0, true, args);
	ok = ok &&
	     qmp(&from, "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"exec:cat>/tmp/migration\"}}") &&
	     reaches(&from, "query-migrate", "\"status\": \"completed\"") &&
	     /* What is still in the pipe will overwrite what the test writes into RAM. */
	     reaches(&to, "query-status", "\"status\": \"running\"") && again(&to, 3) && has_table(&to) == to_on;
	result(ok, "%s, migrate from %s to %s: the guest runs on", what, from_accel, to_accel);
	result(ok && !differences(&from, &to, 3, false),
	       "%s, migrate from %s to %s: CPUs read the same before and after", what, from_accel, to_accel);
	ok = ok && plug(&to, "EPYC", "c3", "\"socket-id\": 0, \"core-id\": 3, \"thread-id\": 0") && again(&to, 4);
	result(ok && *slot(&to, 6, SLOT_COUNT), "%s, migrate from %s to %s: then a CPU is plugged", what,
	       from_accel, to_accel);
	if (!ok) {
		show_err(&from);
		show_err(&to);
	}
	end(&from);
	end(&to);
}

static void migration(void)
{
	static const char hyperv_args[] = PLUG_ARGS("EPYC," HYPERV);

	migrate("EPYC", "vm-cpuid=on", "vm-cpuid=off", plug_args);
	migrate("EPYC", "vm-cpuid=off", "vm-cpuid=on", plug_args);
	migrate("EPYC", "vm-cpuid=on", "vm-cpuid=on", plug_args);
	migrate("Hyper-V", "vm-cpuid=on", "vm-cpuid=off", hyperv_args);
	migrate("Hyper-V", "vm-cpuid=off", "vm-cpuid=on", hyperv_args);
}

/* --- what is refused */

/* vm-cpuid=on ends with an error that has @text. */
static void refused(const char *what, const char *sabotage, const char *text, const char *args)
{
	struct machine m;
	bool ok;

	setenv("SABOTAGE", sabotage, 1);
	start(&m, "on", *sabotage ? SABOTAGED : QEMU, "vm-cpuid=on", 1, false, args);
	unsetenv("SABOTAGE");
	ok = finish(&m) == 1 && err_has(&m, text);
	show_err(&m);
	result(ok, "vm-cpuid=on: refused for %s", what);
	end(&m);
}

/* Without the option, QEMU starts, says nothing, and does the same as with off. */
static void starts(const char *what, unsigned int cpus, const char *args)
{
	struct machine off, m;
	bool ok;

	start(&off, "off", QEMU, "vm-cpuid=off", cpus, true, args);
	start(&m, "default", QEMU, "", cpus, true, args);
	ok = ready(&off, 1) && ready(&m, 1) && !has_table(&off) && !has_table(&m) &&
	     !differences(&off, &m, cpus, false);
	ok = !show_err(&m) && ok;
	result(ok, "vm-cpuid is not given: off for %s, silently, and CPUs read the same", what);
	end(&off);
	end(&m);
}

#define TWO	"-M q35,memory-backend=ram -cpu EPYC -smp 1,maxcpus=2,sockets=2 -device "
#define SECOND	"EPYC-x86_64-cpu,id=second,socket-id=1,core-id=0,thread-id=0"

static void refusals(void)
{
	static const char feature[] = TWO SECOND ",avx2=off";
	static const char json[] = TWO "{\"driver\":\"EPYC-x86_64-cpu\",\"socket-id\":1,\"core-id\":0,"
				   "\"thread-id\":0,\"avx2\":false}";
	static const char set[] = TWO SECOND " -set device.second.avx2=off";
	static const char leaf[] = TWO SECOND ",cpuid-0xb=off";
	static const char two[] = "-M q35,memory-backend=ram -cpu EPYC -smp 2";
	static const char differs[] = "vm-cpuid=on: leaf 0x7 subleaf 0x0 differs";
	struct machine m;
	bool ok;

	refused("a CPU with another feature", "", differs, feature);
	refused("a CPU with another feature, in JSON", "", differs, json);
	refused("a CPU with another feature, by -set", "", differs, set);
	refused("a CPU with a leaf less", "", "vm-cpuid=on: leaf 0xb subleaf 0x0 differs", leaf);
	starts("a CPU with another feature", 2, feature);

	refused("an entry that KVM refuses", "refuse", "vm-cpuid=on: KVM refuses leaf 0x", two);
	refused("a table that KVM refuses", "memory", "vm-cpuid=on: KVM refuses the table: Cannot allocate memory", two);
	refused("a VM that does not take the table", "late",
		"vm-cpuid=on: KVM_VM_SET_CPUID failed: Device or resource busy", two);

	start(&m, "on", QEMU, "vm-cpuid=auto", 1, false, two);
	ok = finish(&m) == 1 && err_has(&m, "auto");
	result(ok, "vm-cpuid=auto: refused");
	end(&m);
}

/* A host whose CPUs have different caches, and QEMU's threads move between them. */
static void host_differs(void)
{
	static const char args[] = "-M q35,memory-backend=ram -cpu host,host-cache-info=on -smp 2,cores=2";
	struct machine m;
	unsigned int i;
	bool ok = true;

	refused("a host whose CPUs differ", "cache", "vm-cpuid=on: leaf 0x80000006 subleaf 0x0 differs", args);

	setenv("SABOTAGE", "cache", 1);
	for (i = 0; i < 15 && ok; i++) {
		start(&m, "default", SABOTAGED, "", 2, false, args);
		ok = !finish(&m) && *slot(&m, 0, SLOT_COUNT) && *slot(&m, 1, SLOT_COUNT);
		if (!ok)
			show_err(&m);
		end(&m);
	}
	unsetenv("SABOTAGE");
	result(ok && i == 15, "vm-cpuid is not given: starts on such a host, %u times of 15", i);
}

/* A kernel without KVM_VM_SET_CPUID. */
static void stock(void)
{
	static const char args[] = "-M q35,memory-backend=ram -cpu EPYC -smp 2,cores=2";

	refused("a kernel that does not have it", "",
		"vm-cpuid=on: KVM does not have KVM_VM_SET_CPUID", args);
	starts("a kernel that does not have it", 2, args);
}

/* --- would we see bugs */

static void sabotage(void)
{
	static const char args[] = "-M q35,memory-backend=ram -cpu EPYC -smp 3,cores=3";
	struct machine good, bad;
	unsigned int n;
	bool ok;

	start(&good, "good", QEMU, "vm-cpuid=on", 3, false, args);
	setenv("SABOTAGE", "first", 1);
	start(&bad, "bad", SABOTAGED, "vm-cpuid=off", 3, false, args);
	unsetenv("SABOTAGE");
	ok = !finish(&good) && !finish(&bad);
	n = differences(&good, &bad, 3, true);
	printf("# %u registers differ\n", n);
	if (!ok) {
		show_err(&good);
		show_err(&bad);
	}
	result(ok && n, "the first vCPU's table for every vCPU: the comparison finds it");
	end(&good);
	end(&bad);
}

/* --- a real kernel */

/*
 * Boot Linux, and return what it prints.  In a guest of an emulated machine, it would
 * measure clocks slowly and wrongly, so tell it their frequencies.
 */
static char *boot_linux(const char *qemu, const char *accel)
{
	static char buf[1 << 20];
	char command[2048];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command),
		 "timeout %d %s -accel kvm,%s -M q35 -cpu EPYC,-xsave -smp 4,cores=2,threads=2 -m 128 -L /firmware"
		 " -nodefaults -no-user-config -display none -serial stdio -no-reboot -kernel /inner.bzImage"
		 " -initrd /inner.cpio -append 'console=ttyS0 panic=-1 loglevel=5 printk.devkmsg=on"
		 " no_timer_check tsc_early_khz=1000000 lpj=4000000' 2>&1", SECONDS, qemu, accel);
	f = popen(command, "r");
	if (!f)
		die("popen");
	n = fread(buf, 1, sizeof(buf) - 1, f);
	buf[n] = 0;
	pclose(f);
	return buf;
}

static void show_lines(const char *out, const char *only)
{
	const char *end;

	for (; *out; out = *end ? end + 1 : end) {
		end = out + strcspn(out, "\n");
		if (!only || memmem(out, end - out, only, strlen(only)))
			printf("# %.*s\n", (int)strcspn(out, "\r\n"), out);
	}
}

static void linux_boots(void)
{
	static const char *const accels[] = { "vm-cpuid=off", "vm-cpuid=on" };
	char hash[2][33] = { "off", "on" };
	char *out, *at;
	bool ok;
	int i;

	for (i = 0; i < 2; i++) {
		out = boot_linux(QEMU, accels[i]);
		at = strstr(out, "inner: cpuid -r ");
		if (at)
			memcpy(hash[i], at + strlen("inner: cpuid -r "), 32);
		ok = at && strstr(out, "inner: 4 CPUs") && !strstr(out, "[Firmware Bug]");
		if (!ok)
			show_lines(out, NULL);
		result(ok, "Linux boots with 4 CPUs, %s, without [Firmware Bug]", accels[i]);
	}
	result(!strcmp(hash[0], hash[1]), "cpuid -r prints the same there: %s", hash[1]);

	setenv("SABOTAGE", "first", 1);
	out = boot_linux(SABOTAGED, "vm-cpuid=off");
	unsetenv("SABOTAGE");
	result(strstr(out, "[Firmware Bug]"), "the first vCPU's table for every vCPU: Linux finds it");
	show_lines(out, "[Firmware Bug]");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {
		{ "plug", plugging },
		{ "migrate", migration },
		{ "refuse", refusals },
		{ "host", host_differs },
		{ "sabotage", sabotage },
		{ "stock", stock },
		{ "linux", linux_boots },
	};
	unsigned int i;

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && !strcmp(argv[1], "matrix")) {
		matrix(argc > 2);
	} else {
		for (i = 0; argc > 1 && i < ARRAY_SIZE(parts); i++) {
			if (!strcmp(argv[1], parts[i].name))
				parts[i].run();
		}
	}
	printf("1..%u\n", count);
	return failures || !count;
}
