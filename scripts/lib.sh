# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used where this is sourced
#
# Shared by the scripts: paths, the form of an error line, the cache, and how to run
# what takes long.  Sourced, never run:  . "$(dirname "$0")/../scripts/lib.sh"
#
# Environment: K         kernel series (default: the newest that can be had), or qemu
#                        where a script says so
#              VARIANT   patched (default), or stock for the untouched source
#              CONFIG    of the kernel: vm/kernel.config alone (default), or with
#                        vm/CONFIG.config on top: debug, kcsan, gdb, vmm
#              KERNEL_SRC  a kernel tree to use instead of the distribution's
#              QEMU_SRC    the same for QEMU

set -euo pipefail

# The user's git settings, name and locale must not change what is built or written.
export LC_ALL=C GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
       GIT_AUTHOR_NAME=kvm-vm-cpuid GIT_AUTHOR_EMAIL=kvm-vm-cpuid@localhost \
       GIT_COMMITTER_NAME=kvm-vm-cpuid GIT_COMMITTER_EMAIL=kvm-vm-cpuid@localhost

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
me=$(realpath -m --relative-to="$top" "$0")
export HOME=${HOME-~}
cache=$HOME/.cache
[[ ${XDG_CACHE_HOME:-} != /* ]] || cache=$XDG_CACHE_HOME
cache=$cache/kvm-vm-cpuid
log_dir=$top/build/log
export CCACHE_DIR=$cache/ccache CCACHE_MAXSIZE=3G

# Leave nothing half-done, whatever ends this script.  The child may write there until it ends;
# timeout, which it runs under, makes sure that it does.
child='' scratch='' store_fd='' leftovers=()
on_exit() {
	trap '' INT TERM
	[[ -z $child ]] || ! kill "$child" 2>/dev/null || wait "$child" || :
	rm -rf "$scratch" "${leftovers[@]}"
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --help prints the comment that a script begins with.
case ${1:-} in
-h | --help)
	sed -n '4,/^$/{/^# shellcheck/d; s/^# \{0,1\}//p}' "$0"
	exit ;;
esac

say() { printf '%s: %s\n' "$me" "$*" >&2; }
die() { say "$@"; exit 1; }

[[ $top$cache != *[[:space:]:]* ]] ||
	die "'$top' or '$cache' has a space or a colon, below which Linux does not build; use another folder"

# supported_series - what K can be, the newest first
supported_series() { (cd "$top/linux/patches" && printf '%s\n' */ | tr -d / | sort -rV); }

# select_kernel - check what the user chose, default what they did not, and set
#   patches  the folder with BASE and the patches of series K
#   build    the folder of what is built
#   tree     the source tree in it
#   src      the tree to use instead of the distribution's source, or empty
select_kernel() {
	K=${K:-$("$top/scripts/available" --newest)} CONFIG=${CONFIG:-}
	patches=$top/linux/patches/$K
	[[ $K =~ ^[0-9]+\.[0-9]+$ && -f $patches/BASE ]] ||
		die "no patches for kernel series '$K'; K can be:" \
		    "$(supported_series | tr '\n' ' ')"
	[[ $CONFIG =~ ^(debug|kcsan|gdb|vmm)?$ ]] || die "unknown CONFIG '$CONFIG'; it can be: debug kcsan gdb vmm"
	export CONFIG
	select_variant linux 'kernel tree' Kbuild KERNEL_SRC
}

# select_source - the same, but K may also be qemu
select_source() {
	[[ ${K:-} == qemu ]] || { select_kernel; return; }
	patches=$top/vmm/qemu/patches
	select_variant qemu 'QEMU tree' qemu-options.hx QEMU_SRC
}

# select_variant NAME WHAT FILE VARIABLE - what both have in common: VARIABLE may name a tree,
# which is WHAT if it has FILE
select_variant() {
	VARIANT=${VARIANT:-patched}
	[[ $VARIANT == patched || $VARIANT == stock ]] ||
		die "unknown VARIANT '$VARIANT'; it can be: patched stock"
	export K VARIANT
	build=$top/build/$K/$VARIANT
	tree=$build/$1
	src=${!4:-}
	[[ -z $src || -f $src/$3 ]] || die "$4=$src is not a $2"
}

# patch_files - the patches that the tree has, in their order
patch_files() { [[ $VARIANT == stock ]] || find "$patches" -name '*.patch' | sort; }

# make_dir DIR - with its parents, in build/ or in the cache
make_dir() {
	local why
	why=$(mkdir -p "$1" 2>&1) || :
	[[ -d $1 && -w $1 ]] ||
		die "cannot write to $1${why:+ (${why##*: })}; use a checkout and a cache (XDG_CACHE_HOME) that you may write to"
}

# make_work - set work to a new folder, which goes when this script ends
make_work() {
	work=$(mktemp -d)
	leftovers+=("$work")
}

# lock NAME - one process at a time from here on, until this script ends or closes $lock_fd
lock() {
	make_dir "${1%/*}"
	exec {lock_fd}>"$1.lock"
	flock -n "$lock_fd" && return
	say "waiting for another run that holds $1.lock"
	flock -w 3600 "$lock_fd" || die "still locked after an hour; end the other run, then try again"
}

# in_cache KIND/NAME - set store to that path in the cache; fail if it is not there.  This script
# must make it then, in the folder $scratch, and call keep; others that want it wait.
in_cache() {
	store=$cache/$1
	[[ -e $store ]] || lock "$store"
	if [[ -e $store ]]; then
		touch "$store"
	else
		store_fd=$lock_fd scratch=$store.new
		rm -rf "$scratch"
		mkdir "$scratch"
		return 1
	fi
}

