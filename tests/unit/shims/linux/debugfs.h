/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_DEBUGFS_H
#define SHIM_DEBUGFS_H

#include "seq_file.h"

struct dentry {
	const char *name;
	unsigned int mode;
	void *data;
	const struct file_operations *fops;
	int files;
};

/* The one file of the folder @dir, so the folder itself remembers it; NULL: no debugfs. */
static inline void debugfs_create_file(const char *name, unsigned int mode,
				       struct dentry *dir, void *data,
				       const struct file_operations *fops)
{
	if (dir)
		*dir = (struct dentry){ name, mode, data, fops, dir->files + 1 };
}

#endif
