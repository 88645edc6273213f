// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-cpuid - compare, explain and choose the CPUID tables of VMs, check them for
 * KVM_VM_SET_CPUID, and show what the vCPUs of a VM with such a table get.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "fields.h"
#include "lint.h"
#include "read.h"
#include "table.h"
#include "util.h"
#include "vm.h"

#define VERSION		"1.1"
#define MAX_VCPUS	1024	/* on a command line; KVM has its own limit */
#define MAX_MISMATCHES	10	/* that are printed */

struct options {
	char **args;			/* that are no options */
	int nr_args;
	unsigned int ids[MAX_VCPUS];
	unsigned int nr_ids;
	bool side_by_side;
	bool print;
	bool vcpus;
	bool json;
};

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
	cpuid_print(0, kvm_get_supported_cpuid(kvm_open()), opt->json);
	return STATUS_OK;
}

/*
 * Say why the kernel refuses the table, and exit. The kernel names a bad entry;
 * the entry itself shows what is wrong with it.
 */
static void die_refused(const struct table *t, unsigned int limit, int err)
{
	const struct kvm_cpuid_entry2 *e, *first;
	unsigned int bad, width;

	if (err == -E2BIG && t->cpuid->nent > limit)
		die(STATUS_NO, "%s:%u: refused: entry %u is one too many: the table has %u, KVM takes %u",
		    t->name, t->lines[limit], limit, t->cpuid->nent, limit);

	/* KVM has no other reason without an entry. */
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

/* A new VM with the file's table. Exits if it cannot have one. */
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

	create_vm_with_table(&vm, &t, opt->args[0]);
	if (opt->print)
		cpuid_print(0, vm_get_cpuid(&vm), opt->json);
	else
		printf("%s: accepted, %u entries\n", t.name, t.cpuid->nent);
	return STATUS_OK;
}

/*
 * The bits that KVM can hide from the guest, but KVM_GET_CPUID2 shows: HLE and
 * RTM (MSR IA32_TSX_CTRL), invariant TSC (Hyper-V's MSR).
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
 * returns; return what the guest reads in the same order. @mismatches counts the
 * registers in which they differ; report the first few.
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
 * Print a row for each register that differs between vCPUs, or from the table;
 * count the others.
 */
static void print_side_by_side(const struct table *t, const struct options *opt,
			       struct kvm_cpuid2 **guests)
{
	unsigned int i, n, nr_differ = 0, nr_changed = 0, nent = guests[0]->nent;
	uint32_t value, in_table, differ, changed;
	const struct kvm_field *field;
	struct kvm_cpuid_entry2 *e;
	char heading[20];
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

		/* The bits that differ. */
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
		field = kvm_field(t->cpuid, e, reg);
		if (field && !(changed & ~field->mask))
			printf("  %s", field->name);
		printf("\n");
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

	create_vm_with_table(&vm, &t, opt->args[0]);

