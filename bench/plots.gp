# Draw docs/benchmarks/*.svg from the tables beside them.  gnuplot runs in that folder.
set terminal svg size 760,420 dynamic font "sans,12"
set datafile separator ","
set key left top
set grid
set xlabel "entries in the table"
set ylabel "instructions"

row(file, kernel, way) = sprintf("< awk -F, '$1 == \"%s\" && $2 == \"%s\"' %s", kernel, way, file)

set output "bring-up.svg"
set title "A vCPU ready to run"
set logscale x 2
set yrange [0:200000]
plot row("bring-up.csv", "stock", "vcpu") using 3:6 with linespoints title "stock: KVM\\_CREATE\\_VCPU + KVM\\_SET\\_CPUID2", \
     row("bring-up.csv", "stock", "vcpu") using 3:4 with linespoints title "stock: KVM\\_CREATE\\_VCPU alone", \
     row("bring-up.csv", "patched", "vm") using 3:6 with linespoints title "KVM\\_CREATE\\_VCPU under a VM's table"

set output "vm.svg"
set title "All vCPUs of a VM ready to run, per vCPU"
set xlabel "vCPUs"
set yrange [0:*]
plot row("vm.csv", "stock", "vcpu") using 4:($5 / $4) with linespoints title "stock: a table for each", \
     row("vm.csv", "stock", "none") using 4:($5 / $4) with linespoints title "stock: without CPUID", \
     row("vm.csv", "patched", "vm") using 4:($5 / $4) with linespoints title "one table for the VM, which is part of it"

set output "memory.svg"
set title "Kernel memory per vCPU: slabs and vmalloc()"
set ylabel "bytes"
set xrange [16:1024]
plot row("vm.csv", "stock", "vcpu") using 4:($6 / $4) with linespoints title "stock: a table for each", \
     row("vm.csv", "stock", "none") using 4:($6 / $4) with linespoints title "stock: without CPUID", \
     row("vm.csv", "patched", "vm") using 4:($6 / $4) with linespoints title "one table for the VM"

set output "exit.svg"
set title "A CPUID exit, by position of the leaf in a table of 256"
set xlabel "position"
set ylabel "instructions"
unset logscale x
set xrange [1:256]
set yrange [1500:*]
hit(kernel, way) = sprintf("< awk -F, '$1 == \"%s\" && $2 == \"%s\" && $3 == 256 && $4 == \"hit\"' exit.csv", kernel, way)
plot hit("stock", "vcpu") using 5:8 with lines title "stock", \
     hit("patched", "vcpu") using 5:8 with lines title "patched, a table for each vCPU", \
     hit("patched", "vm") using 5:8 with lines title "patched, one table for the VM"
