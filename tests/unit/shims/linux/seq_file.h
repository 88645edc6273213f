/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_SEQ_FILE_H
#define SHIM_SEQ_FILE_H

#include "../shim.h"

#define THIS_MODULE	NULL

struct inode {
	void *i_private;
};

struct seq_file {
	void *private;
	int (*show)(struct seq_file *m, void *v);
	char text[4096];
};

struct file {
	struct seq_file *seq;
};

struct file_operations {
	void *owner;
	int (*open)(struct inode *inode, struct file *file);
	long (*read)(struct file *file);
	long (*llseek)(struct file *file);
	int (*release)(struct inode *inode, struct file *file);
};

static inline int single_open(struct file *file,
			      int (*show)(struct seq_file *m, void *v), void *data)
{
	if (shim.no_seq_file)
		return -ENOMEM;

	file->seq = calloc(1, sizeof(*file->seq));
	file->seq->private = data;
	file->seq->show = show;
	return 0;
}

static inline int single_release(struct inode *inode, struct file *file)
{
	(void)inode;
	free(file->seq);
	return 0;
}

static inline long seq_read(struct file *file)
{
	return file->seq->show(file->seq, NULL);
}

static inline long seq_lseek(struct file *file)
{
	(void)file;
	return 0;
}

__attribute__((format(printf, 2, 3)))
static inline void seq_printf(struct seq_file *m, const char *format, ...)
{
	size_t used = strlen(m->text);
	va_list args;

	va_start(args, format);
	vsnprintf(m->text + used, sizeof(m->text) - used, format, args);
	va_end(args);
}

#endif
