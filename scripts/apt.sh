# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what is set here is used where this is sourced, and lib.sh sets $scratch
#
# Get packages of a suite that this machine is not set up for, and leave its configuration
# alone.  Sourced, after lib.sh.

# own_source - the URI and, if there is one, the keyring of this machine's archive: the first
# entry, in either of apt's formats, that has this machine's release
own_source() {
	local codename
	codename=$(codename)
	find /etc/apt/sources.list /etc/apt/sources.list.d -type f \
		\( -name '*.list' -o -name '*.sources' \) 2>/dev/null | sort |
	while IFS= read -r file; do
		case $file in
		*.sources)
			awk -v codename="$codename" '
			function flush() {
				if (!off && types ~ / deb( |$)/ && suites ~ " " codename "( |$)" && uris) {
					split(uris, uri, " ")
					print uri[1], keyring
				}
				types = suites = uris = keyring = field = off = ""
			}
			/^[ \t]*$/ { flush(); next }
			/^#/ { next }
			/^[^ \t]/ { field = tolower($1); $1 = "" }
			field == "types:" { types = types " " $0 }
			field == "suites:" { suites = suites " " $0 }
			field == "uris:" { uris = uris " " $0 }
			field == "signed-by:" && $NF ~ /^\// { keyring = $NF }
			field == "enabled:" && tolower($NF) == "no" { off = 1 }
			END { flush() }' "$file" ;;
		*.list)
			awk -v codename="$codename" '
			$1 == "deb" {
				keyring = ""
				if (match($0, /signed-by=[^] \t]+/))
					keyring = substr($0, RSTART + 10, RLENGTH - 10)
				sub(/\[[^]]*\]/, "")
				if ($3 == codename)
					print $2, keyring
			}' "$file" ;;
		esac
	done | sed -n 1p
}

# archive_version COMMAND... PACKAGE - the newest version in private_apt's suites, by this command of
# apt-cache; fail if they have none
archive_version() {
	apt-cache "${apt[@]}" "$@" 2>/dev/null |
		awk '$1 == "Version:" && !n++ { print $2 } END { exit !n }'
}

# private_apt DIR SUITES [TYPE] - set the array apt to options that make apt keep everything in
# DIR, use only SUITES of this machine's archive, with its keyring, and see no package as
# installed.  Read the suites' lists, of TYPE deb (default) or deb-src.  Fail with a line that
# says why.
private_apt() {
	local dir=$1 suites=$2 type=${3:-deb} uri keyring
	command -v apt-get >/dev/null || { say "no apt here"; return 1; }
	read -r uri keyring < <(own_source) ||
		{ say "no source of this machine's own release in /etc/apt"; return 1; }

	mkdir -p "$dir"/{sources,state/lists/partial,archives/partial}
	{
		printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\n' "$type" "$uri" "$suites"
		[[ -z $keyring ]] || echo "Signed-By: $keyring"
	} >"$dir/sources/archive.sources"

	apt=(-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$dir/sources"
	     -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
	     -o Dir::State="$dir/state" -o Dir::State::status=/dev/null -o Dir::Cache="$dir"
	     -o APT::Sandbox::User= -o Acquire::Retries=3 -o Acquire::http::Timeout=30)

	step apt-list "read the archive's list for $suites" 180 \
		apt-get "${apt[@]}" -o APT::Update::Error-Mode=any update ||
		{ say "cannot read $suites from $uri; is there a network?"; return 1; }
}

# unpack_packages NAME SUITE PACKAGE... - set store to a folder of the cache that has packages of
# SUITE, unpacked; nothing is installed
unpack_packages() {
	local suite=$2 deb
	! in_cache "tools/$1" || return 0
	shift 2
	private_apt "$scratch" "$suite" || die "cannot get $1 from $suite; install it, or try again"
	mkdir "$scratch/root" "$scratch/deb"
	step "get-$1" "get $1" 300 env -C "$scratch/deb" apt-get "${apt[@]}" download "$@" ||
		die "cannot get $1 from $suite; install it, or try again"
	for deb in "$scratch"/deb/*.deb; do
		dpkg-deb -x "$deb" "$scratch/root"
	done
	keep "$scratch/root" 8
}

# unpacked_command STORE PROGRAM - set the array command to what runs PROGRAM of these packages
unpacked_command() {
	local libraries=$1/usr/lib/x86_64-linux-gnu
	command=("$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$1/usr/lib" "$1/usr/bin/$2")
}
