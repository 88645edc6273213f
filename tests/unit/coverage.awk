# What gcov -b says of cpuid_vm.c and cpuid_vm.h: two sums, and each gap.

/^ *[0-9]+\*?: *[0-9]+:/ { lines++; reached++ }
/^ *[#=]+: *[0-9]+:/ { lines++; gap = 1 }
/^ *[^ ]+: *[0-9]+:/ {
	line = $0
	sub(/^ *[^ ]+: */, "", line)
	if (gap)
		gaps = gaps "not reached:   " line "\n"
	gap = 0
}

/^branch/ {
	branches++
	if (/never executed/ || /taken 0%/)
		gaps = gaps "branch " $2 " not taken: " line "\n"
	else
		taken++
}

END {
	printf "lines: %d of %d\nbranches: %d of %d\n%s", reached, lines, taken, branches, gaps
	exit gaps != "" || !lines
}
