#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Test what needs KVM_VM_SET_CPUID. tests/kvm-cpuid runs this in the emulated machine,
# with busybox. kvm-cpuid and strace are in PATH; beside this script are tap.sh,
# demo.sh, minimal, the examples and docs/kvm-cpuid.md.

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC1091
. "$here/tap.sh"
dir=$(mktemp -d) && cd "$dir" || exit 1
cp "$here"/*.txt "$here"/*.log .
ids=0,1,4,300

entry() # LEAF SUBLEAF [EAX]
{
	printf '   0x%08x 0x%02x: eax=0x%08x ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n' \
		"$1" "$2" "${3:-0}"
}

entries() # COUNT: of leaf 4, which is indexed
{
	i=0
	while [ $i -lt "$1" ]; do
		entry 4 $i
		i=$((i + 1))
	done
}

value() # FILE CPU LEAF SUBLEAF REG
{
	sed -n "/^CPU $2:/,/^CPU [^$2]/s/^   $3 $4: .*$5=0x\([0-9a-f]*\).*/\1/p" "$1"
}

# --- the kernel has it

try 'probe' 0 '^KVM_CAP_VM_CPUID (252): tables of up to 256 entries$' '' kvm-cpuid probe
try 'supported' 0 '^   0x00000000 0x00: eax=' '' kvm-cpuid supported
cp out supported.txt
try 'check accepts what is supported' 0 '^supported.txt: accepted, [0-9]* entries$' '' \
	kvm-cpuid check supported.txt
try 'check accepts epyc.txt' 0 '^epyc.txt: accepted, 38 entries$' '' kvm-cpuid check epyc.txt
try 'check accepts xeon.txt' 0 '^xeon.txt: accepted, 31 entries$' '' kvm-cpuid check xeon.txt
try 'check reads stdin' 0 '^<stdin>: accepted, 38 entries$' '' \
	sh -c 'kvm-cpuid check - <epyc.txt'

# --- the text form

sed 's/$/\r/' epyc.txt >crlf.txt
try 'CRLF' 0 'accepted, 38 entries' '' kvm-cpuid check crlf.txt
{
	echo '# comment'
	echo
	sed '1d; s/=0x0000000/=/; y/abcdef/ABCDEF/' epyc.txt |
		sed 's/EAx/eax/; s/EBx/ebx/; s/ECx/ecx/; s/EDx/edx/'
	echo '  # end'
} >free.txt
try 'no header, comments, blank lines, upper case, short numbers' 0 'accepted, 38 entries' '' \
	kvm-cpuid check free.txt
echo '0x0: eax=1 ebx=2 ecx=3 edx=4' >old.txt
try 'no subleaf' 0 'accepted, 1 entries' '' kvm-cpuid check old.txt
{ cat epyc.txt; sed 's/CPU 0/CPU 1/' epyc.txt; cat xeon.txt; } >many.txt
try 'several CPUs: the first is used, and stderr says so' 0 'accepted, 38 entries' \
	'^kvm-cpuid: many.txt:41: more CPUs .* the first, CPU 0, is used$' kvm-cpuid check many.txt

# --- refused: which entry, and why

{ cat epyc.txt; entry 0xb 1; } >bad.txt
try 'refused: a subleaf twice' 1 '' \
	'^kvm-cpuid: bad.txt:40: refused: entry 38, leaf 0xb subleaf 0x1: already on line 7$' \
	kvm-cpuid check bad.txt
{ cat epyc.txt; entry 0x80000008 0 0x3030; } >bad.txt
try 'refused: a leaf twice' 1 '' \
	'^kvm-cpuid: bad.txt:40: refused: entry 38, leaf 0x80000008: already on line 27$' \
	kvm-cpuid check bad.txt
for width in 1 47 49 52 56 58 64 255; do
	{ echo; entry 0 0; entry 0x80000008 0 $((width << 8)); } >bad.txt
	try "refused: linear-address width $width" 1 '' \
		"^kvm-cpuid: bad.txt:3: refused: entry 1, leaf 0x80000008: linear-address width $width, not 0, 48 or 57$" \
		kvm-cpuid check bad.txt
done
for width in 0 48 57; do
	entry 0x80000008 0 $((width << 8)) >good.txt
	try "accepted: linear-address width $width" 0 'accepted, 1 entries' '' kvm-cpuid check good.txt
