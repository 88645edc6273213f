# What the tests of vm-cpuid need: two machines, and Hyper-V's enlightenments.
CONFIG_MICROVM=y
CONFIG_Q35=y
CONFIG_HYPERV=y
