# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# TAP for tests in sh: sourced by tests/kvm-cpuid, and by what runs in the emulated
# machine.

count=0
failures=0

# result NAME: ok if the command before it succeeded.
result()
{
	# shellcheck disable=SC2319
	result_status=$?
	count=$((count + 1))
	if [ $result_status -ne 0 ]; then
		failures=$((failures + 1))
		echo "not ok $count - $1"
		return 1
	fi
	echo "ok $count - $1"
}

# try NAME STATUS STDOUT STDERR COMMAND...
#
# Run COMMAND, and leave its output in the files out and err. Its exit status
# must be STATUS. Its stdout and its stderr must have a line that matches the
# pattern (grep's), or be empty if the pattern is empty. It may print one line
# on stderr.
try()
{
	try_name=$1 try_status=$2 try_out=$3 try_err=$4
	shift 4
	"$@" >out 2>err </dev/null
	try_got=$?
	try_why=
	[ $try_got -eq "$try_status" ] || try_why="exit status $try_got, not $try_status"
	matches "$try_out" out || try_why="$try_why; stdout is not: $try_out"
	matches "$try_err" err || try_why="$try_why; stderr is not: $try_err"
	[ "$(wc -l <err)" -le 1 ] || try_why="$try_why; more than one line on stderr"
	[ -z "$try_why" ]
	if ! result "$try_name"; then
		echo "# $*: $try_why"
		sed 's/^/# stdout: /' out | head -n 5
		sed 's/^/# stderr: /' err | head -n 5
	fi
}

matches()
{
	if [ -z "$1" ]; then
		[ ! -s "$2" ]
	else
		grep -q -e "$1" "$2"
	fi
}
