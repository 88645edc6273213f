# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=bash disable=SC2034,SC2154 # what is set here is used where this is sourced
#
# Read tests/suites.  Sourced after scripts/lib.sh, by tests/run and tests/suite.

newest=$("$top/scripts/available" --newest)

# read_suite NAME - set series, when, limit, needs and command to what its line says
read_suite() {
	local name
	while read -r name series when limit needs command; do
		[[ $name != "$1" ]] && continue
		needs=${needs//,/ } needs=${needs#-}
		return
	done <"$top/tests/suites"
	die "no suite '$1'; tests/run --list shows them"
}

# suite_id NAME SERIES - the suite's name in logs
suite_id() { [[ $2 == "$newest" ]] && echo "$1" || echo "$1-$2"; }

# series_of BUILD SERIES - the series of the BUILD that a suite about SERIES needs
series_of() {
	awk -v name="$1" -v k="$2" -v newest="$newest" '$1 == name { print $2 == "each" ? k : newest; exit }' "$top/tests/suites"
}