done
{ entry 0x80000008 0 0x3400; entry 0 0; entry 0 0; } >bad.txt
try 'refused: of two bad entries, the first is named' 1 '' \
	'^kvm-cpuid: bad.txt:1: refused: entry 0, ' kvm-cpuid check bad.txt
entries 256 >good.txt
try 'accepted: 256 entries' 0 'accepted, 256 entries' '' kvm-cpuid check good.txt
{ echo 'CPU 0:'; entries 257; } >bad.txt
try 'refused: 257 entries' 1 '' \
	'^kvm-cpuid: bad.txt:258: refused: entry 256 is one too many: the table has 257, KVM takes 256$' \
	kvm-cpuid check bad.txt
entry 0xd 0 0x60007 >bad.txt
try 'refused: AMX where the process has no permission' 1 '' \
	'^kvm-cpuid: bad.txt: refused: leaf 0xd has a feature (AMX) ' kvm-cpuid check bad.txt
{ entry 0 0; entry 0 0; } >bad.txt
try 'show refuses what check refuses' 1 '' \
	'^kvm-cpuid: bad.txt:2: refused: entry 1, leaf 0x0: already on line 1$' kvm-cpuid show bad.txt
try 'busy refuses what check refuses' 1 '' \
	'^kvm-cpuid: bad.txt:2: refused: entry 1, leaf 0x0: already on line 1$' kvm-cpuid busy bad.txt

# --- canonical form

for table in epyc xeon supported; do
	try "check --print: $table" 0 '^CPU 0:$' '' kvm-cpuid check $table.txt --print
	cp out $table.canonical
	sed 1d out | cut -c1-18 | sort -c
	result "check --print: $table is sorted"
	try "check -p: the canonical form of $table accepted" 0 '^CPU 0:$' '' \
		kvm-cpuid check -p $table.canonical
	cmp -s out $table.canonical
	result "check -p: and it is a fixed point"
	{ head -n 1 $table.txt; sed 1d $table.txt | sort -r; } >reversed.txt
	kvm-cpuid check -p reversed.txt >out 2>&1
	cmp -s out $table.canonical
	result "check -p: the same for $table in reverse order"
