# What the tests of vm-cpuid need: two machines, Hyper-V's enlightenments, and Xen.
CONFIG_MICROVM=y
CONFIG_Q35=y
CONFIG_HYPERV=y
CONFIG_XEN_EMU=y
CONFIG_XEN_BUS=y
# What kvm-unit-tests need.
CONFIG_ISA_TESTDEV=y
CONFIG_PCI_TESTDEV=y
CONFIG_ISA_DEBUG=y
CONFIG_HYPERV_TESTDEV=y
