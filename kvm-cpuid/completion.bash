# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Completion for kvm-cpuid in bash: source it, or install it as
# /usr/share/bash-completion/completions/kvm-cpuid.

_kvm_cpuid() {
	local word=${COMP_WORDS[COMP_CWORD]} command='' options='' i
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* ]] || { command=${COMP_WORDS[i]}; break; }
	done

	case $command in
	'') options='explain diff common fits lint probe supported check show busy --help --version' ;;
	diff) options='--vcpus --json' ;;
	check) options='--print --json' ;;
	show) options='--vcpu-ids= --side-by-side --json' ;;
	explain | common | fits | lint | supported) options='--json' ;;
	esac
	COMPREPLY=()
	if [[ -z $command || $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
	elif [[ $command != probe && $command != supported ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
	[[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
}
complete -o filenames -F _kvm_cpuid kvm-cpuid
