// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "read.h"
#include "util.h"

/*
 * Far above the kernel's limit, so that the kernel can refuse a table, and low
 * enough to notice early that a file is no CPUID table at all.
 */
#define MAX_FILE_ENTRIES	4096
#define MAX_FILE_TABLES		8192

#define MAX_TEXT_LINE		255
#define MAX_LINE		(1 << 20)	/* KVM_SET_CPUID2 with MAX_FILE_ENTRIES */

struct reader {
	FILE *file;
	const char *name;
	unsigned int line;
	bool bad;			/* the line is too long, or has a zero byte */
	char buf[MAX_LINE + 1];
	size_t len;
};

static bool read_line(struct reader *r)
{
	int c;

	r->len = 0;
	r->bad = false;
	while ((c = getc_unlocked(r->file)) != EOF && c != '\n') {
		if (r->len == MAX_LINE || !c)
			r->bad = true;
		else
			r->buf[r->len++] = c;
	}
	if (ferror(r->file))
		die(STATUS_USAGE, "%s: %s", r->name, strerror(errno));
	if (c == EOF && !r->len && !r->bad)
		return false;

	if (r->len && r->buf[r->len - 1] == '\r')
		r->len--;
	r->buf[r->len] = '\0';
	r->line++;
	return true;
}

/* The start of the line in printable characters, for messages. */
static const char *excerpt(const struct reader *r)
{
	static char text[41];
	const char *s = r->buf + strspn(r->buf, " \t");
	unsigned int i;

	for (i = 0; i < sizeof(text) - 1 && s[i]; i++)
		text[i] = isprint((unsigned char)s[i]) ? s[i] : '?';
	text[i] = '\0';
	return text;
}

static void table_init(struct table *t, const char *name)
{
	memset(t, 0, sizeof(*t));
	t->name = name;
	t->cpuid = cpuid_alloc(0);
}

static void table_add(struct table *t, const struct kvm_cpuid_entry2 *e,
		      unsigned int line)
{
	unsigned int nent = t->cpuid->nent, room = nent ? 2 * nent : 1;

	if (nent == MAX_FILE_ENTRIES)
		die(STATUS_USAGE, "%s:%u: more than %u entries: this is no CPUID table",
		    t->name, line, MAX_FILE_ENTRIES);

	/* Make room whenever the number is a power of two. */
	if (!(nent & (nent - 1))) {
		t->cpuid = xrealloc(t->cpuid, 1, sizeof(*t->cpuid) + room * sizeof(*e));
		t->lines = xrealloc(t->lines, room, sizeof(*t->lines));
	}
	t->cpuid->entries[nent] = *e;
	t->lines[nent] = line;
	t->cpuid->nent++;
}

static void tables_add(struct tables *all, const struct table *t, unsigned int line)
{
	if (all->nr == MAX_FILE_TABLES)
		die(STATUS_USAGE, "%s:%u: more than %u tables", t->name, line, MAX_FILE_TABLES);
	all->table = xrealloc(all->table, all->nr + 1, sizeof(*t));
	all->table[all->nr++] = *t;
}

/*
 * The leaves whose output depends on ECX: cpuid_function_is_indexed() in the
 * kernel's arch/x86/include/asm/cpuid/api.h, and AMD's 0x80000026, which is
 * not on that list.
 */
static bool leaf_is_indexed(uint32_t function)
{
	switch (function) {
	case 0x4:
	case 0x7:
	case 0xb:
	case 0xd:
	case 0xf:
	case 0x10:
	case 0x12:
	case 0x14:
	case 0x17:
	case 0x18:
	case 0x1d:
	case 0x1e:
	case 0x1f:
	case 0x23:
	case 0x24:
	case 0x8000001d:
	case 0x80000026:
		return true;
	}
	return false;
}

/*
 * The text does not say whether the subleaf of an entry matters. It does if the
 * list has the leaf, or if the file itself has several subleaves of it (the list
 * is never complete: 0x80000020, 0x40000003 of Xen, future ones). A repeated line
 * does not count for that: it remains a duplicate.
 */
static void set_flags(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *e, *other, *end = cpuid->entries + cpuid->nent;
	bool indexed;

	for (e = cpuid->entries; e < end; e++) {
		indexed = leaf_is_indexed(e->function) || e->index;
		for (other = cpuid->entries; other < end && !indexed; other++)
			indexed = other->function == e->function && other->index;
		if (indexed)
			e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	}
}

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/*
 * Parse "@prefix" and a 32-bit number. With @base 16, "0x" is optional: cpuid
 * always prints it, but hand-written files may lack it. Return what follows, or
 * NULL.
 */
