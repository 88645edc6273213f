/* SPDX-License-Identifier: GPL-2.0-only */
/* Tables of different hosts or models. All print on stdout. */
#ifndef COMPARE_H
#define COMPARE_H

#include "read.h"

/*
 * Print in what fields two tables differ, a line each; with @vcpus, without
 * what KVM computes for each vCPU. Return STATUS_OK if in none.
 */
int diff(const struct table *a, const struct table *b, bool vcpus, bool json);

/*
 * The largest table that all of these hosts can give a guest. Dies if there is
 * none, i.e. if something has to be the same and is not.
 */
struct kvm_cpuid2 *common(const struct tables *hosts);

/*
 * Print the fields of a table that are more than a host can give, a line each.
 * Return STATUS_OK if it can give all.
 */
int fits(const struct table *t, const struct table *host, bool json);

#endif /* COMPARE_H */
