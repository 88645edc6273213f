# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=bash disable=SC2154,SC2034 # vm/run sets and reads what is shared
#
# All that vm/run knows about Bochs, which emulates Intel's VMX.  Sourced by vm/run;
# vm/machine-qemu.sh says what the functions do.

# The environment's BOCHS may be another one than the package's, like vm/bochs/build's.
bochs=${BOCHS:-bochs}
isolinux=/usr/lib/ISOLINUX/isolinux.bin
ldlinux=/usr/lib/syslinux/modules/bios/ldlinux.c32
bios=/usr/share/bochs/BIOS-bochs-latest
vgabios=/usr/share/bochs/VGABIOS-lgpl-latest

emulator_packages=vm-intel
[[ $gdb -eq 0 ]] || usage "--gdb is for amd"

# The machine's time counts instructions: this many are a second.  An idle core takes about a
# second for them, a busy one several, and the machine's CPUs share one core.
ips=50000000
emulator_slowness() { echo $((8 * cpus)); }

# In the CPU models, leaf 4 has room for 8 CPUs in a package, and leaf 1 does not.
emulator_flaw='WARNING: .*parse_legacy'

# The tested versions.  3.1 does not boot Linux 7.3.
bochs_versions='2.7 3.0'

emulator_check() {
	local file
	[[ -z $accel ]] || { say "--accel $accel: Bochs has none; leave it out, or use --vendor amd"; return 1; }
	[[ $icount -eq 0 ]] || { say "--icount: Bochs always counts instructions; leave it out"; return 1; }
	[[ ${memory:=1G} =~ ^([1-9][0-9]*)([MG])$ ]] || { say "memory '$memory' is not a size like 512M or 4G"; return 1; }
	megs=${BASH_REMATCH[1]}
	[[ ${BASH_REMATCH[2]} == M ]] || megs=$((megs * 1024))

	bochs_help=$("$bochs" --help 2>&1 </dev/null) || :
	version=$(sed -n 's/.*Bochs x86 Emulator \([0-9.]*\).*/\1/p' <<<"$bochs_help" | head -n 1)
	[[ -n $version ]] || { say "no Bochs: $bochs does not run; install the package bochs"; return 1; }
	[[ " $bochs_versions " == *" $version "* ]] ||
		{ say "$bochs is version $version; it must be one of: $bochs_versions"; return 1; }
	for file in "$isolinux" "$ldlinux" "$bios" "$vgabios"; do
		[[ -r $file ]] || { say "no $file; run: scripts/deps vm-intel"; return 1; }
	done
	[[ $shell -eq 0 ]] || terminal=$(tty) || { say "--shell needs a terminal"; return 1; }
}

# bochs_run ERRORS COMMAND... - run Bochs.  The programs' serial port, a file to Bochs, is
# standard output.  With the debugger there is a screen in a pseudo terminal, and Bochs
# hangs when that is full: so empty it until Bochs has ended.
bochs_run() {
	local errors=$1 screen='' tries
	shift
	: >"$errors"
	{
		for ((tries = 0; tries < 300; tries++)); do
			screen=$(sed -n 's/^Bochs connected to screen "\(.*\)"$/\1/p' "$errors")
			[[ -z $screen ]] || exec cat "$screen"
			sleep 0.2
		done
	} </dev/null >/dev/null 2>&1 &
	exec setsid "$@" 9>&1 >/dev/null 2>"$errors"
}

emulator_command() {
	local iso=$work/iso com2='mode=file, dev=/dev/fd/9' display=term debugger=()
	[[ $shell -eq 0 ]] || com2="mode=term, dev=$terminal"

	mkdir "$iso"
	cp "$kernel" "$iso/bzImage"
	mv "$work/root.cpio" "$iso/"
	cp "$isolinux" "$ldlinux" "$iso/"
	# A triple fault ends the machine, so reboot by one.  The TSC counts instructions, whatever
	# CPUID says.
	cat >"$iso/isolinux.cfg" <<-END
		default linux
		label linux
		kernel bzImage
		append initrd=root.cpio reboot=triple tsc_early_khz=$((ips / 1000)) $cmdline
	END
	xorriso -as mkisofs -quiet -o "$work/cd.iso" -b isolinux.bin -c boot.cat -no-emul-boot \
		-boot-load-size 4 -boot-info-table "$iso" 2>"$work/err" ||
		usage "cannot make the CD: $(tail -n 1 "$work/err")"
	rm -rf "$iso"

	# Debian's Bochs has the debugger, which must be told to continue; its screen is in a package
	# of its own.
	if grep -q '^ *-rc ' <<<"$bochs_help"; then
		echo c >"$work/bochsrc.debugger"
		debugger=(-rc "$work/bochsrc.debugger")
	else
		display=nogui
	fi
	# The machine may have more memory than Bochs allocates, as long as it does not use it.
	# The default model: newer ones of 2.7 have a wrong XSAVE area.  With those of 3.0, more of
	# KVM's selftests fail (xapic_state_test), and from icelake_u on the host gets a triple
	# fault when a guest of KVM runs a nested guest (state_test).
	cat >"$work/bochsrc" <<-END
		cpu: model=${cpu:-broadwell_ult}, count=$cpus, quantum=1, ips=$ips, reset_on_triple_fault=0
		memory: guest=$megs, host=$((megs < 2048 ? megs : 2048))
		clock: sync=none, time0=utc
		romimage: file=$bios, options=fastboot
		vgaromimage: file=$vgabios
		display_library: $display
		ata0-master: type=cdrom, path=$work/cd.iso, status=inserted
		boot: cdrom
		com1: enabled=1, mode=file, dev=$console
		com2: enabled=1, $com2
		log: $work/bochs.log
		panic: action=fatal
		error: action=ignore
		info: action=ignore
		debug: action=ignore
	END
	export -f bochs_run
	emulator=(env TERM=xterm bash -c 'bochs_run "$@"' - "$work/err" "$bochs" -q -f "$work/bochsrc" "${debugger[@]}")
}

emulator_error() { sed -n '/exiting with the following message/{n;p;q}' "$work/err"; }