static const char *parse_u32(const char *s, const char *prefix, int base,
			     uint32_t *value)
{
	unsigned long long v;
	char *end;

	s = skip_blanks(s);
	if (strncmp(s, prefix, strlen(prefix)))
		return NULL;
	s += strlen(prefix);

	/* strtoull() would take blanks and signs. */
	if (!isxdigit((unsigned char)*s))
		return NULL;
	errno = 0;
	v = strtoull(s, &end, base);
	if (end == s || errno || v > UINT32_MAX)
		return NULL;
	*value = v;
	return end;
}

/* --- what cpuid(1) prints */

/* "CPU 0:", or "CPU:" as "cpuid -1" prints it, which counts as CPU 0. */
static bool parse_header(const char *s, uint32_t *cpu)
{
	*cpu = 0;
	s = skip_blanks(s);
	if (strncmp(s, "CPU", 3))
		return false;
	s += 3;
	if (*s == ' ') {
		s = parse_u32(s, "", 10, cpu);
		if (!s)
			return false;
	}
	return *s == ':' && !*skip_blanks(s + 1);
}

/* The subleaf may be missing: "cpuid -f" accepts that too, as older versions printed it. */
static bool parse_entry(const char *s, struct kvm_cpuid_entry2 *e)
{
	char prefix[8];
	enum reg reg;

	memset(e, 0, sizeof(*e));

	s = parse_u32(s, "", 16, &e->function);
	if (!s)
		return false;
	if (*s != ':') {
		s = parse_u32(s, "", 16, &e->index);
		if (!s || *s != ':')
			return false;
	}
	s++;

	for (reg = EAX; reg < NR_REGS; reg++) {
		snprintf(prefix, sizeof(prefix), "%s=", reg_names[reg]);
		s = parse_u32(s, prefix, 16, entry_reg(e, reg));
		if (!s)
			return false;
	}
	return !*skip_blanks(s);
}

/* Read on from the line that is in @r. */
static void read_text(struct tables *all, struct reader *r)
{
	struct kvm_cpuid_entry2 e;
	struct table t;
	uint32_t cpu;

	table_init(&t, r->name);
	do {
		if (r->bad || r->len > MAX_TEXT_LINE)
			die(STATUS_USAGE, "%s:%u: line too long, or not text", r->name, r->line);

		if (!*skip_blanks(r->buf) || *skip_blanks(r->buf) == '#')
			continue;

		if (parse_header(r->buf, &cpu)) {
			if (t.cpuid->nent) {
				set_flags(t.cpuid);
				tables_add(all, &t, r->line);
				table_init(&t, r->name);
			}
			t.cpu = cpu;
			continue;
		}

		if (!parse_entry(r->buf, &e))
			die(STATUS_USAGE,
			    "%s:%u: not an entry (0xLEAF 0xSUBLEAF: eax=0x... ebx=0x... ecx=0x... edx=0x...): %s",
			    r->name, r->line, excerpt(r));
		table_add(&t, &e, r->line);
	} while (read_line(r));

	if (t.cpuid->nent) {
		set_flags(t.cpuid);
		tables_add(all, &t, r->line);
	}
}

/* --- what strace(1) prints */

enum call_type { NONE, CREATE_VM, CREATE_VCPU, SET_CPUID2 };

struct call {
	enum call_type type;
	unsigned long pid;
	int fd;
	uint32_t vcpu_id;
	struct table table;
};

/* A log, as far as it has been read. */
struct log {
	struct {
		int fd;
		unsigned int vm;
		uint32_t id;
	} *vcpus;			/* the newest last */
	unsigned int nr_vcpus;
	struct {
		int fd;
		unsigned int vm;
	} *vms;				/* the same */
	unsigned int nr_vms;
	struct call *pending;		/* "<unfinished ...>" */
	unsigned int nr_pending;
};

/* "[pid 123] ", or with -o, "123 "; 0 if there is none. */
static unsigned long parse_pid(const char *s)
{
	unsigned long pid;
	char *end;

	if (!strncmp(s, "[pid", 4))
		return strtoul(s + 4, NULL, 10);
	pid = strtoul(s, &end, 10);
	return end != s && *end == ' ' ? pid : 0;
}

