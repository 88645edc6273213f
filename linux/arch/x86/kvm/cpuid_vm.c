// SPDX-License-Identifier: GPL-2.0-only
/*
 * One CPUID table for all vCPUs of a VM.
 *
 * Userspace sets the table before it creates the first vCPU.  From then on the
 * table is constant, and so can be read without a lock, and be shared by all
 * vCPUs.  What differs between vCPUs is computed when an entry is read, on a
 * copy of the entry.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/debugfs.h>
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/seq_file.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include <asm/fpu/api.h>
#include <asm/fpu/xstate.h>
#include <asm/xen/cpuid.h>
#include <asm/xen/hypervisor.h>

#include "cpuid.h"
#include "cpuid_vm.h"

/* A field that every entry of its function has, whatever the entry's index. */
#define KVM_CPUID_EVERY_INDEX	(-2ull)

/* Where the value of a field comes from. */
enum kvm_vm_cpuid_source {
	KVM_VM_CPUID_X2APIC_ID,
	KVM_VM_CPUID_CORE_ID,
	KVM_VM_CPUID_NODE_ID,
	KVM_VM_CPUID_XEN_VCPU_ID,

	/* The vCPU's current state, by the code that all vCPUs use. */
	KVM_VM_CPUID_RUNTIME,
};

/*
 * An ID must be for every index: it is filled in on a copy, and a copy can't be
 * the entry that a lookup by index finds.
 */
struct kvm_vm_cpuid_field {
	u32 function;
	u64 index;
	u32 reg;
	u32 mask;
	enum kvm_vm_cpuid_source source;

	/* If not zero: EAX has one of these bits if and only if KVM owns the field. */
	u32 if_eax;
};

/* feature_bit() isn't a constant expression. */
#define FEATURE(_name)	BIT(X86_FEATURE_##_name & 31)

#define FIELD(_function, _index, _reg, _mask, _source, _if_eax)		\
{									\
	.function = (_function),					\
	.index = (_index),						\
	.reg = offsetof(struct kvm_cpuid_entry2, _reg),			\
	.mask = (_mask),						\
	.source = KVM_VM_CPUID_##_source,				\
	.if_eax = (_if_eax),						\
}

#define EVERY	KVM_CPUID_EVERY_INDEX
#define FIRST	KVM_CPUID_INDEX_NOT_SIGNIFICANT

/*
 * The fields that KVM always computes, sorted by function.  KVM owns them, what
 * userspace sets is ignored.  Fields that KVM computes under conditions that
 * are not part of the table, e.g. MWAIT, aren't listed.
 *
 * The function of Xen's leaf is relative to where the table has Xen's leaves.
 */
static const struct kvm_vm_cpuid_field kvm_vm_cpuid_fields[] = {
	FIELD(0x1,	  EVERY, ebx, GENMASK(31, 24), X2APIC_ID, 0),
	FIELD(0x1,	  FIRST, ecx, FEATURE(OSXSAVE), RUNTIME, 0),
	FIELD(0x1,	  FIRST, edx, FEATURE(APIC), RUNTIME, 0),
	FIELD(0x7,	  0,	 ecx, FEATURE(OSPKE), RUNTIME, 0),
	FIELD(0xb,	  EVERY, edx, GENMASK(31, 0), X2APIC_ID, 0),
	FIELD(0xd,	  0,	 ebx, GENMASK(31, 0), RUNTIME, 0),
	FIELD(0xd,	  1,	 ebx, GENMASK(31, 0), RUNTIME,
	      FEATURE(XSAVEC) | FEATURE(XSAVES)),
	FIELD(0x1f,	  EVERY, edx, GENMASK(31, 0), X2APIC_ID, 0),
#ifdef CONFIG_KVM_XEN
	FIELD(XEN_CPUID_LEAF(4), EVERY, ebx, GENMASK(31, 0), XEN_VCPU_ID,
	      XEN_HVM_CPUID_VCPU_ID_PRESENT),
#endif
	FIELD(0x8000001e, EVERY, eax, GENMASK(31, 0), X2APIC_ID, 0),
	FIELD(0x8000001e, EVERY, ebx, GENMASK(7, 0), CORE_ID, 0),
	FIELD(0x8000001e, EVERY, ecx, GENMASK(7, 0), NODE_ID, 0),
	FIELD(0x80000026, EVERY, edx, GENMASK(31, 0), X2APIC_ID, 0),
};

