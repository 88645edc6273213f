// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-cpuid - check CPUID tables for KVM_VM_SET_CPUID, and show what the vCPUs
 * of a VM with such a table get.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "kvm-cpuid.h"
#include "table.h"
#include "vm.h"

#define VERSION		"1.0"
#define MAX_VCPUS	1024	/* on a command line; KVM has its own limit */
#define MAX_MISMATCHES	10	/* that are printed */

struct options {
	const char *file;
	unsigned int ids[MAX_VCPUS];
	unsigned int nr_ids;
	bool side_by_side;
	bool print;
};

static void complain(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("kvm-cpuid: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void warn_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
}

void die(enum status status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
	exit(status);
}

static int cmd_probe(struct options *opt)
{
	struct vm vm;

	(void)opt;
	vm_create(&vm);
	printf("KVM_CAP_VM_CPUID (%d): tables of up to %u entries\n",
	       KVM_CAP_VM_CPUID, vm_probe(&vm));
	return STATUS_OK;
}

static int cmd_supported(struct options *opt)
{
	(void)opt;
	cpuid_print(stdout, 0, kvm_get_supported_cpuid(kvm_open()));
	return STATUS_OK;
}

/*
 * Say why the kernel refuses the table, and exit. The kernel names a bad entry;
 * what is wrong with it shows from the entry itself.
 */
static void die_refused(const struct table *t, unsigned int limit, int err)
{
	const struct kvm_cpuid_entry2 *e, *first;
	unsigned int bad, width;

	if (err == -E2BIG && t->cpuid->nent > limit)
		die(STATUS_NO, "%s:%u: refused: entry %u is one too many: the table has %u, KVM takes %u",
		    t->name, t->lines[limit], limit, t->cpuid->nent, limit);

	/* KVM knows of no other reason, and names no entry. */
	if (err == -EPERM)
		die(STATUS_NO, "%s: refused: leaf 0xd has a feature (AMX) that this process may not give to a guest",
		    t->name);

	if (err != -EINVAL || !t->cpuid->padding || t->cpuid->padding > t->cpuid->nent)
		die(STATUS_NO, "%s: KVM_VM_SET_CPUID: %s, and no entry named",
		    t->name, strerror(-err));

	bad = t->cpuid->padding - 1;
	e = &t->cpuid->entries[bad];
	for (first = t->cpuid->entries; first < e; first++) {
		if (entries_clash(first, e))
			die(STATUS_NO, "%s:%u: refused: entry %u, %s: already on line %u",
			    t->name, t->lines[bad], bad, entry_name(e),
			    t->lines[first - t->cpuid->entries]);
	}

	width = (e->eax >> 8) & 0xff;
	if (e->function == 0x80000008 && width != 0 && width != 48 && width != 57)
		die(STATUS_NO, "%s:%u: refused: entry %u, %s: linear-address width %u, not 0, 48 or 57",
		    t->name, t->lines[bad], bad, entry_name(e), width);

	die(STATUS_NO, "%s:%u: refused: entry %u, %s: for a reason that this program does not know",
	    t->name, t->lines[bad], bad, entry_name(e));
}

/* A new VM with the file's table. Exits if there is none to be had. */
static void create_vm_with_table(struct vm *vm, struct table *t, const char *file)
{
	unsigned int limit;
	int err;

	table_read(t, file);
	vm_create(vm);
	limit = vm_probe(vm);

	err = vm_set_cpuid(vm, t->cpuid);
	if (err)
		die_refused(t, limit, err);
}

static int cmd_check(struct options *opt)
{
	struct table t;
	struct vm vm;

	create_vm_with_table(&vm, &t, opt->file);
	if (opt->print)
		cpuid_print(stdout, 0, vm_get_cpuid(&vm));
	else
		printf("%s: accepted, %u entries\n", t.name, t.cpuid->nent);
	return STATUS_OK;
}

/*
 * The bits that KVM can hide when the guest reads them, and KVM_GET_CPUID2
 * doesn't: HLE and RTM (MSR IA32_TSX_CTRL), invariant TSC (Hyper-V's MSR).
 */
static uint32_t hidden_bits(const struct kvm_cpuid_entry2 *e, enum reg reg)
{
	if (e->function == 0x7 && e->index == 0 && reg == EBX)
		return 1u << 4 | 1u << 11;
	if (e->function == 0x80000007 && reg == EDX)
		return 1u << 8;
	return 0;
}

/*
 * Read every entry of a vCPU's table in the guest. @host is what KVM_GET_CPUID2
 * returns; what the guest reads is returned in the same order. @mismatches
 * counts registers in which they differ; the first few are reported.
 */
static struct kvm_cpuid2 *guest_read(struct vcpu *vcpu, struct kvm_cpuid2 *host,
				     unsigned int *mismatches)
{
	struct kvm_cpuid2 *guest = cpuid_alloc(host->nent);
	struct kvm_cpuid_entry2 *g, *h;
	uint32_t read, told;
	unsigned int i;
	enum reg reg;

	for (i = 0; i < host->nent; i++) {
		g = &guest->entries[i];
		h = &host->entries[i];
		*g = *h;
		vcpu_cpuid(vcpu, g);

		for (reg = EAX; reg < NR_REGS; reg++) {
			read = *entry_reg(g, reg);
			told = *entry_reg(h, reg);
			if (read == told || read == (told & ~hidden_bits(h, reg)))
				continue;
			if (++*mismatches <= MAX_MISMATCHES)
				warn_line("vCPU %u: %s %s: the guest reads 0x%08x, KVM_GET_CPUID2 says 0x%08x",
					  vcpu->id, entry_name(h), reg_names[reg], read, told);
		}
	}
	return guest;
}

/*
 * The field that KVM is known to compute in a register, if no bit outside it is
 * in @changed; else "".
 */
static const char *computed_field(const struct kvm_cpuid_entry2 *e, enum reg reg,
				  uint32_t changed, uint32_t xen_base)
{
	static const struct {
		uint32_t function;
		enum reg reg;
		uint32_t mask;
		const char *name;
	} fields[] = {
		{ 0x00000001, EBX, 0xff000000, "31:24 APIC ID" },
		{ 0x00000001, ECX, 1u << 27,   "27 OSXSAVE" },
		{ 0x00000001, EDX, 1u << 9,    "9 APIC" },
		{ 0x00000007, ECX, 1u << 4,    "4 OSPKE" },
		{ 0x0000000b, EDX, 0xffffffff, "x2APIC ID" },
		{ 0x0000000d, EBX, 0xffffffff, "XSAVE size" },
		{ 0x0000001f, EDX, 0xffffffff, "x2APIC ID" },
		{ 0x8000001e, EAX, 0xffffffff, "x2APIC ID" },
		{ 0x8000001e, EBX, 0x000000ff, "7:0 core ID" },
		{ 0x8000001e, ECX, 0x000000ff, "7:0 node ID" },
		{ 0x80000026, EDX, 0xffffffff, "x2APIC ID" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].function == e->function && fields[i].reg == reg &&
		    !(changed & ~fields[i].mask))
			return fields[i].name;
	}
	if (xen_base && e->function == xen_base + 4 && reg == EBX)
		return "Xen vCPU ID";
	return "";
}