/* "KVM_CPUID_FLAG_SIGNIFCANT_INDEX|0x10", also with comments, by strace -X. */
static const char *parse_flags(const char *s, uint32_t *flags)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} names[] = {
		{ "KVM_CPUID_FLAG_SIGNIFCANT_INDEX", KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
		{ "KVM_CPUID_FLAG_STATEFUL_FUNC", KVM_CPUID_FLAG_STATEFUL_FUNC },
		{ "KVM_CPUID_FLAG_STATE_READ_NEXT", KVM_CPUID_FLAG_STATE_READ_NEXT },
	};
	const char *end;
	unsigned int i;
	uint32_t value;

	if (strncmp(s, ", flags=", 8))
		return NULL;
	s += 7;
	*flags = 0;
	do {
		s++;
		for (i = 0; i < ARRAY_SIZE(names); i++) {
			if (!strncmp(s, names[i].name, strlen(names[i].name)))
				break;
		}
		if (i < ARRAY_SIZE(names)) {
			*flags |= names[i].flag;
			s += strlen(names[i].name);
		} else {
			s = parse_u32(s, "", 0, &value);
			if (!s)
				return NULL;
			*flags |= value;
		}
		if (!strncmp(s, " /*", 3)) {
			end = strstr(s, "*/");
			if (!end)
				return NULL;
			s = end + 2;
		}
	} while (*s == '|');
	return s;
}

/* "{function=0x1, index=0, flags=0, eax=0, ebx=0x800, ecx=0, edx=0}" */
static const char *parse_strace_entry(const char *s, struct kvm_cpuid_entry2 *e)
{
	char prefix[10];
	enum reg reg;

	memset(e, 0, sizeof(*e));
	s = parse_u32(s, "{function=", 0, &e->function);
	s = s ? parse_u32(s, ", index=", 0, &e->index) : NULL;
	s = s ? parse_flags(s, &e->flags) : NULL;
	for (reg = EAX; s && reg < NR_REGS; reg++) {
		snprintf(prefix, sizeof(prefix), ", %s=", reg_names[reg]);
		s = parse_u32(s, prefix, 0, entry_reg(e, reg));
	}
	/* A future strace may print the padding. */
	s = s ? strchr(s, '}') : NULL;
	return s ? s + 1 : NULL;
}

/* "{nent=2, entries=[{...}, {...}]}"; dies if that is not what is there. */
static const char *parse_strace_table(const struct reader *r, const char *s,
				      struct table *t)
{
	struct kvm_cpuid_entry2 e;
	uint32_t nent;

	table_init(t, r->name);
	s = parse_u32(s, "{nent=", 0, &nent);
	if (s && !strncmp(s, ", entries=[", 11)) {
		for (s += 11; *s == '{'; s += strncmp(s, ", {", 3) ? 0 : 2) {
			s = parse_strace_entry(s, &e);
			if (!s)
				break;
			table_add(t, &e, r->line);
		}
	}
	if (s && !strncmp(s, "]}", 2) && t->cpuid->nent == nent)
		return s + 2;
	die(STATUS_USAGE, "%s:%u: KVM_SET_CPUID2 without all of its entries: use strace -f -v -e trace=ioctl",
	    r->name, r->line);
}

/* Parse "ioctl(FD, REQUEST, ARGUMENT"; return what follows. */
static const char *parse_call(const struct reader *r, const char *s, struct call *c)
{
	const char *name;
	char *end;

	memset(c, 0, sizeof(*c));
	c->pid = parse_pid(r->buf);
	c->fd = strtol(s + strlen("ioctl("), &end, 10);

	/* With -y, a vCPU's name is there: "14<anon_inode:kvm-vcpu:3>". */
	c->vcpu_id = UINT32_MAX;
	if (*end == '<') {
		name = strstr(end, "kvm-vcpu:");
		if (name)
			parse_u32(name, "kvm-vcpu:", 10, &c->vcpu_id);
		end += strcspn(end, ">");
		end += *end == '>';
	}

	if (!strncmp(end, ", KVM_CREATE_VM,", 16)) {
		c->type = CREATE_VM;
	} else if (!strncmp(end, ", KVM_CREATE_VCPU,", 18)) {
		s = parse_u32(end + 18, "", 0, &c->vcpu_id);
		if (!s)
			return NULL;
		c->type = CREATE_VCPU;
		return s;
	} else if (!strncmp(end, ", KVM_SET_CPUID2, {", 19)) {
		c->type = SET_CPUID2;
		return parse_strace_table(r, end + 18, &c->table);
	}
	return end;
}