#undef FIRST
#undef EVERY
#undef FIELD
#undef FEATURE

static bool kvm_cpuid_entry_is_indexed(const struct kvm_cpuid_entry2 *entry)
{
	return entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
}

static bool kvm_cpuid_entries_clash(const struct kvm_cpuid_entry2 *a,
				    const struct kvm_cpuid_entry2 *b)
{
	if (a->function != b->function)
		return false;

	return !kvm_cpuid_entry_is_indexed(a) || !kvm_cpuid_entry_is_indexed(b) ||
	       a->index == b->index;
}

/*
 * Check entries as they come from userspace.  On failure, *bad is the first
 * entry that is not valid.
 */
static int kvm_vm_cpuid_check(const struct kvm_cpuid_entry2 *entries, u32 nent,
			      u32 *bad)
{
	const struct kvm_cpuid_entry2 *e;
	u32 i, j, vaddr_bits;

	for (i = 0; i < nent; i++) {
		e = &entries[i];

		if (e->flags & ~KVM_CPUID_FLAG_SIGNIFCANT_INDEX)
			goto invalid;

		if (e->padding[0] || e->padding[1] || e->padding[2])
			goto invalid;

		/*
		 * As for a vCPU's own table, KVM's checks for canonical
		 * addresses know 4-level and 5-level paging only.
		 */
		vaddr_bits = (e->eax >> 8) & 0xff;
		if (e->function == 0x80000008 &&
		    vaddr_bits != 0 && vaddr_bits != 48 && vaddr_bits != 57)
			goto invalid;

		for (j = 0; j < i; j++) {
			if (kvm_cpuid_entries_clash(e, &entries[j]))
				goto invalid;
		}
	}

	return 0;

invalid:
	*bad = i;
	return -EINVAL;
}

static int kvm_vm_cpuid_cmp(const void *_a, const void *_b)
{
	const struct kvm_cpuid_entry2 *a = _a, *b = _b;

	if (a->function != b->function)
		return a->function < b->function ? -1 : 1;

	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;

	return 0;
}

/* Of functions that differ only in the low byte, or in the high one, each has its own. */
static u32 kvm_vm_cpuid_bucket(u32 function)
{
	return (function ^ (function >> 24)) % KVM_MAX_CPUID_ENTRIES;
}

/*
 * Index the sorted entries for kvm_vm_cpuid_find().  Zero ends the list of a bucket:
 * the entry with that number has the lowest function, i.e. is never behind another.
 */
static void kvm_vm_cpuid_index(struct kvm_vm_cpuid *table)
{
	const struct kvm_cpuid_entry2 *e;
	u8 *bucket, nr_more = 0;
	int i;

	BUILD_BUG_ON(KVM_MAX_CPUID_ENTRIES - 1 > U8_MAX);

	for (i = table->nent - 1; i >= 0; i--) {
		e = &table->entries[i];
		if (i && e[-1].function == e->function) {
			nr_more++;
			continue;
		}

		bucket = &table->buckets[kvm_vm_cpuid_bucket(e->function)];
		table->info[i].next = *bucket;
		table->info[i].nr_more = nr_more;
		*bucket = i;
		nr_more = 0;
	}
}

/*
 * Do for a VM's table what kvm_find_cpuid_entry2() does for a vCPU's.  If the
 * index isn't significant, that is to find the function's first entry.
 */