/*
 * One row for each register that is not the same on all vCPUs, or not what the
 * table says; the others are counted.
 */
static void print_side_by_side(const struct table *t, const struct options *opt,
			       struct kvm_cpuid2 **guests)
{
	unsigned int i, n, nr_differ = 0, nr_changed = 0, nent = guests[0]->nent;
	uint32_t value, in_table, differ, changed, xen_base = cpuid_xen_base(t->cpuid);
	struct kvm_cpuid_entry2 *e;
	char heading[20];
	const char *name;
	enum reg reg;

	printf("  leaf       sub  reg  the table");
	for (n = 0; n < opt->nr_ids; n++) {
		snprintf(heading, sizeof(heading), "vCPU %u", opt->ids[n]);
		printf(" %8s", heading);
	}
	printf("\n");

	for (i = 0; i < nent * NR_REGS; i++) {
		reg = i % NR_REGS;
		e = &guests[0]->entries[i / NR_REGS];
		in_table = *entry_reg(cpuid_find(t->cpuid, e->function, e->index), reg);

		/* The bits that are not the same everywhere. */
		for (differ = 0, changed = 0, n = 0; n < opt->nr_ids; n++) {
			value = *entry_reg(&guests[n]->entries[i / NR_REGS], reg);
			differ |= value ^ *entry_reg(e, reg);
			changed |= value ^ in_table;
		}
		if (!changed)
			continue;
		if (differ)
			nr_differ++;
		else
			nr_changed++;

		printf("%c 0x%08x 0x%02x %s   %08x", differ ? '*' : ' ',
		       e->function, e->index, reg_names[reg], in_table);
		for (n = 0; n < opt->nr_ids; n++)
			printf(" %08x", *entry_reg(&guests[n]->entries[i / NR_REGS], reg));
		name = computed_field(e, reg, changed, xen_base);
		printf("%s%s\n", *name ? "  " : "", name);
	}