static unsigned int new_vm(struct log *log, int fd)
{
	log->vms = xrealloc(log->vms, log->nr_vms + 1, sizeof(*log->vms));
	log->vms[log->nr_vms].fd = fd;
	log->vms[log->nr_vms].vm = log->nr_vms + 1;
	return ++log->nr_vms;
}

/* The VM that has the fd, even if the log lacks its creation. */
static unsigned int find_vm(struct log *log, int fd)
{
	unsigned int i;

	for (i = log->nr_vms; i-- > 0;) {
		if (log->vms[i].fd == fd)
			return log->vms[i].vm;
	}
	return new_vm(log, fd);
}

static void new_vcpu(struct log *log, int fd, unsigned int vm, uint32_t id)
{
	log->vcpus = xrealloc(log->vcpus, log->nr_vcpus + 1, sizeof(*log->vcpus));
	log->vcpus[log->nr_vcpus].fd = fd;
	log->vcpus[log->nr_vcpus].vm = vm;
	log->vcpus[log->nr_vcpus++].id = id;
}

static void set_cpuid(struct tables *all, struct log *log, unsigned int first,
		      const struct call *c, unsigned int line)
{
	struct table t = c->table;
	unsigned int i;

	for (i = log->nr_vcpus; i-- > 0;) {
		if (log->vcpus[i].fd == c->fd) {
			t.vm = log->vcpus[i].vm;
			t.cpu = log->vcpus[i].id;
			break;
		}
	}
	if (!t.vm && c->vcpu_id == UINT32_MAX)
		die(STATUS_USAGE,
		    "%s:%u: KVM_SET_CPUID2 on fd %d, which is of no KVM_CREATE_VCPU above: start the VMM by strace, or use strace -y",
		    t.name, line, c->fd);
	if (!t.vm) {
		t.vm = 1;
		t.cpu = c->vcpu_id;
	}

	/* The last one counts. */
	for (i = first; i < all->nr; i++) {
		if (all->table[i].vm == t.vm && all->table[i].cpu == t.cpu) {
			free(all->table[i].cpuid);
			free(all->table[i].lines);
			all->table[i] = t;
			return;
		}
	}
	tables_add(all, &t, line);
}

/* A call has returned: @s is what follows its arguments. */
static void finish_call(struct tables *all, struct log *log, unsigned int first,
			const struct call *c, const char *s, unsigned int line)
{
	const char *result = strstr(s, "= ");
	long value;

	/* "= -1 EBUSY (...)", or "= ?" of a process that was killed. */
	if (!result || !isdigit((unsigned char)result[2]))
		return;
	value = strtol(result + 2, NULL, 10);

	switch (c->type) {
	case CREATE_VM:
		new_vm(log, value);
		break;
	case CREATE_VCPU:
		new_vcpu(log, value, find_vm(log, c->fd), c->vcpu_id);
		break;
	case SET_CPUID2:
		set_cpuid(all, log, first, c, line);
		break;
	case NONE:
		break;
	}
}

static int compare_tables(const void *_a, const void *_b)
{
	const struct table *a = _a, *b = _b;

	if (a->vm != b->vm)
		return a->vm < b->vm ? -1 : 1;
	return a->cpu < b->cpu ? -1 : a->cpu > b->cpu;
}

/* Read on from the line that is in @r. */
static void read_strace(struct tables *all, struct reader *r)
{
	unsigned int i, first = all->nr;
	struct log log = {};
	struct call c;
	const char *s;

	do {
		if (r->bad && strstr(r->buf, ", KVM_SET_CPUID2, {"))
			die(STATUS_USAGE, "%s:%u: line too long, or not text", r->name, r->line);

		if (strstr(r->buf, "<... ioctl resumed>")) {
			c.pid = parse_pid(r->buf);
			for (i = 0; i < log.nr_pending; i++) {
				if (log.pending[i].pid != c.pid)
					continue;
				finish_call(all, &log, first, &log.pending[i], r->buf, r->line);
				log.pending[i] = log.pending[--log.nr_pending];
				break;
			}
			continue;
		}

		s = strstr(r->buf, "ioctl(");
		s = s ? parse_call(r, s, &c) : NULL;
		if (!s || c.type == NONE)
			continue;
		if (strstr(s, "<unfinished ...>")) {
			log.pending = xrealloc(log.pending, log.nr_pending + 1, sizeof(c));
			log.pending[log.nr_pending++] = c;
		} else {
			finish_call(all, &log, first, &c, s, r->line);
		}
	} while (read_line(r));

	if (all->nr == first)
		die(STATUS_USAGE, "%s: no KVM_SET_CPUID2 that succeeds in this log of strace", r->name);
	qsort(all->table + first, all->nr - first, sizeof(c.table), compare_tables);
	free(log.vcpus);
	free(log.vms);
	free(log.pending);
}

