#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# PID 1 of Linux in QEMU in the emulated machine.  It prints to the kernel's log.

/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
exec >/dev/kmsg 2>&1 </dev/null
echo "inner: $(grep -c ^processor /proc/cpuinfo) CPUs"
echo "inner: cpuid -r $(cpuid -r | md5sum)"
reboot -f