# keep PATH LIMIT - move PATH, below $scratch, to $store, and remove all of its kind but the
# LIMIT that were used last, and the locks that failures have left
keep() {
	touch "$1"
	mv -T "$1" "$store"
	rm -rf "$scratch" "$store.lock"
	[[ -z $store_fd ]] || exec {store_fd}>&-
	scratch='' store_fd=''
	find "${store%/*}" -mindepth 1 -maxdepth 1 \( -name '*.lock' -mtime +0 -delete -o ! -name '*.lock' -printf '%T@ %p\n' \) |
		sort -rn | tail -n "+$(($2 + 1))" | cut -d' ' -f2 | xargs -r rm -rf
}

# need_space MIB DIR - fail before the disk is full, not after
need_space() {
	local free
	make_dir "$2"
	free=$(df -Pm "$2" | awk 'NR == 2 { print $4 }')
	[[ $free -ge $1 ]] ||
		die "$2 has $free MiB free and $1 are needed; free some, or choose another place (cache: XDG_CACHE_HOME, temporary files: TMPDIR)"
}

# slowness - the factor by which limits are longer here than on an idle machine of today: the
# load per CPU in the last minute, or how long it takes to count to 30000 now, whichever is
# more; at most 10
slowness() {
	local from=${EPOCHREALTIME//[!0-9]/} i
	for ((i = 0; i < 30000; i++)); do :; done
	awk -v us=$((${EPOCHREALTIME//[!0-9]/} - from)) -v cpus="$(nproc)" '{
		by = us / 150000
		if ($1 / cpus > by) by = $1 / cpus
		by = int(by) + (by > int(by))
		print (by < 1 ? 1 : by > 10 ? 10 : by)
	}' /proc/loadavg
}

# over FROM LIMIT - have LIMIT seconds, times slowness, passed since FROM?
over() { ((SECONDS - $1 >= $2)) && ((SECONDS - $1 >= $2 * $(slowness))); }

# step NAME WHAT TIMEOUT COMMAND... - run COMMAND with its output in NAME.log.  Say WHAT it is,
# every step_tick seconds how far it is, and at the end how long it took.
step_tick=10
step() {
	local log=$log_dir/$1.log what=$2 limit=$3 rc=0 from=$SECONDS tick=$SECONDS
	shift 3
	make_dir "$log_dir"
	say "$what (log: ${log#"$top"/})"
	timeout -k 10 $((limit * 10)) "$@" >"$log" 2>&1 </dev/null &
	child=$!
	while kill -0 "$child" 2>/dev/null; do
		sleep 0.2
		if over "$from" "$limit"; then
			kill "$child" 2>/dev/null || :
			break
		fi
		if (( SECONDS - tick >= step_tick )); then
			tick=$SECONDS
			say "$what: $((SECONDS - from)) s: $(tail -n 1 "$log" | tr '\t' ' ' | cut -c1-100)"
		fi
	done
	wait "$child" || rc=$?
	child=
	case $rc in
	0) say "$what: done in $((SECONDS - from)) s" ;;
	124 | 137 | 143) say "$what: gave up after $((SECONDS - from)) s; see ${log#"$top"/}"; return 1 ;;
	*)
		# With several compilers at work, the error need not be in the last lines.
		grep -m 1 ' error: ' "$log" >&2 || :
		tail -n 5 "$log" >&2
		say "$what: failed; see ${log#"$top"/}"
		! grep -q 'No space left on device' "$log" || say "$what: the disk is full; free some space, then try again"
		return 1 ;;
	esac
}

# source_key - a name for the pristine source.  It needs scripts/fetch to have run, as the
# archive may have had another version than BASE's.
source_key() {
	local package source suites version sha256
	if [[ -z $src ]]; then
		# shellcheck source=linux/patches/7.3/BASE
		. "$patches/BASE"
		cat "$cache/deb/$sha256/sha256"
	elif git -C "$src" rev-parse -q --verify 'HEAD^{tree}' 2>/dev/null; then
		:
	else
		(cd "$src" && find . -type f -printf '%P %s %T@\n' | sort) | sha256sum | cut -d' ' -f1
	fi
}

# new_files - the paths of our new files, below linux/ or vmm/qemu/.  Only the newest series has
# the selftests: one build of them tests all kernels.
new_files() {
	local selftests=(-path ./tools -o)
	[[ ${K:-} != "$(supported_series | head -n 1)" ]] || selftests=()
	(cd "${patches%/patches*}" && find . \( "${selftests[@]}" -path ./patches \) -prune -o \
		-type f ! -name '.*' ! -name '*~' -printf '%P\n' | sort)
}

# codename - the name of this machine's Debian release
# shellcheck disable=SC1091
codename() { (. /etc/os-release && echo "${VERSION_CODENAME:-}"); }

# stock_kernel SERIES - the suite that has a kernel of SERIES for this release, or for $DIST, and
# the version that was tested; fail if dkms/ supports none
stock_kernel() {
	awk -v series="$1" -v suite="${DIST:-$(codename)}" '
		$1 == series && ($2 == suite || $2 == suite "-backports") { print $2, $3; found = 1 }
		END { exit !found }' "$top/dkms/kernels"
}

# write_table NAME TABLE FILE - replace what is between FILE's lines <!-- NAME --> and <!-- end -->
# with the file TABLE
write_table() {
	grep -qx "<!-- $1 -->" "$3" || die "${3#"$top"/} has no line <!-- $1 -->"
	sed -i -e "/^<!-- $1 -->\$/,/^<!-- end -->\$/{//!d}" -e "/^<!-- $1 -->\$/r $2" "$3"
}

# patch_key - a name for the patches
patch_key() {
	[[ $VARIANT != stock ]] || { echo none; return; }
	(cd "$patches" && find . -name '*.patch' | sort | xargs -r sha256sum) | sha256sum | cut -d' ' -f1
}
