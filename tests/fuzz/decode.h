/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Turn arbitrary bytes into a CPUID table.  struct fuzz_entry is denser than the ioctl's
 * struct, so that a change of any byte matters and most tables are good.
 */
#ifndef DECODE_H
#define DECODE_H

#include <stdint.h>
#include <string.h>

#include <linux/kvm.h>

struct fuzz_vcpu {
	uint32_t id;
	uint32_t xen_id;
};

struct fuzz_entry {
	uint32_t function;
	uint8_t index;		/* 0xf0 and more: counted from the highest index down */
	uint8_t flags;		/* bit 0: the index is significant; others: if odd below */
	uint8_t odd;		/* 0xff: other flags; 0xfe, 0xfd, 0xfc: padding */
	uint8_t more_indexed;	/* a copy with the next index follows, so many times & 7 */
	uint32_t eax, ebx, ecx, edx;
};

struct fuzz_bytes {
	const uint8_t *data;
	size_t size;
};

/* Missing bytes are zero. */
static void fuzz_take(struct fuzz_bytes *bytes, void *to, size_t size)
{
	size_t n = size < bytes->size ? size : bytes->size;

	memset(to, 0, size);
	if (!n)
		return;

	memcpy(to, bytes->data, n);
	bytes->data += n;
	bytes->size -= n;
}

/* All that is left, or the first @max entries of it. */
static uint32_t fuzz_table(struct fuzz_bytes *bytes, struct kvm_cpuid_entry2 *entries,
			   uint32_t max)
{
	struct kvm_cpuid_entry2 e;
	struct fuzz_entry f;
	uint32_t nent = 0;
	int copies;

	while (bytes->size && nent < max) {
		fuzz_take(bytes, &f, sizeof(f));

		memset(&e, 0, sizeof(e));
		e.function = f.function;
		e.index = f.index < 0xf0 ? f.index : 0xffffffff - (0xff - f.index);
		e.flags = f.odd == 0xff ? f.flags : f.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e.eax = f.eax;
		e.ebx = f.ebx;
		e.ecx = f.ecx;
		e.edx = f.edx;
		if (f.odd >= 0xfc && f.odd < 0xff)
			e.padding[f.odd - 0xfc] = f.flags | 0x80000000;

		for (copies = f.more_indexed & 7; copies >= 0 && nent < max; copies--) {
			entries[nent++] = e;
			e.index++;
		}
	}

	return nent;
}

#endif /* DECODE_H */