const struct kvm_cpuid_entry2 *kvm_vm_cpuid_find(const struct kvm_vm_cpuid *table,
						 u32 function, u64 index)
{
	u8 i = table->buckets[kvm_vm_cpuid_bucket(function)];
	const struct kvm_cpuid_entry2 *e;
	unsigned long n, nr_more;

	for (e = &table->entries[i]; e->function != function; e = &table->entries[i]) {
		i = table->info[i].next;
		if (!i)
			return NULL;
	}

	if (!kvm_cpuid_entry_is_indexed(e) || e->index == index ||
	    index == KVM_CPUID_INDEX_NOT_SIGNIFICANT)
		return e;

	if (index < e->index)
		return NULL;

	/*
	 * Indexes are distinct and in order, and mostly without holes: start
	 * where the entry is if there are none, it can't be further on.
	 */
	nr_more = table->info[i].nr_more;
	n = min_t(u64, index - e->index, nr_more);
	for (e += array_index_nospec(n, nr_more + 1); e->index > index; e--)
		;

	return e->index == index ? e : NULL;
}

static struct kvm_hypervisor_cpuid
kvm_vm_cpuid_find_hypervisor(const struct kvm_vm_cpuid *table, const char *sig)
{
	struct kvm_hypervisor_cpuid cpuid = {};
	const struct kvm_cpuid_entry2 *e;
	u32 base, signature[3];

	for_each_possible_cpuid_base_hypervisor(base) {
		e = kvm_vm_cpuid_find(table, base, KVM_CPUID_INDEX_NOT_SIGNIFICANT);
		if (!e)
			continue;

		signature[0] = e->ebx;
		signature[1] = e->ecx;
		signature[2] = e->edx;

		if (!memcmp(signature, sig, sizeof(signature))) {
			cpuid.base = base;
			cpuid.limit = e->eax;
			break;
		}
	}

	return cpuid;
}

static bool kvm_vm_cpuid_owns(const struct kvm_vm_cpuid *table,
			      const struct kvm_cpuid_entry2 *entry,
			      const struct kvm_vm_cpuid_field *field)
{
	u32 function = field->function;

	if (field->source == KVM_VM_CPUID_XEN_VCPU_ID) {
		if (!table->xen.base)
			return false;

		function += table->xen.base - XEN_CPUID_FIRST_LEAF;
	}

	if (entry->function != function)
		return false;

	if (field->if_eax && !(entry->eax & field->if_eax))
		return false;

	return field->index == KVM_CPUID_EVERY_INDEX ||
	       entry == kvm_vm_cpuid_find(table, function, field->index);
}

static u32 *kvm_vm_cpuid_reg(struct kvm_cpuid_entry2 *entry,
			     const struct kvm_vm_cpuid_field *field)
{
	return (void *)entry + field->reg;
}

/* Sort the entries, clear what KVM owns, and note what reading needs to know. */
static void kvm_vm_cpuid_canonicalize(struct kvm_vm_cpuid *table)
{
	const struct kvm_vm_cpuid_field *field;
	const struct kvm_cpuid_entry2 *e;
	struct kvm_hypervisor_cpuid kvm;
	u16 *computed;
	u32 i, j;

	BUILD_BUG_ON(BIT(ARRAY_SIZE(kvm_vm_cpuid_fields)) > KVM_VM_CPUID_HAS_RUNTIME);

	sort(table->entries, table->nent, sizeof(table->entries[0]),
	     kvm_vm_cpuid_cmp, NULL);
	kvm_vm_cpuid_index(table);

	table->xen = kvm_vm_cpuid_find_hypervisor(table, XEN_SIGNATURE);

	for (i = 0; i < table->nent; i++) {
		computed = &table->info[i].computed;

		for (j = 0; j < ARRAY_SIZE(kvm_vm_cpuid_fields); j++) {
			field = &kvm_vm_cpuid_fields[j];

			if (!kvm_vm_cpuid_owns(table, &table->entries[i], field))
				continue;

			*kvm_vm_cpuid_reg(&table->entries[i], field) &= ~field->mask;

			if (field->source == KVM_VM_CPUID_RUNTIME)
				*computed |= KVM_VM_CPUID_HAS_RUNTIME;
			else
				*computed |= BIT(j);
		}
	}

	/* PV_UNHALT depends on whether the guest may halt the CPU. */
	kvm = kvm_vm_cpuid_find_hypervisor(table, KVM_SIGNATURE);
	if (kvm.base) {
		e = kvm_vm_cpuid_find(table, kvm.base | KVM_CPUID_FEATURES,
				      KVM_CPUID_INDEX_NOT_SIGNIFICANT);
		if (e)
			table->info[e - table->entries].computed |= KVM_VM_CPUID_HAS_RUNTIME;
		table->pv_features = e;
	}

	/* ECX[15:12] is the width, or if it is zero, ECX[7:0] + 1 threads need it. */
	e = kvm_vm_cpuid_find(table, 0x80000008, KVM_CPUID_INDEX_NOT_SIGNIFICANT);
	if (e)
		table->package_width = ((e->ecx >> 12) & 0xf) ?: fls(e->ecx & 0xff);
}