/* --- JSON: Firecracker's CPU templates, and what --json prints */

enum { HAS_LEAF = 1 << NR_REGS, HAS_ALL = HAS_LEAF | (HAS_LEAF - 1) };

#define MAX_STRING	80		/* longer names do not matter here */

struct json {
	const struct reader *r;
	struct table table;
	struct kvm_cpuid_entry2 e;
	unsigned int has;		/* what @e has: a bit per register, and HAS_LEAF */
	bool flags;			/* the table says which entries go by the subleaf */
	unsigned int depth;
	char key[MAX_STRING];
	enum reg reg;			/* which one a bitmap is for; NR_REGS: for none */
	char bitmap[MAX_STRING];
};

static void __attribute__((noreturn)) die_json(const struct reader *r)
{
	die(STATUS_USAGE, "%s:%u: not JSON of Firecracker's or of this program's: %s",
	    r->name, r->line, excerpt(r));
}

static enum reg find_reg(const char *name)
{
	enum reg reg;

	for (reg = EAX; reg < NR_REGS && strcmp(name, reg_names[reg]); reg++)
		;
	return reg;
}

static void finish_table(struct tables *all, struct json *j)
{
	if (!j->table.cpuid->nent)
		return;
	if (!j->flags)
		set_flags(j->table.cpuid);
	tables_add(all, &j->table, j->r->line);
	table_init(&j->table, j->r->name);
}

static void json_value(struct tables *all, struct json *j, const char *text)
{
	enum reg reg = find_reg(j->key);
	uint32_t cpu, *number = NULL;
	const char *end;

	if (reg < NR_REGS) {
		number = entry_reg(&j->e, reg);
		j->has |= 1u << reg;
	} else if (!strcmp(j->key, "leaf")) {
		number = &j->e.function;
		j->has |= HAS_LEAF;
	} else if (!strcmp(j->key, "subleaf")) {
		number = &j->e.index;
	} else if (!strcmp(j->key, "flags")) {
		number = &j->e.flags;
		j->flags = true;
	} else if (!strcmp(j->key, "cpu")) {
		finish_table(all, j);
		number = &cpu;
	} else if (!strcmp(j->key, "register")) {
		j->reg = find_reg(text);
		if (j->reg == NR_REGS)
			die_json(j->r);
	} else if (!strcmp(j->key, "bitmap")) {
		strcpy(j->bitmap, text);
	}

	if (!number)
		return;
	end = parse_u32(text, "", 0, number);
	if (!end || *end)
		die_json(j->r);
	if (number == &cpu)
		j->table.cpu = cpu;
}

/* "0b0110_...", with an x for a bit that the host decides. */
static void json_bitmap(struct json *j)
{
	const char *s = j->bitmap;
	unsigned int bits = 0;
	uint32_t value = 0;

	if (strncmp(s, "0b", 2))
		die_json(j->r);
	for (s += 2; *s; s++) {
		if (*s == '_')
			continue;
		if (*s == 'x')
			die(STATUS_USAGE, "%s:%u: a bit that the host decides: this is no table; use one that cpu-template-helper dumps",
			    j->r->name, j->r->line);
		if (*s != '0' && *s != '1')
			die_json(j->r);
		value = value << 1 | (*s == '1');
		bits++;
	}
	if (bits != 32)
		die_json(j->r);
	*entry_reg(&j->e, j->reg) = value;
	j->has |= 1u << j->reg;
	j->reg = NR_REGS;
}

/* The end of an object: a register of an entry, an entry, or something else. */
static void json_object(struct json *j)
{
	if (j->reg < NR_REGS) {
		json_bitmap(j);
	} else if (j->has & HAS_LEAF) {
		if (j->has != HAS_ALL)
			die(STATUS_USAGE, "%s:%u: leaf 0x%x has not all of its registers: this is no table",
			    j->r->name, j->r->line, j->e.function);
		table_add(&j->table, &j->e, j->r->line);
		memset(&j->e, 0, sizeof(j->e));
		j->has = 0;
	}
	*j->bitmap = '\0';
}

