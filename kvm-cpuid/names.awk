# SPDX-License-Identifier: GPL-2.0-only
#
# Turn the kernel's tools/arch/x86/kcpuid/cpuid.csv into rows of C. A row of
# that file is: leaf, subleaves (high:low), register, bits (high:low), name,
# description, which may have commas.

function text(s) {
	gsub(/^[ \t]+|[ \t\r]+$/, "", s)
	gsub(/["\\]/, "\\\\&", s)
	return "\"" s "\""
}

function span(s, parts) {
	gsub(/ /, "", s)
	if (split(s, parts, ":") == 1)
		parts[2] = parts[1]
}

/^# Generator: / {
	print "#define NAMES_VERSION " text(substr($0, 14))
}

!/^[ \t]*(#|$)/ {
	if (split($0, row, ",") < 6)
		fail = 1
	span(row[2], sub_)
	span(row[4], bits)
	reg = toupper(row[3])
	gsub(/ /, "", reg)
	gsub(/ /, "", row[1])
	description = $0
	for (i = 1; i < 6; i++)
		sub(/^[^,]*,/, "", description)
	if (row[1] !~ /^0x[0-9a-fA-F]+$/ || reg !~ /^E[A-D]X$/ || bits[1] bits[2] sub_[1] sub_[2] !~ /^[0-9]+$/)
		fail = 1
	if (fail) {
		print FILENAME ":" FNR ": not a row of cpuid.csv" >"/dev/stderr"
		exit
	}
	rows = rows sprintf("\t{ %s, %d, %d, %s, %d, %d, %s, %s },\n", row[1], sub_[2], sub_[1], reg,
			    bits[1], bits[2], text(row[5]), text(description))
}

END {
	if (!fail && rows == "") {
		print "no rows of cpuid.csv" >"/dev/stderr"
		fail = 1
	}
	if (fail)
		exit 1
	printf "static const struct field names[] = {\n%s};\n", rows
}
