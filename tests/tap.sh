# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=bash
#
# Print a test script's cases as TAP.  Sourced after scripts/lib.sh.

count=0 failed=0

# check NAME COMMAND... - a case, which passes if COMMAND succeeds; show its output if not
check() {
	local out
	count=$((count + 1))
	if out=$("${@:2}" 2>&1); then
		echo "ok $count $1"
	else
		failed=$((failed + 1))
		echo "not ok $count $1"
		[[ -z $out ]] || printf '%s\n' "$out" | sed 's/^/#   /'
	fi
}

# ends EXIT PATTERN COMMAND... - does COMMAND end with EXIT, and print a line that matches PATTERN
# (an extended one; with a ! before it, no line may match)?
ends() {
	local want=$1 pattern=$2 rc=0 found=0 out
	out=$("${@:3}" 2>&1 </dev/null) || rc=$?
	! grep -qE -e "${pattern#!}" <<<"$out" || found=1
	[[ $pattern != '!'* ]] || found=$((1 - found))
	[[ $rc -ne $want || $found -eq 0 ]] || return 0
	printf 'exit %s, expected %s with a line: %s; it printed:\n%s\n' "$rc" "$want" "$pattern" "$out"
	return 1
}

# end_of_cases - print the plan; fail if a case failed, or there was none
end_of_cases() {
	echo "1..$count"
	[[ $failed -eq 0 && $count -gt 0 ]]
}