/* A string, a number or a word. Return what follows. */
static const char *json_text(const struct json *j, const char *s, char *text)
{
	bool string = *s == '"';
	size_t len = string ? strcspn(++s, "\"\\") : strcspn(s, ",:[]{}\" \t");

	snprintf(text, MAX_STRING, "%.*s", (int)len, s);
	s += len;
	if (!string) {
		if (*text != '-' && !isdigit((unsigned char)*text) && strcmp(text, "null") &&
		    strcmp(text, "true") && strcmp(text, "false"))
			die_json(j->r);
		return s;
	}

	for (; *s == '\\' && s[1]; s += strcspn(s, "\"\\"))
		s += 2;
	if (*s != '"')
		die_json(j->r);
	return s + 1;
}

/* Read on from the line that is in @r. Strings have no line breaks. */
static void read_json(struct tables *all, struct reader *r)
{
	struct json j = { .r = r, .reg = NR_REGS };
	char text[MAX_STRING];
	const char *s;

	table_init(&j.table, r->name);
	do {
		if (r->bad)
			die(STATUS_USAGE, "%s:%u: line too long, or not text", r->name, r->line);

		for (s = skip_blanks(r->buf); *s; s = skip_blanks(s)) {
			if (strchr("{[", *s)) {
				j.depth++;
				s++;
			} else if (strchr("}]", *s)) {
				if (!j.depth--)
					die_json(r);
				if (*s++ == '}')
					json_object(&j);
			} else if (*s == ',') {
				s++;
			} else {
				s = skip_blanks(json_text(&j, s, text));
				if (*s == ':') {
					strcpy(j.key, text);
					s++;
				} else {
					json_value(all, &j, text);
				}
			}
		}
	} while (read_line(r));

	if (j.depth)
		die(STATUS_USAGE, "%s:%u: the file ends within an object", r->name, r->line);
	finish_table(all, &j);
}

/* --- all of them */

static bool is_strace(const char *s)
{
	return strstr(s, "ioctl(") || strstr(s, "execve(") || strstr(s, "strace: ") ||
	       strstr(s, "<... ");
}

void tables_read(struct tables *all, const char *path)
{
	static struct reader r;
	unsigned int first = all->nr;
	bool more;

	r.line = 0;
	r.name = strcmp(path, "-") ? path : "<stdin>";
	r.file = strcmp(path, "-") ? fopen(path, "r") : stdin;
	if (!r.file)
		die(STATUS_USAGE, "%s: %s", r.name, strerror(errno));

	/* The first line that is not empty tells which form it is. */
	do {
		more = read_line(&r);
	} while (more && !r.bad && (!*skip_blanks(r.buf) || *skip_blanks(r.buf) == '#'));
	if (more && *skip_blanks(r.buf) == '{')
		read_json(all, &r);
	else if (more && is_strace(r.buf))
		read_strace(all, &r);
	else if (more)
		read_text(all, &r);

	if (all->nr == first)
		die(STATUS_USAGE, "%s: no entries in it: this is no CPUID table", r.name);
	if (r.file != stdin)
		fclose(r.file);
}

/* The N of FILE@N, and FILE in @path. */
static bool chosen_cpu(char *path, uint32_t *cpu)
{
	char *at = strrchr(path, '@');
	const char *end;

	end = at ? parse_u32(at, "@", 10, cpu) : NULL;
	if (!end || *end)
		return false;
	*at = '\0';
	return true;
}

void table_read(struct table *t, const char *path)
{
	struct tables all = {};
	char *name = strdup(path);
	unsigned int i = 0;
	uint32_t cpu;
	bool chosen;

	if (!name)
		die(STATUS_NO, "out of memory");
	chosen = access(path, F_OK) && chosen_cpu(name, &cpu);
	tables_read(&all, chosen ? name : path);
	if (chosen) {
		while (i < all.nr && all.table[i].cpu != cpu)
			i++;
		if (i == all.nr)
			die(STATUS_USAGE, "%s: no CPU %u in it", name, cpu);
	} else if (all.nr > 1) {
		warn_line("%s:%u: more CPUs from here on: only the first, CPU %u, is used",
			  all.table[1].name, all.table[1].lines[0], all.table[0].cpu);
	}
	*t = all.table[i];
}
