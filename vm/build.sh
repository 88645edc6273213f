# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=bash disable=SC2154 # scripts/lib.sh sets what is used here
#
# Shared by vm/kernel, vm/selftests and vm/qemu: how a build is named, cached and run.  Sourced
# after scripts/lib.sh.

# build_key FILE... - a name for all that goes into a build: the source, the patches, these
# files, and the compiler
build_key() {
	{
		source_key
		patch_key
		(cd "$top" && sha256sum vm/build.sh "$@")
		gcc --version
		ld --version
	} | sha256sum | cut -d' ' -f1
}

# get_source - install packages, fetch the source, which source_key reads, and have the compiler
# cache give the same objects for the same source, whoever builds it, wherever and whenever
get_source() {
	export CCACHE_BASEDIR=$build CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1 \
	       CCACHE_IGNOREOPTIONS='-fmacro-prefix-map=*' LOCALVERSION='' \
	       KBUILD_BUILD_TIMESTAMP='1970-01-01 00:00:00 +0000' KBUILD_BUILD_VERSION=1 \
	       KBUILD_BUILD_USER=kvm KBUILD_BUILD_HOST=kvm
	"$top/scripts/deps" build
	[[ -n $src ]] || "$top/scripts/fetch" >/dev/null
}

# start_build KIND/KEY MIB - lock $obj, make the tree, and the folder $scratch for what is built.
# If the cache has that already, deliver it and exit.  A tree that has work in it is built as
# it is, and the result is not kept, nor is one without a KEY.
start_build() {
	local state
	lock "$obj"
	mkdir -p "$build"
	state=$("$top/scripts/tree" --state)
	if [[ $state != edited && $1 != */ ]]; then
		! in_cache "$1" || { deliver "$store"; exit; }
	else
		store='' scratch=$obj.new
		rm -rf "$scratch"
		mkdir "$scratch"
	fi
	"$top/scripts/tree" --keep || exit
	[[ $state != edited ]] ||
		say "${tree#"$top"/} has work in it that ${patches#"$top"/} lacks; it is built as it is"
	need_space "$2" "$build"
}

# end_build LIMIT - deliver what is in $scratch; of its kind, LIMIT are kept
end_build() {
	deliver "$scratch"
	[[ -z $store ]] || keep "$scratch" "$1"
}

# kernel_make ARG... - make on every CPU, with the compiler cache
kernel_make() { make CC='ccache gcc' HOSTCC='ccache gcc' -j"$(nproc)" "$@"; }