	printf("* %u registers differ between vCPUs; %u more are not as in the table.\n"
	       "  The other %u registers of %u entries are as in the table on every vCPU.\n",
	       nr_differ, nr_changed, nent * NR_REGS - nr_differ - nr_changed, nent);
}

/* Every vCPU must have the entries of the table, no more and no fewer. */
static void check_entries(const struct table *t, const struct vcpu *vcpu,
			  const struct kvm_cpuid2 *host)
{
	const struct kvm_cpuid_entry2 *e;

	for (e = host->entries; e < host->entries + host->nent; e++) {
		if (!cpuid_find(t->cpuid, e->function, e->index))
			die(STATUS_NO, "vCPU %u: %s: KVM_GET_CPUID2 has it, %s has not",
			    vcpu->id, entry_name(e), t->name);
	}
	if (host->nent != t->cpuid->nent)
		die(STATUS_NO, "vCPU %u: KVM_GET_CPUID2 has %u entries, %s has %u",
		    vcpu->id, host->nent, t->name, t->cpuid->nent);
}

static int cmd_show(struct options *opt)
{
	struct kvm_cpuid2 *host, *guests[MAX_VCPUS];
	struct vcpu vcpus[MAX_VCPUS];
	unsigned int n, mismatches = 0;
	struct table t;
	struct vm vm;

	create_vm_with_table(&vm, &t, opt->file);

	/* All of them exist before the first one is read, as in a real VM. */
	for (n = 0; n < opt->nr_ids; n++) {
		vcpu_create(&vm, &vcpus[n], opt->ids[n]);
		if (cpuid_xen_base(t.cpuid))
			vcpu_set_xen_id(&vm, &vcpus[n], n);
	}

	for (n = 0; n < opt->nr_ids; n++) {
		host = vcpu_get_cpuid2(&vcpus[n]);
		check_entries(&t, &vcpus[n], host);
		guests[n] = guest_read(&vcpus[n], host, &mismatches);
		free(host);
	}

	if (opt->side_by_side) {
		print_side_by_side(&t, opt, guests);
	} else {
		for (n = 0; n < opt->nr_ids; n++)
			cpuid_print(stdout, opt->ids[n], guests[n]);
	}

	if (mismatches > MAX_MISMATCHES)
		warn_line("%u more differences between guest and KVM_GET_CPUID2",
			  mismatches - MAX_MISMATCHES);
	return mismatches ? STATUS_NO : STATUS_OK;
}

static int report_busy(const char *call, int err)
{
	const char *name = err ? strerrorname_np(-err) : "no error";

	printf("%-55s %s\n", call, name ? name : "unknown error");
	return err == -EBUSY ? STATUS_OK : STATUS_NO;
}

static int cmd_busy(struct options *opt)
{
	struct vcpu vcpu;
	struct table t;
	struct vm vm;
	int ret;

	create_vm_with_table(&vm, &t, opt->file);
	vcpu_create(&vm, &vcpu, 0);

	ret = report_busy("KVM_SET_CPUID2 on a vCPU, with the table that it has:",
			  vcpu_set_cpuid2(&vcpu, vcpu_get_cpuid2(&vcpu)));
	ret |= report_busy("KVM_SET_CPUID on a vCPU:", vcpu_set_cpuid1(&vcpu));
	ret |= report_busy("KVM_VM_SET_CPUID, now that the VM has a vCPU:",
			   vm_set_cpuid(&vm, t.cpuid));
	if (ret)
		warn_line("%s: not all of these calls returned EBUSY", t.name);
	return ret;
}

enum {
	TAKES_FILE	= 1 << 0,
	TAKES_PRINT	= 1 << 1,
	TAKES_IDS	= 1 << 2,
};

static const struct command {
	const char *name;
	unsigned int takes;
	int (*run)(struct options *opt);
} commands[] = {
	{ "probe",	0,				cmd_probe },
	{ "supported",	0,				cmd_supported },
	{ "check",	TAKES_FILE | TAKES_PRINT,	cmd_check },
	{ "show",	TAKES_FILE | TAKES_IDS,		cmd_show },
	{ "busy",	TAKES_FILE,			cmd_busy },
};

