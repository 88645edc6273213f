# SPDX-License-Identifier: GPL-2.0-only
#
# Print what gcov -b says about cpuid_vm.c: two sums, and each gap.  If several programs
# have the source, a line counts as reached if any of them reaches it.

function source_line() { return source ":" number }

/^ *-: *0:Source:/ {
	source = $0
	sub(/.*\//, "", source)
}

/^ *[^ ]+: *[1-9][0-9]*:/ {
	text = number = $0
	sub(/^ *[^ ]+: */, "", text)
	sub(/^ *[^ ]+: */, "", number)
	sub(/:.*/, "", number)
	number += 0
	if (/^ *-:/)
		next
	if (!(source_line() in line))
		lines[++count] = source_line()
	line[source_line()] = text
	if (/^ *[0-9]+\*?:/)
		reached[source_line()] = 1
}

/^branch/ {
	branch[source_line(), $2] = source_line()
	if (!/never executed/ && !/taken 0%/)
		taken[source_line(), $2] = 1
}

END {
	for (i = 1; i <= count; i++) {
		good_lines += lines[i] in reached
		if (!(lines[i] in reached))
			gaps = gaps "not reached:        " line[lines[i]] "\n"
	}
	for (b in branch) {
		all_branches++
		good_branches += b in taken
		if (!(b in taken) && branch[b] in reached)
			gaps = gaps "branch not taken:   " line[branch[b]] "\n"
	}
	printf "lines: %d of %d\nbranches: %d of %d\n%s", good_lines, count, good_branches,
		all_branches, gaps
	exit gaps != "" || !count
}
