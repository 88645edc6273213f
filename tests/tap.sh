# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=bash
#
# Cases of a test script, as TAP; sourced after scripts/lib.sh.

count=0 failed=0

# check NAME COMMAND... - a case; what COMMAND prints is shown if it fails
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

# end_of_cases - the plan; false if a case failed, or there was none
end_of_cases() {
	echo "1..$count"
	[[ $failed -eq 0 && $count -gt 0 ]]
}
