/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LINT_H
#define LINT_H

#include "read.h"

/*
 * Print why the vCPUs of a VM, which have a table each, could not share one, and
 * what each of them would read otherwise if they did. Return STATUS_OK if they
 * can, and would read the same.
 */
int lint(struct tables *all, bool json);

#endif /* LINT_H */
