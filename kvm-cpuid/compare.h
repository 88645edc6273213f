/* SPDX-License-Identifier: GPL-2.0-only */
/* Tables of different hosts or models. All print on stdout. */
#ifndef COMPARE_H
#define COMPARE_H

#include "read.h"

/*
 * Print the fields in which two tables differ, a line each; with @vcpus, ignore
 * what KVM computes for each vCPU. Return STATUS_OK if there are none.
 */
int diff(const struct table *a, const struct table *b, bool vcpus, bool json);

/*
 * The largest table that all of these hosts can give a guest. Dies if there is
 * none, i.e. if something differs that must be the same.
 */
struct kvm_cpuid2 *common(const struct tables *hosts);

/*
 * Print the fields of a table that are more than a host can give, a line each.
 * Return STATUS_OK if it can give all.
 */
int fits(const struct table *t, const struct table *host, bool json);

#endif /* COMPARE_H */
