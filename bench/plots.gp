# SPDX-License-Identifier: GPL-2.0-only
# Draw docs/benchmarks/*.svg from figures.csv beside them.  gnuplot runs in that folder.
set terminal svg size 500,430 dynamic font "sans,12"
set datafile separator ","
set key tmargin center vertical maxcols 1
set grid
set logscale xy 2
set xrange [1:300]
set xlabel "entries"
set ylabel "instructions"
set xtics (1, 8, 16, 32, 64, 128, 256)
set format y "%.0f"

rows(what) = sprintf("< awk -F, '$1 == \"%s\" && $2' figures.csv", what)

set output "ready.svg"
set title "A vCPU ready to run: KVM\\_CREATE\\_VCPU and its CPUID"
set yrange [32768:524288]
plot rows("ready vCPU") using 2:3 with linespoints title "stock, KVM\\_SET\\_CPUID2", \
     rows("ready vCPU") using 2:4 with linespoints title "patched, KVM\\_SET\\_CPUID2", \
     rows("ready vCPU") using 2:5 with linespoints title "patched, with a table of the VM"

set output "set.svg"
set title "The ioctls that set CPUID"
set yrange [512:1048576]
plot rows("KVM_SET_CPUID2") using 2:3 with linespoints title "stock, KVM\\_SET\\_CPUID2, for each vCPU", \
     rows("KVM_SET_CPUID2") using 2:4 with linespoints title "patched, KVM\\_SET\\_CPUID2, for each vCPU", \
     rows("KVM_VM_SET_CPUID") using 2:5 with linespoints title "KVM\\_VM\\_SET\\_CPUID, once"
