/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UTIL_H
#define UTIL_H

#include <stddef.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Exit statuses, as --help lists them. */
enum status {
	STATUS_OK	= 0,
	STATUS_NO	= 1,	/* refused, different, or a system call failed */
	STATUS_USAGE	= 2,	/* bad command line, or a file that is no table */
	STATUS_NO_KVM	= 3,	/* no /dev/kvm, or a kernel without the capability */
};

/*
 * Print "kvm-cpuid: " and the message on stderr as one line. Flush stdout first.
 */
void warn_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, then exit with @status. */
void die(enum status status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* realloc() and calloc() that die if there is no memory. */
void *xrealloc(void *p, size_t nr, size_t size);
void *xcalloc(size_t nr, size_t size);

/* Print in quotes, escaped for JSON. */
void print_json_string(const char *s);

#endif /* UTIL_H */