static const char help[] =
"Usage: kvm-cpuid COMMAND [FILE] [OPTIONS]\n"
"\n"
"Check CPUID tables for KVM_VM_SET_CPUID, and show what the vCPUs of a VM with\n"
"such a table get. FILE is in the form that \"cpuid -r\" prints; - is stdin.\n"
"\n"
"Commands:\n"
"  probe        print whether this kernel's KVM has KVM_VM_SET_CPUID\n"
"  supported    print what KVM can offer here (KVM_GET_SUPPORTED_CPUID)\n"
"  check FILE   is the table accepted; if not, which entry is refused, and why\n"
"    -p, --print          print the accepted table as KVM_VM_GET_CPUID returns it:\n"
"                         sorted, and zero where KVM computes the value\n"
"  show FILE    print what the guest on each vCPU reads with CPUID; fail if\n"
"               KVM_GET_CPUID2 says otherwise\n"
"    -i, --vcpu-ids=LIST  of these vCPUs, such as 0,1,4,300 (default: 0);\n"
"                         with Xen leaves, their Xen vCPU IDs are 0, 1, 2, 3\n"
"    -s, --side-by-side   only what differs between vCPUs or from FILE, in columns\n"
"  busy FILE    try the calls that a VM with a table and a vCPU refuses with\n"
"               EBUSY; fail if it does not\n"
"\n"
"  -h, --help     print this\n"
"  -V, --version  print the version\n"
"\n"
"The output of show can be decoded: kvm-cpuid show FILE | cpuid -f -\n"
"\n"
"Exit status: 0 yes; 1 no: refused, different, or a system call failed; 2 bad\n"
"command line or file; 3 no usable /dev/kvm, or a kernel without the capability.\n";

static const struct option long_options[] = {
	{ "print",		no_argument,		NULL, 'p' },
	{ "vcpu-ids",		required_argument,	NULL, 'i' },
	{ "side-by-side",	no_argument,		NULL, 's' },
	{ "help",		no_argument,		NULL, 'h' },
	{ "version",		no_argument,		NULL, 'V' },
	{ }
};

static void parse_ids(struct options *opt, const char *list)
{
	const char *s = list;
	unsigned long id;
	unsigned int n;
	char *end;

	for (opt->nr_ids = 0; ; s = end + 1) {
		errno = 0;
		id = strtoul(s, &end, 10);
		if (*s < '0' || *s > '9' || errno || id > INT32_MAX || (*end && *end != ','))
			die(STATUS_USAGE, "--vcpu-ids %s: not a list of numbers such as 0,1,4,300", list);
		if (opt->nr_ids == MAX_VCPUS)
			die(STATUS_USAGE, "--vcpu-ids: more than %d", MAX_VCPUS);
		for (n = 0; n < opt->nr_ids; n++) {
			if (opt->ids[n] == id)
				die(STATUS_USAGE, "--vcpu-ids %s: %lu is there twice", list, id);
		}
		opt->ids[opt->nr_ids++] = id;
		if (!*end)
			return;
	}
}

static const struct command *find_command(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	die(STATUS_USAGE, "%s: no such command; see kvm-cpuid --help", name);
}

static int print_and_exit(const char *text)
{
	fputs(text, stdout);
	return STATUS_OK;
}

static int run(int argc, char **argv)
{
	static struct options opt = { .nr_ids = 1 };
	const struct command *cmd;
	unsigned int given = 0;
	int c;

	argv[0] = "kvm-cpuid";		/* in getopt_long()'s messages, too */
	while ((c = getopt_long(argc, argv, "pi:shV", long_options, NULL)) != -1) {
		switch (c) {
		case 'p':
			opt.print = true;
			given |= TAKES_PRINT;
			break;
		case 'i':
			parse_ids(&opt, optarg);
			given |= TAKES_IDS;
			break;
		case 's':
			opt.side_by_side = true;
			given |= TAKES_IDS;
			break;
		case 'h':
			return print_and_exit(help);
		case 'V':
			return print_and_exit("kvm-cpuid " VERSION "\n");
		default:
			/* getopt_long() has said what is wrong. */
			return STATUS_USAGE;
		}
	}

	if (optind == argc)
		die(STATUS_USAGE, "no command; see kvm-cpuid --help");
	cmd = find_command(argv[optind++]);
	if (given & ~cmd->takes)
		die(STATUS_USAGE, "%s: does not take this option; see kvm-cpuid --help", cmd->name);
	if (cmd->takes & TAKES_FILE) {
		if (optind == argc)
			die(STATUS_USAGE, "%s: needs a FILE; see kvm-cpuid --help", cmd->name);
		opt.file = argv[optind++];
	}
	if (optind < argc)
		die(STATUS_USAGE, "%s: one argument too many: %s", cmd->name, argv[optind]);

	return cmd->run(&opt);
}

int main(int argc, char **argv)
{
	int ret = run(argc, argv);

	/* A full disk must not look like success. */
	if (fflush(stdout) || ferror(stdout))
		die(STATUS_NO, "standard output: %s", strerror(errno));
	return ret;
}