/* The number of bits in the x2APIC ID that number the CPUs of a node. */
static unsigned int kvm_vm_cpuid_node_width(const struct kvm_vm_cpuid *table,
					    const struct kvm_cpuid_entry2 *entry)
{
	/* ECX[10:8] + 1 nodes in a package. */
	unsigned int nodes_width = fls((entry->ecx >> 8) & 0x7);

	return table->package_width - min_t(unsigned int, nodes_width,
					    table->package_width);
}

static u32 kvm_vm_cpuid_field_value(const struct kvm_vm_cpuid *table,
				    const struct kvm_cpuid_entry2 *entry,
				    const struct kvm_vm_cpuid_field *field,
				    u32 x2apic_id, u32 xen_vcpu_id)
{
	unsigned int node_width, smt_width;

	switch (field->source) {
	case KVM_VM_CPUID_CORE_ID:
		/* EBX[15:8] + 1 threads in a core. */
		smt_width = fls((entry->ebx >> 8) & 0xff);
		node_width = kvm_vm_cpuid_node_width(table, entry);
		return (x2apic_id & (BIT(node_width) - 1)) >> smt_width;
	case KVM_VM_CPUID_NODE_ID:
		return x2apic_id >> kvm_vm_cpuid_node_width(table, entry);
	case KVM_VM_CPUID_XEN_VCPU_ID:
		return xen_vcpu_id;
	default:
		return x2apic_id;
	}
}

/*
 * Fill in the IDs of a vCPU in @entry, a copy of one of the table's entries, which
 * kvm_vm_cpuid_computed() says has these fields.
 */
void kvm_vm_cpuid_set_ids(const struct kvm_vm_cpuid *table,
			  struct kvm_cpuid_entry2 *entry, u16 fields,
			  u32 x2apic_id, u32 xen_vcpu_id)
{
	const struct kvm_vm_cpuid_field *field;
	u32 val;

	for (fields &= ~KVM_VM_CPUID_HAS_RUNTIME; fields; fields &= fields - 1) {
		field = &kvm_vm_cpuid_fields[__ffs(fields)];
		val = kvm_vm_cpuid_field_value(table, entry, field, x2apic_id,
					       xen_vcpu_id);
		*kvm_vm_cpuid_reg(entry, field) |= (val << __ffs(field->mask)) & field->mask;
	}
}

/* The form of cpuid(1), one line per entry. */
static int kvm_vm_cpuid_show(struct seq_file *m, void *v)
{
	struct kvm *kvm = m->private;
	const struct kvm_cpuid_entry2 *e;
	u32 i;

	mutex_lock(&kvm->lock);
	for (i = 0; i < kvm->arch.cpuid->nent; i++) {
		e = &kvm->arch.cpuid->entries[i];
		seq_printf(m, "   0x%08x 0x%02x: eax=0x%08x ebx=0x%08x ecx=0x%08x edx=0x%08x\n",
			   e->function, e->index, e->eax, e->ebx, e->ecx, e->edx);
	}
	mutex_unlock(&kvm->lock);

	return 0;
}

