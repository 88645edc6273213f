/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layout of the guest's RAM, which the test maps as a file.  For C and assembly.
 */
#ifndef GUEST_H
#define GUEST_H

/* The firmware's link address. */
#define ROM		0xffff0000

/* Written by the test: */
#define MAILBOX		0x10000
#define MAILBOX_CPUS	0	/* how many CPUs to wait for */
#define MAILBOX_STAY	4	/* don't end the machine when they are done */
#define MAILBOX_GO	8	/* when this changes, do it all again */
#define MAILBOX_EJECT	12	/* QEMU's number of a CPU to unplug, not 0 */
/* Written by the guest: */
#define MAILBOX_DONE	16	/* how many CPUs are done */
#define MAILBOX_READY	20	/* MAILBOX_GO of the last time that all were done */

/* By APIC ID, what each CPU reads. */
#define SLOTS		0x200000
#define SLOT_SIZE	0x8000
#define SLOT_COUNT	0	/* of records */
#define SLOT_GO		4
#define SLOT_X2APIC	8
/* Variables of the guest, which has no stack: */
#define SLOT_SCRATCH	12
#define SLOT_RANGE	16
#define SLOT_LEAF	20
#define SLOT_SUBLEAF	24
#define SLOT_LAST	28
#define SLOT_RECORDS	32	/* leaf, subleaf, EAX, EBX, ECX, EDX */

#define SUBLEAVES	6	/* of each leaf */
#define RANGE_MAX	0x8f	/* of leaves beyond a base */

#endif
