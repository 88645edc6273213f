# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=bash
#
# Copy what a VMM and its guest need into folders for the emulated machine.  Sourced after
# scripts/lib.sh.

# copy_firmware DIR - what QEMU loads into its guests, as the distribution has it
copy_firmware() {
	mkdir -p "$1"
	cp -L /usr/share/seabios/bios-256k.bin /usr/share/qemu/{linuxboot_dma,multiboot,multiboot_dma,kvmvapic}.bin "$1"
}

# copy_libraries DIR PROGRAM... - what they are linked with, at the same paths below DIR
copy_libraries() {
	local file
	while read -r file; do install -D "$file" "$1$file"; done < <(ldd "${@:2}" | grep -o '/[^ ]* (' | cut -d' ' -f1 | sort -u)
}

# make_guest DIR INIT - an initramfs DIR.cpio with INIT, busybox and Debian's cpuid
make_guest() {
	local cpuid
	cpuid=$(command -v cpuid)
	mkdir -p "$1"/{bin,dev,proc}
	install "$2" "$1/init"
	install /bin/busybox "$cpuid" "$1/bin"
	ln -s busybox "$1/bin/sh"
	copy_libraries "$1" "$cpuid"
	(cd "$1" && find . | busybox cpio -o -H newc -R 0:0) >"$1.cpio" 2>/dev/null
}
