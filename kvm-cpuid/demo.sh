#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# KVM_VM_SET_CPUID in one page: demo.sh [TABLE]
#
# Run kvm-cpuid from PATH on a kernel that has the ioctl. TABLE is one of the
# examples, by default the one beside this script from this CPU's vendor.
# It also checks what it prints: exit status 1 says that something is not as
# the page says.

name=epyc.txt
! grep -q GenuineIntel /proc/cpuinfo || name=xeon.txt
table=${1:-$(dirname "$0")/$name}
name=$(basename "$table")
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cp "$table" "$dir/$name" && cd "$dir" || exit 1
failed=0

# Facts about the examples: the APIC ID of the CPU that the table was read on,
# the numbers of entries, of registers with the x2APIC ID, and of others that
# differ between vCPUs; EBX of leaf 1 below the ID, the index of leaf 0x80000008
# and its EAX, and the index of subleaf 1 of 0xb.
case $name in
epyc.txt)
	id=16 entries=38 x2apic=9 others=4 leaf1=800800 size=25 good=0x00003030 sub1=5 ;;
xeon.txt)
	id=07 entries=31 x2apic=7 others=1 leaf1=200800 size=30 good=0x00003930 sub1=12 ;;
*)
	echo "demo.sh: $table: not one of the examples, epyc.txt and xeon.txt" >&2
	exit 2 ;;
esac

# Print a command as typed at a prompt, run it, keep and print its output.
run()
{
	echo
	echo "\$ $1"
	status=0
	sh -c "$1" >out 2>&1 || status=$?
	cat out
}

# expect STATUS [COUNT PATTERN]...: the last command's exit status, and how many
# lines of its output match.
expect()
{
	if [ "$status" -ne "$1" ]; then
		echo "demo.sh: NOT AS TOLD: exit status $status, not $1"
		failed=1
	fi
	shift
	while [ $# -gt 0 ]; do
		if [ "$(grep -c -e "$2" out)" -ne "$1" ]; then
			echo "demo.sh: NOT AS TOLD: not $1 lines with \"$2\""
			failed=1
		fi
		shift 2
	done
}

echo "KVM_VM_SET_CPUID: a VM has one CPUID table, and every vCPU gets it."

run 'kvm-cpuid probe'
expect 0 1 '^KVM_CAP_VM_CPUID (252): tables of up to 256 entries$'
[ $failed -eq 0 ] || exit 1

echo
echo "A table that was read on a CPU with APIC ID 0x$id is set, then four vCPUs are created. No"
echo "entry is patched and no vCPU's KVM_SET_CPUID2 called. CPUID executed in the guest returns:"
run "kvm-cpuid show $name --vcpu-ids 0,1,4,300 --side-by-side"
expect 0 \
	$((x2apic + others)) '^\* 0x' \
	$x2apic "^\* .* 000000$id 00000000 00000001 00000004 0000012c  x2APIC ID\$" \
	1 "^\* 0x00000001 .* 00$leaf1 01$leaf1 04$leaf1 2c$leaf1  31:24 APIC ID\$" \
	1 "^\* $((x2apic + others)) registers differ between vCPUs" \
	1 "registers of $entries entries are as in the table on every vCPU"
[ "$name" != epyc.txt ] || expect 0 \
	1 '^\* 0x8000001e .* 00000100 00000100 00000102 00000106  7:0 core ID$' \
	1 '^\* 0x8000001e .* 00000300 00000300 00000300 00000309  7:0 node ID$' \
	1 '^\* 0x40000004 .* 00000000 00000001 00000002 00000003  Xen vCPU ID$'

echo
echo "From then on it is fixed, for the VM and for each vCPU:"
run "kvm-cpuid busy $name"
expect 0 1 '^KVM_SET_CPUID2 .* EBUSY$' 1 '^KVM_VM_SET_CPUID, .* EBUSY$'

echo
echo "A bad table is refused as a whole, and the kernel names the entry:"
run "sed 's/eax=$good/eax=0x00003430/' $name >bad.txt; kvm-cpuid check bad.txt"
expect 1 1 "bad.txt:$((size + 2)): refused: entry $size, leaf 0x80000008: linear-address width 52, "
run "sed 's/0x0000000b 0x02/0x0000000b 0x01/' $name >bad.txt; kvm-cpuid check bad.txt"
expect 1 1 "bad.txt:$((sub1 + 3)): refused: entry $((sub1 + 1)), leaf 0xb subleaf 0x1: already on line $((sub1 + 2))\$"

if [ $failed -ne 0 ]; then
	echo
	echo "demo.sh: FAILED"
fi
exit $failed
