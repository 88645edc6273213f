// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz the program kvm-cpuid: the first line of an input is its command line, the rest
 * are the files a, b, c and d, separated by form feeds.  The program leaves its memory
 * to exit(); here exit() returns to the fuzzer, which frees it.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BLOCKS	(1 << 16)
#define MAX_WORDS	8
#define MAX_NAMED	4

static void *blocks[MAX_BLOCKS];
static unsigned int nr_blocks;
static jmp_buf at_exit;
static FILE *input, *open_files[8];
static unsigned int nr_open;

static struct {
	const uint8_t *data;
	size_t size;
} named[MAX_NAMED];

static void must(bool ok)
{
	if (!ok)
		abort();
}

static _Noreturn void fuzz_exit(int status)
{
	must(status >= 0 && status <= 3);
	longjmp(at_exit, 1 + status);
}

/* A block of the program's, which may be its first; NULL frees it. */
static void *fuzz_block(void *old, void *new)
{
	unsigned int i = nr_blocks;

	while (old && blocks[--i] != old)
		must(i);
	if (!old)
		must(nr_blocks++ < MAX_BLOCKS);
	blocks[i] = new;
	if (!new)
		blocks[i] = blocks[--nr_blocks];
	return new;
}

static void *fuzz_reallocarray(void *p, size_t nr, size_t size)
{
	return fuzz_block(p, reallocarray(p, nr, size));
}

static void *fuzz_calloc(size_t nr, size_t size)
{
	return fuzz_block(NULL, calloc(nr, size));
}

static char *fuzz_strdup(const char *s)
{
	return fuzz_block(NULL, strdup(s));
}

static void fuzz_free(void *p)
{
	if (p)
		fuzz_block(p, NULL);
	free(p);
}

static int find_named(const char *path)
{
	if (path[0] >= 'a' && path[0] < 'a' + MAX_NAMED && !path[1] && named[path[0] - 'a'].data)
		return path[0] - 'a';
	errno = ENOENT;
	return -1;
}

static FILE *fuzz_fopen(const char *path, const char *mode)
{
	int i = find_named(path);

	if (i < 0)
		return NULL;
	must(nr_open < sizeof(open_files) / sizeof(open_files[0]));
	return open_files[nr_open++] = fmemopen((void *)named[i].data, named[i].size, mode);
}

static int fuzz_fclose(FILE *file)
{
	must(open_files[--nr_open] == file);
	return fclose(file);
}

static int no_kvm(void)
{
	errno = ENOENT;
	return -1;
}

#undef stdin
#define stdin			input
#define exit(status)		fuzz_exit(status)
#define reallocarray(p, n, s)	fuzz_reallocarray(p, n, s)
#define calloc(n, s)		fuzz_calloc(n, s)
#define strdup(s)		fuzz_strdup(s)
#define free(p)			fuzz_free(p)
#define fopen(path, mode)	fuzz_fopen(path, mode)
#define fclose(file)		fuzz_fclose(file)
#define access(path, mode)	find_named(path)
#define open(path, ...)		no_kvm()
#define main			kvm_cpuid_main

#include "../../kvm-cpuid/util.c"
#include "../../kvm-cpuid/table.c"
#include "../../kvm-cpuid/fields.c"
#include "../../kvm-cpuid/read.c"
#include "../../kvm-cpuid/compare.c"
#include "../../kvm-cpuid/lint.c"
#include "../../kvm-cpuid/vm.c"
#include "../../kvm-cpuid/kvm-cpuid.c"

#undef exit
#undef fclose
#undef free

/* A function per property, so that the fuzzer's trace names the one that breaks. */
#define PROPERTY	static __attribute__((noinline)) void

PROPERTY common_fits_every_host(const struct tables *hosts, const struct table *t)
{
	for (unsigned int i = 0; i < hosts->nr; i++)
		must(fits(t, &hosts->table[i], false) == STATUS_OK);
}

PROPERTY a_table_equals_itself(const struct table *t)
{
	must(diff(t, t, false, false) == STATUS_OK);
}

PROPERTY no_input_has_two_entries(const struct kvm_cpuid2 *cpuid)
{
	for (unsigned int i = 0; i < cpuid->nent; i++) {
		for (unsigned int j = 0; j < i; j++)
			must(!entries_clash(&cpuid->entries[i], &cpuid->entries[j]));
	}
}

/* Check what common promises, for the files that there are. */
static void check_common(void)
{
	struct tables hosts = {};
	struct table t = { .name = "common" }, *table = xcalloc(MAX_NAMED, sizeof(*table));

	hosts.table = table;
	for (; hosts.nr < MAX_NAMED && named[hosts.nr].data; hosts.nr++)
		table_read(&table[hosts.nr], (char [2]){ 'a' + hosts.nr });
	if (!hosts.nr)
		return;
	t.cpuid = common(&hosts);
	/* As it is when read again from text, which has no flags. */
	set_flags(t.cpuid);
	a_table_equals_itself(&t);
	no_input_has_two_entries(t.cpuid);
	common_fits_every_host(&hosts, &t);
}

static void run(void (*what)(void))
{
	if (!setjmp(at_exit))
		what();
	while (nr_open)
		fclose(open_files[--nr_open]);
	while (nr_blocks)
		free(blocks[--nr_blocks]);
}

static char line[256], *words[MAX_WORDS + 2];
static int nr_words;

static void run_line(void)
{
	optind = 0;
	must((unsigned int)run_command(nr_words, words) <= STATUS_NO_KVM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size), *next;
	unsigned int i;
	char *word;

	if (!end || (size_t)(end - data) >= sizeof(line))
		return 0;
	memcpy(line, data, end - data);
	line[end - data] = '\0';
	words[0] = line;
	nr_words = 1;
	for (word = strtok(line, " "); word && nr_words <= MAX_WORDS; word = strtok(NULL, " "))
		words[nr_words++] = word;
	words[nr_words] = NULL;

	size -= end - data;
	memset(named, 0, sizeof(named));
	for (i = 0; i < MAX_NAMED && size; i++) {
		next = memchr(end + 1, '\f', size - 1);
		named[i].data = end + 1;
		named[i].size = next ? next - end - 1 : (int)size - 1;
		size -= named[i].size + 1;
		end = next;
	}

	input = fmemopen((void *)named[0].data, named[0].size, "r");
	run(run_line);
	fclose(input);
	run(check_common);
	return 0;
}
