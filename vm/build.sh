# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=bash disable=SC2154 # scripts/lib.sh sets what is used here
#
# Shared by vm/kernel and vm/selftests: how a build is named, cached and run.  Sourced
# after scripts/lib.sh.

# build_key FILE... - names everything that a build is made from: the source, the
# patches, these files, and the compiler
build_key() {
	{
		source_key
		patch_key
		(cd "$top" && sha256sum vm/build.sh "$@")
		gcc --version
		ld --version
	} | sha256sum | cut -d' ' -f1
}

# get_source - start a build: install packages, fetch the source, so that source_key knows
# its name, and make equal source give equal objects, from the compiler cache, whoever
# builds it, where and when
get_source() {
	export CCACHE_DIR=$cache/ccache CCACHE_MAXSIZE=3G CCACHE_BASEDIR=$build CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1 \
	       CCACHE_IGNOREOPTIONS='-fmacro-prefix-map=*' LOCALVERSION='' \
	       KBUILD_BUILD_TIMESTAMP='1970-01-01 00:00:00 +0000' KBUILD_BUILD_VERSION=1 \
	       KBUILD_BUILD_USER=kvm KBUILD_BUILD_HOST=kvm
	"$top/scripts/deps" build
	[[ -n $src ]] || "$top/scripts/fetch" >/dev/null
}

# ready_tree STORE - make the tree that a build needs; returns 1 if the build needs
# none, because STORE has what it would give.  A tree with work in it is built as it
# is, and what comes out is kept nowhere else.
ready_tree() {
	state=$("$top/scripts/tree" --state)
	[[ $state == edited || ! -d $1 ]] || return 1
	"$top/scripts/tree" --keep || exit
	[[ $state != edited ]] ||
		say "build/$K/$VARIANT/linux has work in it that linux/patches/$K lacks; it is built as it is"
}

# keep DIR STORE - into the cache, for the next checkout; the first of two that do it wins
keep() {
	local new
	[[ $state != edited && -n $2 ]] || return 0
	mkdir -p "${2%/*}"
	new=$(mktemp -d "$2.XXXXXX")
	leftovers+=("$new")
	cp -r "$1/." "$new"
	mv -T "$new" "$2" 2>/dev/null || rm -rf "$new"
}

# kernel_make ARG... - make, with every core and the compiler cache
kernel_make() { make CC='ccache gcc' HOSTCC='ccache gcc' -j"$(nproc)" "$@"; }