done
for field in 0x0000000b:0x01:edx 0x8000001e:0x00:eax 0x80000026:0x03:edx \
	0x0000000d:0x00:ebx 0x0000000d:0x01:ebx; do
	leaf=${field%%:*} reg=${field##*:} sub=${field#*:} sub=${sub%:*}
	[ "$(value epyc.canonical 0 "$leaf" "$sub" "$reg")" = 00000000 ] &&
		[ "$(value epyc.txt 0 "$leaf" "$sub" "$reg")" != 00000000 ]
	result "check -p: $leaf $sub $reg is zero, and is not in epyc.txt"
done
[ "$(value epyc.canonical 0 0x00000001 0x00 ebx)" = 00800800 ]
result 'check -p: APIC ID in 0x1 EBX is zero, the rest is as in epyc.txt'
[ "$(value epyc.canonical 0 0x40000004 0x00 ebx)" = "$(value epyc.txt 0 0x40000004 0x00 ebx)" ]
result "check -p: Xen's vCPU ID is as in epyc.txt"

# --- what vCPUs read

for table in epyc xeon supported; do
	try "show $table: guest and KVM_GET_CPUID2 agree on vCPUs $ids" 0 '^CPU 300:$' '' \
		kvm-cpuid show $table.txt --vcpu-ids $ids
	cp out $table.shown
	[ "$(grep CPU out | tr '\n' ' ')" = 'CPU 0: CPU 1: CPU 4: CPU 300: ' ]
	result "show $table: a block per vCPU, in the order asked for"
	[ "$(grep -c eax= out)" -eq $((4 * $(grep -c eax= $table.txt))) ]
	result "show $table: every entry for every vCPU"
done
expected="0:00 1:01 4:04 300:2c"
for e in $expected; do
	cpu=${e%:*} id=$(printf '%08x' "${e%:*}")
	[ "$(value epyc.shown "$cpu" 0x00000001 0x00 ebx)" = "${e#*:}800800" ] &&
		[ "$(value xeon.shown "$cpu" 0x00000001 0x00 ebx)" = "${e#*:}200800" ]
	result "vCPU $cpu: initial APIC ID"
	for t in epyc:0x0000000b:3 epyc:0x80000026:5 xeon:0x0000000b:3 xeon:0x0000001f:4; do
		leaf=${t#*:} n=${t##*:} leaf=${leaf%:*}
		sed -n "/^CPU $cpu:/,/^CPU [^$cpu]/p" "${t%%:*}.shown" |
			grep -c "^   $leaf .* edx=0x$id$" | grep -qx "$n"
		result "vCPU $cpu: x2APIC ID in all $n subleaves of $leaf, ${t%%:*}"
	done
	[ "$(value epyc.shown "$cpu" 0x8000001e 0x00 eax)" = "$id" ]
	result "vCPU $cpu: extended APIC ID"
done
for e in 0:00000100:00000300:00000000 1:00000100:00000300:00000001 4:00000102:00000300:00000002 \
	300:00000106:00000309:00000003; do
	cpu=${e%%:*} e=${e#*:}
	[ "$(value epyc.shown "$cpu" 0x8000001e 0x00 ebx)" = "${e%%:*}" ]
	result "vCPU $cpu: core ID"
	e=${e#*:}
	[ "$(value epyc.shown "$cpu" 0x8000001e 0x00 ecx)" = "${e%%:*}" ]
	result "vCPU $cpu: node ID"
	[ "$(value epyc.shown "$cpu" 0x40000004 0x00 ebx)" = "${e#*:}" ]
	result "vCPU $cpu: Xen vCPU ID"
done
# lint computes IDs itself.
for table in epyc xeon supported; do
	try "lint: what vCPUs read under $table is what it computes" 0 \
		': 4 vCPUs, .*: one table does, and guests read the same$' '' kvm-cpuid lint $table.shown
	try "diff --vcpus: vCPUs under $table" 0 '' '' \
		kvm-cpuid diff --vcpus $table.shown@0 $table.shown@300
done
try 'show what show printed' 0 '^CPU 4:$' 'the first, CPU 0, is used$' \
	kvm-cpuid show epyc.shown -i $ids
cmp -s out epyc.shown
result 'show what show printed: the same again'
try 'show: vCPU 0 unless told' 0 '^CPU 0:$' '' kvm-cpuid show epyc.txt
try 'show: the vCPU that is asked for' 0 '^CPU 7:$' '' kvm-cpuid show -i 7 epyc.txt
try 'show --side-by-side' 0 \
	'^\* 0x8000001e 0x00 ecx   00000300 00000300 00000300 00000300 00000309  7:0 node ID$' '' \
	kvm-cpuid show epyc.txt --side-by-side --vcpu-ids $ids
grep -q '^\* 13 registers differ between vCPUs; 4 more are not as in the table.$' out &&
	grep -q '^  The other 135 registers of 38 entries are as in the table on every vCPU.$' out &&
	[ "$(grep -c '^\* 0x' out)" -eq 13 ] && [ "$(grep -c '^  0x' out)" -eq 4 ]
result 'show --side-by-side: rows and counts'
try 'show -s: one vCPU has nothing to differ from' 0 '^\* 0 registers differ between vCPUs; ' '' \
	kvm-cpuid show -s epyc.txt
{
	echo '0x40000000 0: eax=0x40000005 ebx=0x7263694d ecx=0x666f736f edx=0x76482074'
	echo '0x40000001 0: eax=0x31237648 ebx=0 ecx=0 edx=0'
	echo '0x40000003 0: eax=0x8000 ebx=0 ecx=0 edx=0'
	echo '0x80000007 0: eax=0 ebx=0 ecx=0 edx=0x100'
} >hyperv.txt
try 'show: an invariant TSC that KVM hides from the guest' 0 \
	'^   0x80000007 0x00: .* edx=0x00000000$' '' kvm-cpuid show hyperv.txt
try 'show: the highest id' 0 '^CPU 4095:$' '' kvm-cpuid show epyc.txt -i 4095
try 'show: an id that KVM does not take' 2 '' \
	'^kvm-cpuid: vCPU id 4096: .* takes ids up to 4095$' kvm-cpuid show epyc.txt -i 0,4096

# --- docs/adopting/minimal.c

try 'minimal: a table for the VM' 0 "^vCPU 6: CPUID says x2APIC ID 6, by the VM's table$" '' "$here/minimal"
try 'minimal: a refused table, then the same struct for each vCPU' 0 \
	'^vCPU 6: CPUID says x2APIC ID 6, by a table of its own$' \
	'^minimal: KVM refuses CPUID leaf 0x0 subleaf 0x0$' "$here/minimal" refuse

# --- what KVM can give here, and a log of strace

sed 's/^\(   0x00000007 .*ebx=0x\)......../\100000020/; s/^\(   0x80000008 .*eax=0x\)......../\100003020/' \
	supported.txt >other.txt
try 'common of what is supported, and of a host that has other features' 0 '^CPU 0:$' '' \
	kvm-cpuid common supported.txt other.txt
cp out common.txt
try 'common: KVM accepts it' 0 '^common.txt: accepted, ' '' kvm-cpuid check common.txt
try 'fits: common, here' 0 '' '' kvm-cpuid fits common.txt
try 'fits: what is supported, here' 0 '' '' kvm-cpuid fits supported.txt
sed 's/^\(   0x80000008 .*eax=0x\)......../\100003034/' supported.txt >more.txt
try 'fits: more, not here' 1 '^0x80000008.0 eax\[7:0\] phys_addr_bits: 0x34 0x' '' kvm-cpuid fits more.txt
try 'strace of minimal' 0 'by a table of its own$' 'refuses' \
	strace -f -v -e trace=ioctl -o minimal.log "$here/minimal" refuse
try 'lint: what minimal.c patches by hand' 0 \
	'^minimal.log: VM 1: 3 vCPUs, [0-9]* entries: one table does, and guests read the same$' '' \
	kvm-cpuid lint minimal.log
try 'diff: two of its vCPUs' 1 '^0xb.1 edx x2apic_id: 0 6$' '' \
	kvm-cpuid diff minimal.log@0 minimal.log@6
for command in 'supported' 'check -p epyc.txt' 'show epyc.txt'; do
	# shellcheck disable=SC2086
	try "--json: $command" 0 '^{"cpu":0,"entries":\[{"leaf":"0x0","subleaf":"0x0","eax":[0-9]*,.*}\]}$' '' \
		kvm-cpuid $command --json
done

# --- docs/kvm-cpuid.md: every command prints what the document says

mkdir docs
awk '/^    \$ / { n++; print substr($0, 7) >("docs/" n ".cmd"); printf "" >("docs/" n ".want"); on = 1; next }
	on && /^    / { print substr($0, 5) >("docs/" n ".want"); next }
	{ on = 0 }' "$here/kvm-cpuid.md"
n=1
while [ -f docs/$n.cmd ]; do
	sh docs/$n.cmd >docs/$n.got 2>&1
	cmp -s docs/$n.want docs/$n.got
	result "docs: $(cat docs/$n.cmd)" || diff docs/$n.want docs/$n.got | sed 's/^/# /'
	n=$((n + 1))
done
[ $n -gt 10 ]
result 'docs: there are commands'

# --- the rest

try 'busy' 0 '^KVM_SET_CPUID2 on a vCPU, .* EBUSY$' '' kvm-cpuid busy epyc.txt
grep -q '^KVM_SET_CPUID on a vCPU: .* EBUSY$' out && grep -q '^KVM_VM_SET_CPUID, .* EBUSY$' out &&
	[ "$(grep -c EBUSY out)" -eq 3 ]
result 'busy: all three calls'
try 'an output that cannot be written' 1 '' '^kvm-cpuid: standard output: No space left on device$' \
	sh -c 'kvm-cpuid show epyc.txt >/dev/full'
mkdir -p no-kvm not-kvm/dev
true >not-kvm/dev/kvm
for root in no-kvm not-kvm; do
	cp "$(command -v kvm-cpuid)" epyc.txt $root
done
for command in probe supported 'check epyc.txt' 'show epyc.txt' 'busy epyc.txt'; do
	# shellcheck disable=SC2086
	try "no /dev/kvm: ${command% *}" 3 '' '^kvm-cpuid: /dev/kvm: No such file.*: load kvm_amd' \
		chroot no-kvm /kvm-cpuid $command
done
try '/dev/kvm is not KVM' 3 '' '^kvm-cpuid: /dev/kvm: API version' chroot not-kvm /kvm-cpuid probe
try 'the demo' 0 '^KVM_VM_SET_CPUID: a VM has one CPUID table' '' sh "$here/demo.sh"
[ "$(wc -l <out)" -le 45 ] && [ "$(wc -L <out)" -le 100 ]
result 'the demo fits on a page'

# For the host, to decode.
for table in epyc xeon supported; do
	sed "s/^/# $table.shown: /" $table.shown
done
echo "1..${count:?}"
[ "${failures:?}" -eq 0 ]