static int kvm_vm_cpuid_open(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r;

	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;

	r = single_open(file, kvm_vm_cpuid_show, kvm);
	if (r < 0)
		kvm_put_kvm(kvm);

	return r;
}

static int kvm_vm_cpuid_release(struct inode *inode, struct file *file)
{
	kvm_put_kvm(inode->i_private);

	return single_release(inode, file);
}

static const struct file_operations kvm_vm_cpuid_fops = {
	.owner		= THIS_MODULE,
	.open		= kvm_vm_cpuid_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= kvm_vm_cpuid_release,
};

static void kvm_vm_cpuid_create_debugfs(struct kvm *kvm)
{
	debugfs_create_file("cpuid", 0444, kvm->debugfs_dentry, kvm,
			    &kvm_vm_cpuid_fops);
}

/* Fail early for what would make the creation of each vCPU fail. */
static int kvm_vm_cpuid_check_xfeatures(const struct kvm_vm_cpuid *table)
{
	const struct kvm_cpuid_entry2 *e;
	u64 xfeatures;

	e = kvm_vm_cpuid_find(table, 0xd, 0);
	if (!e)
		return 0;

	xfeatures = e->eax | ((u64)e->edx << 32);
	xfeatures &= XFEATURE_MASK_USER_DYNAMIC;

	return (xfeatures & ~xstate_get_guest_group_perm()) ? -EPERM : 0;
}

int kvm_vm_ioctl_set_cpuid(struct kvm *kvm, struct kvm_cpuid2 *cpuid,
			   struct kvm_cpuid_entry2 __user *entries)
{
	u32 max_nent = kvm_max_vm_cpuid_entries(kvm);
	struct kvm_vm_cpuid *table;
	int r;

	if (!max_nent)
		return -ENOTTY;

	if (cpuid->nent > max_nent) {
		cpuid->nent = max_nent;
		return -E2BIG;
	}

	if (!cpuid->nent || cpuid->padding)
		return -EINVAL;

	table = kvzalloc(struct_size(table, entries, cpuid->nent),
			 GFP_KERNEL_ACCOUNT);
	if (!table)
		return -ENOMEM;

	table->nent = cpuid->nent;

	r = -EFAULT;
	if (copy_from_user(table->entries, entries,
			   array_size(table->nent, sizeof(*entries))))
		goto out;

	r = kvm_vm_cpuid_check(table->entries, table->nent, &cpuid->nent);
	if (r)
		goto out;

	kvm_vm_cpuid_canonicalize(table);

	r = kvm_vm_cpuid_check_xfeatures(table);
	if (r)
		goto out;

	kvm_vm_cpuid_init_cpu_caps(table);

	mutex_lock(&kvm->lock);
	if (kvm->created_vcpus) {
		r = -EBUSY;
	} else {
		if (!kvm->arch.cpuid)
			kvm_vm_cpuid_create_debugfs(kvm);
		swap(kvm->arch.cpuid, table);
	}
	mutex_unlock(&kvm->lock);

out:
	/* Either the new table or the one that it replaced. */
	kvfree(table);
	return r;
}

int kvm_vm_ioctl_get_cpuid(struct kvm *kvm, struct kvm_cpuid2 *cpuid,
			   struct kvm_cpuid_entry2 __user *entries)
{
	const struct kvm_vm_cpuid *table;
	u32 nent = cpuid->nent;
	int r = 0;

	if (!kvm_max_vm_cpuid_entries(kvm))
		return -ENOTTY;

	mutex_lock(&kvm->lock);
	table = kvm->arch.cpuid;
	if (!table) {
		r = -ENOENT;
		goto out;
	}

	cpuid->nent = table->nent;
	cpuid->padding = 0;

	if (nent < table->nent)
		r = -E2BIG;
	else if (copy_to_user(entries, table->entries,
			      array_size(table->nent, sizeof(*entries))))
		r = -EFAULT;
out:
	mutex_unlock(&kvm->lock);
	return r;
}
