# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=bash disable=SC2154,SC2034 # vm/run sets and reads what is shared
#
# All that vm/run knows about QEMU, which emulates AMD's SVM.  Sourced by vm/run.  Another
# emulator has another file with the same functions.

# Its group of packages in scripts/deps.
emulator_packages=vm

# A pattern for a warning that the kernel may print once before the first program runs; or
# empty.
emulator_flaw=''

# emulator_slowness - how many seconds one of the machine's seconds may take; 1: its clock is
# this machine's
emulator_slowness() { echo 1; }

# The oldest version tested.  It needs nested paging for AMD guests in TCG.
qemu_oldest=7.2

# emulator_check - is there an emulator that can do what was asked?
emulator_check() {
	local version
	case ${accel:=tcg} in
	tcg) ;;
	kvm)
		[[ -w /dev/kvm ]] || { say "--accel kvm: no access to /dev/kvm; use the default, tcg"; return 1; }
		grep -qsx '[Y1]' /sys/module/kvm_{amd,intel}/parameters/nested ||
			{ say "--accel kvm: this machine's KVM has no nested virtualization; use the default, tcg"; return 1; }
		[[ $icount -eq 0 ]] || { say "--icount is for --accel tcg"; return 1; } ;;
	*) say "unknown accelerator '$accel'; it can be: tcg kvm"; return 1 ;;
	esac
	version=$(qemu-system-x86_64 --version 2>/dev/null | sed -n 's/.*version \([0-9.]*\).*/\1/p')
	[[ -n $version ]] || { say "no qemu-system-x86_64; install the package qemu-system-x86"; return 1; }
	[[ $(printf '%s\n' "$qemu_oldest" "$version" | sort -V | head -n 1) == "$qemu_oldest" ]] ||
		{ say "qemu-system-x86_64 is $version; $qemu_oldest or newer is needed"; return 1; }
}

# emulator_command - set the array emulator to a command that has the kernel's console in $console
# and the programs' serial port on standard output, and ends when the guest ends
emulator_command() {
	local serial=stdio options=() clock='' threads=multi
	[[ $shell -eq 0 ]] || serial=mon:stdio
	[[ $gdb -eq 0 ]] || options+=(-gdb tcp:127.0.0.1:1234 -S)
	case $accel in
	kvm) options+=(-accel kvm -cpu "${cpu:-host}") ;;
	tcg)
		if [[ $icount -eq 1 ]]; then
			options+=(-accel "tcg,thread=single" -icount "shift=0,sleep=off")
		else
			[[ $one_thread -eq 0 ]] || threads=single
			options+=(-accel "tcg,thread=$threads")
		fi
		# On a busy machine, the kernel calibrates the TSC wrongly, and tests of KVM's
		# clocks fail.  With --icount, the TSC counts nanoseconds; without, it is this
		# machine's, and the faster that is, the shorter are the guest's seconds.  The
		# timer's interrupt may also come later than the kernel waits for it.
		clock='tsc_early_khz=1000000 tsc=reliable no_timer_check '
		options+=(-cpu "${cpu:-max}") ;;
	esac
	emulator=(qemu-system-x86_64 "${options[@]}" -smp "$cpus" -m "${memory:-4G}"
		  -nodefaults -no-user-config -display none -monitor none -no-reboot
		  -serial "file:$console" -serial "$serial"
		  -kernel "$kernel" -initrd "$work/root.cpio"
		  -append "$clock$cmdline")
}

# emulator_error - the line, if any, that says why the emulator ended
emulator_error() { head -n 1 "$work/err"; }
