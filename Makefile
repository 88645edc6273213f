# SPDX-License-Identifier: GPL-2.0-only
#
# The one entry point.  make help lists what there is.

export K VARIANT VENDOR KERNEL_SRC QEMU_SRC
export CONFIG ?= $(if $(GDB),gdb)

.DEFAULT_GOAL := help
.PHONY: help run test test-all test-vmms test-intel-full test-dkms-install check t tree refresh series kernel \
	selftests bench coverage fuzz mutation docs status docs/run.svg dkms deb kvm-cpuid qemu shell pre-commit \
	clean distclean

help: ## list the targets
	@echo "usage: make TARGET [K=7.3] [VARIANT=patched|stock] [CONFIG=debug|kcsan|gdb] [VENDOR=amd|intel]"
	@echo "       [KERNEL_SRC=dir]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s%s\n", $$1, $$2 }' Makefile
	@echo
	@echo "K is the kernel series ($(notdir $(wildcard linux/patches/*))), KERNEL_SRC a kernel tree to use"
	@echo "instead of the distribution's, VARIANT=stock the same kernel without the patches,"
	@echo "CONFIG a kernel that looks for bugs (vm/debug.config) or data races (vm/kcsan.config),"
	@echo "VENDOR=intel an emulated Intel machine, for run and shell."
	@echo "make tree and make refresh do K=qemu, too; QEMU_SRC is a QEMU tree to use."

run: kernel kvm-cpuid ## show the feature at work, in a patched kernel
	@vm/run --quiet --cpus $(if $(filter intel,$(VENDOR)),1,4) --add build/kvm-cpuid/kvm-cpuid \
		--add kvm-cpuid/examples/epyc.txt --add kvm-cpuid/examples/xeon.txt kvm-cpuid/demo.sh

test: ## run every test of the project, or with K=... those of one kernel series
	@tests/run

check: ## what reviewers of the series would check: configurations, warnings, docs, UAPI
	@tests/check

test-all: ## make test, and longer tests
	@tests/run --all

test-vmms: ## the tests of the VMMs in vmm/ alone
	@tests/run qemu rust-vmm kvmtool

test-intel-full: ## KVM's whole suite on emulated Intel, in a Bochs built for it (half an hour)
	@tests/bochs
	@tests/suite-compare intel-full

tree: ## unpack and patch the kernel source: build/K/VARIANT/linux
	@scripts/tree

t: ## build what is stale, kernel and tests, and run a guest test: T=abi_test [C=case] [GDB=1]
	@[ -n "$(T)" ] || { echo "make t: T= names a test: $$(ls build/tests/bin 2>/dev/null | tr '\n' ' ')" >&2; exit 2; }
	@vm/kernel && vm/selftests && vm/run --timeout 900 --boot-timeout 300 $(if $(filter intel,$(VENDOR)),--cpus 1) $(if $(GDB),--gdb --cpus 1) 'build/tests/bin/$(T)$(if $(C), -t "$(C)")'

refresh: ## write the commits of that tree back to linux/patches/K
	@scripts/refresh

series: ## write the whole series, for git am and for quilt: build/K/series
	@scripts/series

kernel: ## build the emulated machine's kernel
	@vm/kernel

selftests: ## build all guest tests, or with ALL=1 KVM's whole suite: build/tests
	@vm/selftests

bench: ## measure the stock and the patched kernel: docs/benchmarks
	@bench/run

coverage: ## what the unit tests and the fuzzers reach of cpuid_vm.c
	@scripts/deps unit
	@$(MAKE) -s -C tests/unit coverage
	@$(MAKE) -s -C tests/fuzz coverage

fuzz: ## fuzz cpuid_vm.c and kvm-cpuid, T=60 seconds per fuzzer [F=kvm-cpuid]
	@scripts/deps unit tools
	@$(MAKE) -s -C tests/fuzz run T=$(or $(T),60) $(if $(F),F=$(F))

mutation: ## change cpuid_vm.c piece by piece: do the tests see it? (10 minutes)
	@scripts/deps unit
	@$(MAKE) -s -C tests/unit mutation

docs: docs/flow.svg ## draw the pictures of docs/ from their sources

docs/%.svg: docs/%.dot
	@command -v dot >/dev/null || scripts/deps docs
	@dot -Tsvg $< -o $@

# A picture of the start of make run's output.
docs/run.svg:
	@{ echo '$$ make run'; $(MAKE) -s run; } | sed -n '1,/^  The other/p' | awk -f docs/terminal.awk >$@.new
	@grep -q 'The other' $@.new && mv $@.new $@

status: ## write what the last make test printed into the README's table
	@scripts/status

kvm-cpuid: ## build the kvm-cpuid program
	@scripts/deps tools
	@mkdir -p build && flock -w 600 build/kvm-cpuid.lock $(MAKE) -s -C kvm-cpuid

deb: ## build the Debian package of kvm-cpuid: build/deb
	@kvm-cpuid/package

dkms: ## build the Debian package of modules for stock kernels: build/dkms
	@dkms/package

test-dkms-install: ## install, upgrade and remove that package in a chroot (needs root)
	@dkms/test-install

qemu: ## build QEMU with vm-cpuid, for the emulated machine: build/qemu/patched/bin
	@vm/qemu

shell: kernel kvm-cpuid ## a shell in the emulated machine (C-a x ends it)
	@vm/run --shell --add build/kvm-cpuid/kvm-cpuid

pre-commit: ## check scripts and C before each commit, by a hook of git
	@scripts/deps check
	@git config core.hooksPath scripts/git-hooks

clean: ## remove what was built, but not kernel trees
	rm -rf build/log build/kvm-cpuid* build/unit build/fuzz build/tests build/deb* build/dkms* build/*/series* build/*/stock-kernel* \
		build/*/*/kernel* build/*/*/selftests* build/*/*/bzImage* build/*/*/config* \
		build/qemu/*/obj build/qemu/tests

distclean: ## remove all of build/, trees included (the cache stays)
	rm -rf build
