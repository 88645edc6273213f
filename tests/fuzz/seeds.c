// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write the fuzzers' seeds: the tables of the unit tests, as they are, shuffled, cut
 * short and with one thing wrong.  usage: seeds DIR    (with DIR/table and DIR/ioctl)
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/tables.h"
#include "decode.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define MAX			64

static const struct {
	const char *name;
	const struct kvm_cpuid_entry2 *entries;
	int nent;
} tables[] = {
	{ "amd", amd, ARRAY_SIZE(amd) },
	{ "intel", intel, ARRAY_SIZE(intel) },
	{ "paravirt", paravirt, ARRAY_SIZE(paravirt) },
};

static const char *dir;

static FILE *seed_file(const char *fuzzer, const char *table, const char *what, int n)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s/%s-%s-%d", dir, fuzzer, table, what, n);
	file = fopen(path, "wb");
	if (!file) {
		perror(path);
		exit(1);
	}

	return file;
}

static void encode(struct fuzz_entry *to, const struct kvm_cpuid_entry2 *entries, int nent)
{
	for (int i = 0; i < nent; i++) {
		to[i] = (struct fuzz_entry) {
			.function = entries[i].function,
			.index = entries[i].index,
			.flags = entries[i].flags,
			.eax = entries[i].eax,
			.ebx = entries[i].ebx,
			.ecx = entries[i].ecx,
			.edx = entries[i].edx,
		};
	}
}

static void seed_table(const char *table, const char *what, int n,
		       const struct fuzz_entry *entries, int nent)
{
	struct fuzz_vcpu vcpu = { .id = n * 77 + 1, .xen_id = n };
	FILE *file = seed_file("table", table, what, n);

	fwrite(&vcpu, sizeof(vcpu), 1, file);
	fwrite(entries, sizeof(*entries), nent, file);
	fclose(file);
}

/* Each byte of @steps says what to do and, in its high half, what fails. */
static void seed_ioctl(const char *table, int n, const char *steps,
		       const struct fuzz_entry *entries, int nent)
{
	FILE *file = seed_file("ioctl", table, "steps", n);

	for (; *steps; steps++) {
		/* Permission for AMX, a fault within the second entry, and a vCPU ID. */
		uint8_t step[8] = { *steps & 0xf, nent, 0, 0x80 | (*steps >> 4), 50, 0, 77 };

		fwrite(step, sizeof(step), 1, file);
		if ((*steps & 0x7) >= 3)
			fwrite(entries, sizeof(*entries), nent, file);
	}
	fclose(file);
}

int main(int argc, char **argv)
{
	static const char *const steps[] = { "\x03\x01", "\x01\x03\x03\x01\x08\x01\x03",
					     "\x13\x03\x23\x21\x01", "\x03\x33\x01",
					     "\x03\x10\x50\x08\x03\x41\x43" };
	struct fuzz_entry entries[MAX], tmp;

	if (argc != 2) {
		fprintf(stderr, "usage: seeds DIR\n");
		return 2;
	}
	dir = argv[1];

	srand(1);
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		int nent = tables[t].nent;

		encode(entries, tables[t].entries, nent);
		seed_table(tables[t].name, "whole", 0, entries, nent);
		for (size_t n = 0; n < ARRAY_SIZE(steps); n++)
			seed_ioctl(tables[t].name, n, steps[n], entries, nent < 4 ? nent : 4);

		/* Each entry alone, too: a short way to the code for it. */
		for (int i = 0; i < nent; i++)
			seed_table(tables[t].name, "entry", i, &entries[i], 1);

		for (int n = 0; n < 8; n++) {
			for (int i = nent - 1; i > 0; i--) {
				int j = rand() % (i + 1);

				tmp = entries[i];
				entries[i] = entries[j];
				entries[j] = tmp;
			}
			seed_table(tables[t].name, "shuffled", n, entries, nent);

			tmp = entries[n];
			entries[n].odd = 0xfc + n % 4;
			entries[n].flags |= n;
			seed_table(tables[t].name, "odd", n, entries, nent);
			entries[n] = entries[n + 1];
			seed_table(tables[t].name, "twice", n, entries, nent);
			entries[n] = tmp;
		}
	}

	return 0;
}
