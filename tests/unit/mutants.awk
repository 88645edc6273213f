# SPDX-License-Identifier: GPL-2.0-only
#
# Print the mutants of a C file, one per line: the line's number, a tab, the new line.
# Each differs from the file by one operator, constant, register, condition or statement.

function mutant(new) {
	if (new != $0)
		print FNR "\t" new
}

# Replace what is at @pos.
function replace(pos, length_, by) {
	mutant(substr($0, 1, pos - 1) by substr($0, pos + length_))
}

function operators(   pos, i, token, list, n, by) {
	for (pos = 1; pos <= length(code); pos++) {
		if (substr(code, pos, 1) == "\"") {
			pos += index(substr(code, pos + 1), "\"")
			continue
		}
		if (substr(code, pos, 2) == "->") {
			pos++
			continue
		}

		token = ""
		for (i = 3; i >= 1 && token == ""; i--) {
			if (substr(code, pos, i) in instead)
				token = substr(code, pos, i)
		}
		if (token == "")
			continue

		n = split(instead[token], list, ",")
		for (i = 1; i <= n; i++) {
			by = list[i] == "none" ? "" : list[i]
			replace(pos, length(token), by)
		}
		pos += length(token) - 1
	}
}

function constants(   rest, from, token, before) {
	rest = code
	from = 0
	while (match(rest, /[A-Za-z_]*[0-9][A-Za-z0-9_]*/)) {
		token = substr(rest, RSTART, RLENGTH)
		from += RSTART
		if (token ~ /^(0x[0-9a-f]+|[0-9]+)(ull)?$/) {
			replace(from, RLENGTH, "(" token " + 1)")
			replace(from, RLENGTH, "(" token " - 1)")
		}
		rest = substr(rest, RSTART + RLENGTH)
		from += RLENGTH - 1
	}
}

# The first @word of the line, as a whole word.
function replace_word(word, by,   at) {
	if (match(" " code " ", "[^A-Za-z_0-9]" word "[^A-Za-z_0-9]")) {
		at = RSTART
		replace(at, length(word), by)
	}
}

function words(   n, i, pair) {
	n = split("true false continue break eax ebx ecx edx", pair, " ")
	for (i = 1; i <= n; i += 2) {
		replace_word(pair[i], pair[i + 1])
		replace_word(pair[i + 1], pair[i])
	}

	if (match(code, /-E[A-Z0-9]+/))
		replace(RSTART, RLENGTH, "0")
}

BEGIN {
	instead["=="] = "!="; instead["!="] = "=="
	instead["<"] = "<=,>=,=="; instead[">"] = ">=,<=,=="
	instead["<="] = "<,>"; instead[">="] = ">,<"
	instead["<<"] = ">>"; instead[">>"] = "<<"
	instead["&&"] = "||"; instead["||"] = "&&"
	instead["&="] = "|=,="; instead["|="] = "&=,="
	instead[" & "] = " | "; instead[" | "] = " & "
	instead["~"] = "none"; instead["!"] = "none"
	instead["++"] = "--"; instead["--"] = "++"
	instead[" + "] = " - "; instead[" - "] = " + "; instead["+="] = "-="
	instead["?:"] = "|"
}

# Skip comments and preprocessor lines.
in_comment || /^[ \t]*\/\*/ { in_comment = !/\*\//; next }
/^(#|\/\/)/ { next }

{
	code = $0
	sub(/\/\*.*\*\/[ \t]*$/, "", code)
	operators()
	constants()
	words()
}

# Negate a condition that has no operator to change.
/^\t+(} else )?if \(.*\)( {)?$/ && !/if \(!|[=!]=|&&|\|\|| [&|<>] / {
	tail = /{$/ ? 2 : 0
	match($0, /if \(.*/)
	mutant(substr($0, 1, RSTART + 3) "!(" substr($0, RSTART + 4, RLENGTH - 5 - tail) "))" \
	       (tail ? " {" : ""))
}

# Leave out a statement: a jump, a call, an assignment.
/^\t+(goto |continue;|break;|\treturn|\(void\)|[a-z0-9_]+\(|[*]?[a-z_>.\[\]0-9-]+ [&|]?= )/ {
	match($0, /^\t+/)
	mutant(substr($0, 1, RLENGTH) "for (; 0;) " substr($0, RLENGTH + 1))
}
