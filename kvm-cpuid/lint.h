/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LINT_H
#define LINT_H

#include "read.h"

/*
 * The vCPUs of a VM have a table each: print why they could not share one, and
 * what would read differently if they did. Return STATUS_OK if they can share
 * one and would read the same.
 */
int lint(struct tables *all, bool json);

#endif /* LINT_H */
