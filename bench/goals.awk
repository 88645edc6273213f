# SPDX-License-Identifier: GPL-2.0-only
# Print the project's goals for speed as TAP: each figure, and its limit.  Input:
# what,entries,stock,patched,table.

NR == 1 { next }
{ stock[$1, $2] = $3; own[$1, $2] = $4; table[$1, $2] = $5 }
$1 ~ /^CPUID / { leaves[$1, $2] }
$1 ~ /^bytes of / { sub(/.* /, "", $1); if ($1 + 0 > vcpus) vcpus = $1 + 0 }

function goal(name, figure, limit)
{
	tests++
	if (figure == "" || !(figure + 0 <= limit)) {
		failed++
		printf "not "
	}
	printf "ok %d %s: %.4f, limit %.4f\n", tests, name, figure, limit
}

function ratio(a, b) { return a == "" || !b ? "" : a / b }

# What CPUID of so many entries adds to a ready vCPU, to stock.  The rest depends on the features
# of the emulator's CPU: with QEMU 10.0's, it is 20,000 instructions more than with 7.2's.
function added(entries)
{
	return ratio(table["ready vCPU", entries] == "" ? "" : table["ready vCPU", entries] - own["ready vCPU", 0],
		     stock["ready vCPU", entries] - stock["ready vCPU", 0])
}

# The distance from equal, in both directions.
function distance(a, b) { return ratio(a, b) == "" ? "" : a > b ? a / b : b / a }

# The worst leaf; nothing if any leaf has no figure.
function farthest(a, b,		l, d, most)
{
	for (l in leaves) {
		d = distance(a[l], b[l])
		if (d == "")
			return ""
		if (d > most)
			most = d
	}
	return most
}

END {
	goal("without a table: CPUID exit, the worst leaf, to stock", farthest(own, stock), 1.0005)
	goal("without a table: KVM_RUN, to stock", distance(own["KVM_RUN", 32], stock["KVM_RUN", 32]), 1.0005)
	goal("without a table: KVM_CREATE_VM, to stock",
	     distance(own["KVM_CREATE_VM", 0], stock["KVM_CREATE_VM", 0]), 1.0005)
	goal("without a table: KVM_CREATE_VCPU, to stock",
	     ratio(own["KVM_CREATE_VCPU", 0], stock["KVM_CREATE_VCPU", 0]), 1)
	goal("without a table: KVM_SET_CPUID2 of 32 entries, to stock",
	     ratio(own["KVM_SET_CPUID2", 32], stock["KVM_SET_CPUID2", 32]), 0.20)
	goal("without a table: KVM_SET_CPUID2 of 256 entries, to stock",
	     ratio(own["KVM_SET_CPUID2", 256], stock["KVM_SET_CPUID2", 256]), 0.15)

	goal("with a table: what 32 entries add to a ready vCPU, to stock", added(32), 0.16)
	goal("with a table: what 256 entries add to a ready vCPU, to stock", added(256), 0.125)
	goal("with a table: first KVM_RUN, to stock",
	     distance(table["first KVM_RUN", 32], stock["first KVM_RUN", 32]), 1.005)
	goal("with a table: CPUID exit, the worst leaf, to stock with the same entries",
	     farthest(table, stock), 1.001)
	# Slabs come in whole pages.
	vm = "bytes of a VM of " vcpus
	goal("with a table: memory per vCPU, bytes more than on stock",
	     table[vm, 32] == "" ? "" : (table[vm, 32] - stock[vm, 32]) / vcpus, 200)
	goal("KVM_VM_SET_CPUID of 256 entries, to KVM_SET_CPUID2 on stock",
	     ratio(table["KVM_VM_SET_CPUID", 256], stock["KVM_SET_CPUID2", 256]), 1)
	print "1.." tests
	exit (failed > 0)
}