	/* All of them exist before the first one is read, as in a real VM. */
	for (n = 0; n < opt->nr_ids; n++) {
		vcpu_create(&vm, &vcpus[n], opt->ids[n]);
		if (xen_base(t.cpuid))
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
			cpuid_print(opt->ids[n], guests[n], opt->json);
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

	create_vm_with_table(&vm, &t, opt->args[0]);
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

/* Print the fields of an entry: those that are not zero, or with @all, all. */
static void explain_entry(const struct kvm_cpuid_entry2 *e, bool all, bool json)
{
	struct field f;
	enum reg reg;
	int width;

	if (!json)
		printf("0x%x.%x: eax=0x%08x ebx=0x%08x ecx=0x%08x edx=0x%08x\n",
		       e->function, e->index, e->eax, e->ebx, e->ecx, e->edx);
	for (reg = EAX; reg < NR_REGS; reg++) {
		for_each_field(f, e, reg) {
			uint32_t value = field_value(&f, entry_value(e, reg));

			if (!value && (!all || !*f.name))
				continue;
			if (json) {
				printf("{");
				field_print(e, &f, true);
				printf(",\"value\":%u,\"description\":", value);
				print_json_string(f.description);
				printf("}\n");
				continue;
			}
			if (f.high == f.low)
				width = printf("  %s[%u]", reg_names[reg], f.low);
			else
				width = printf("  %s[%u:%u]", reg_names[reg], f.high, f.low);
			printf("%*s%-25s ", 14 - width, "", *f.name ? f.name : "?");
			value_print(value);
			printf("%s%s\n", *f.description ? "  " : "", f.description);
		}
	}
}

static bool parse_hex(const char *text, char **end, uint32_t *value)
{
	unsigned long v;

	errno = 0;
	v = strtoul(text, end, 16);
	*value = v;
	return isxdigit((unsigned char)*text) && !errno && v <= UINT32_MAX;
}

/* LEAF or LEAF.SUBLEAF, in hex. */
static void parse_leaf(const char *text, uint32_t *function, uint32_t *index, bool *has_index)
{
	char *end;
	bool ok;

	ok = parse_hex(text, &end, function);
	*has_index = ok && *end == '.';
	if (*has_index)
		ok = parse_hex(end + 1, &end, index);
	if (!ok || *end)
		die(STATUS_USAGE, "explain: not a leaf in hex, such as 0x80000008, or 7.1: %s", text);
}

static int cmd_explain(struct options *opt)
{
	uint32_t function = 0, index = 0;
	const struct kvm_cpuid_entry2 *e;
	bool all, has_index = false, found = false;
	struct table t;

	all = opt->nr_args == 2;
	if (all)
		parse_leaf(opt->args[1], &function, &index, &has_index);
	table_read(&t, opt->args[0]);

	for (e = t.cpuid->entries; e < t.cpuid->entries + t.cpuid->nent; e++) {
		if (all && (e->function != function || (has_index && e->index != index)))
			continue;
		explain_entry(e, all, opt->json);
		found = true;
	}
	if (!found)
		die(STATUS_NO, "%s: no leaf %s in it", t.name, opt->args[1]);
	return STATUS_OK;
}

static int cmd_diff(struct options *opt)
{
	struct table a, b;

	table_read(&a, opt->args[0]);
	table_read(&b, opt->args[1]);
	return diff(&a, &b, opt->vcpus, opt->json);
}

static int cmd_common(struct options *opt)
{
	struct tables hosts = { .nr = opt->nr_args };
	unsigned int i;

	hosts.table = xcalloc(hosts.nr, sizeof(*hosts.table));
	for (i = 0; i < hosts.nr; i++)
		table_read(&hosts.table[i], opt->args[i]);
	cpuid_print(0, common(&hosts), opt->json);
	return STATUS_OK;
}

static int cmd_fits(struct options *opt)
{
	struct table t, host = {};

	table_read(&t, opt->args[0]);
	if (opt->nr_args == 2)
		table_read(&host, opt->args[1]);
	else
		host.cpuid = kvm_get_supported_cpuid(kvm_open());
	return fits(&t, &host, opt->json);
}

static int cmd_lint(struct options *opt)
{
	struct tables all = {};
	int i;

	for (i = 0; i < opt->nr_args; i++)
		tables_read(&all, opt->args[i]);
	return lint(&all, opt->json);
}

enum {
	TAKES_PRINT	= 1 << 0,
	TAKES_IDS	= 1 << 1,
	TAKES_VCPUS	= 1 << 2,
	TAKES_JSON	= 1 << 3,
};

static const struct command {
	const char *name;
	int min_args, max_args;
	unsigned int takes;
	int (*run)(struct options *opt);
} commands[] = {
	{ "explain",	1, 2,		TAKES_JSON,			cmd_explain },
	{ "diff",	2, 2,		TAKES_JSON | TAKES_VCPUS,	cmd_diff },
	{ "common",	2, INT_MAX,	TAKES_JSON,			cmd_common },
	{ "fits",	1, 2,		TAKES_JSON,			cmd_fits },
	{ "lint",	1, INT_MAX,	TAKES_JSON,			cmd_lint },
	{ "probe",	0, 0,		0,				cmd_probe },
	{ "supported",	0, 0,		TAKES_JSON,			cmd_supported },
	{ "check",	1, 1,		TAKES_JSON | TAKES_PRINT,	cmd_check },
	{ "show",	1, 1,		TAKES_JSON | TAKES_IDS,		cmd_show },
	{ "busy",	1, 1,		0,				cmd_busy },
};

static const char help[] =
"Usage: kvm-cpuid COMMAND [FILE...] [OPTIONS]\n"
"\n"
"Compare, explain and choose the CPUID tables of VMs, check them for\n"
"KVM_VM_SET_CPUID, and show what the vCPUs of a VM with such a table get.\n"
"\n"
"A FILE is in the form that \"cpuid -r\" prints, a log of a VMM by\n"
"\"strace -f -v -e trace=ioctl\", a dump by Firecracker's cpu-template-helper, or what\n"
"--json prints; - is stdin, FILE@3 is CPU 3 of FILE, not the first.\n"
"\n"
"Commands that need no KVM:\n"
"  explain FILE [LEAF]  print leaves and features by name: those that are there;\n"
"                       with LEAF, such as 0x80000008 or 7.1, all that it can have\n"
"  diff FILE FILE       print what differs, with the two values; fail if anything does\n"
"    -v, --vcpus          leave out what KVM computes for each vCPU\n"
"  common FILE FILE...  print the largest table that all of these hosts can give a guest\n"
"  fits FILE [HOST]     print what FILE has and HOST, or KVM here, can't give; fail if\n"
"                       there is anything\n"
"  lint FILE...         could vCPUs with these tables share one, and read the same? Fail\n"
"                       if not; print what differs, and which IDs KVM would correct\n"
"\n"
"Commands that need KVM, and all but the first two KVM_VM_SET_CPUID:\n"
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
"  -j, --json     print a JSON object a line: explain, diff, common, fits, lint,\n"
"                 supported, check --print, show\n"
"  -h, --help     print this\n"
"  -V, --version  print the version, and that of the names\n"
"\n"
"Tables in text can be decoded by others, too: kvm-cpuid show FILE | cpuid -f -\n"
"\n"
"Exit status: 0 yes; 1 no: refused, different, or a system call failed; 2 bad\n"
"command line or file; 3 no usable /dev/kvm, or a kernel without the capability.\n";

static const struct option long_options[] = {
	{ "print",		no_argument,		NULL, 'p' },
	{ "vcpu-ids",		required_argument,	NULL, 'i' },
	{ "side-by-side",	no_argument,		NULL, 's' },
	{ "vcpus",		no_argument,		NULL, 'v' },
	{ "json",		no_argument,		NULL, 'j' },
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

static int print_version(void)
{
	printf("kvm-cpuid " VERSION "\nNames: %s\n", names_version);
	return STATUS_OK;
}

static int run_command(int argc, char **argv)
{
	struct options opt = { .nr_ids = 1 };
	const struct command *cmd;
	unsigned int given = 0;
	int c;

	argv[0] = "kvm-cpuid";		/* in getopt_long()'s messages, too */
	while ((c = getopt_long(argc, argv, "pi:svjhV", long_options, NULL)) != -1) {
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
		case 'v':
			opt.vcpus = true;
			given |= TAKES_VCPUS;
			break;
		case 'j':
			opt.json = true;
			given |= TAKES_JSON;
			break;
		case 'h':
			return print_and_exit(help);
		case 'V':
			return print_version();
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
	opt.args = argv + optind;
	opt.nr_args = argc - optind;
	if (opt.nr_args < cmd->min_args)
		die(STATUS_USAGE, "%s: needs %s; see kvm-cpuid --help", cmd->name,
		    cmd->min_args == 1 ? "a FILE" : "two FILEs");
	if (opt.nr_args > cmd->max_args)
		die(STATUS_USAGE, "%s: one argument too many: %s", cmd->name,
		    opt.args[cmd->max_args]);

	return cmd->run(&opt);
}

int main(int argc, char **argv)
{
	int ret = run_command(argc, argv);

	/* A full disk must not look like success. */
	if (fflush(stdout) || ferror(stdout))
		die(STATUS_NO, "standard output: %s", strerror(errno));
	return ret;
}
