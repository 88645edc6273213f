// SPDX-License-Identifier: GPL-2.0-or-later
//! What `docs/adopting/minimal.c` does, in Rust: give a VM its CPUID, create three vCPUs,
//! and let each of them execute CPUID. Without the ioctl, do what all VMMs do today.
//!
//! `minimal-rs refuse` gives the table an entry that the ioctl refuses and `KVM_SET_CPUID2`
//! takes, to show the way back.

use kvm_bindings::{
    CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, KVM_MAX_CPUID_ENTRIES, KVM_MP_STATE_RUNNABLE,
    kvm_cpuid_entry2, kvm_mp_state, kvm_userspace_memory_region,
};
use kvm_ioctls::{Cap, Kvm, VcpuExit, VcpuFd, VmFd};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const MEMORY: usize = 0x2000;
const CODE: usize = 0x1000;
const TSS: usize = 0xfffb_d000; // Intel's VMX wants a place for one
const IDS: [u32; 3] = [0, 1, 6];

#[rustfmt::skip]
const CODE_BYTES: [u8; 12] = [
    0x66, 0xb8, 0x0b, 0, 0, 0, // mov $0xb, %eax
    0x66, 0x31, 0xc9,          // xor %ecx, %ecx
    0x0f, 0xa2,                // cpuid
    0xf4,                      // hlt
];

/// Probe. While the capability's number is provisional, it may be that of something else one
/// day, so have the ioctl answer, too: no other says ENOENT to this.
fn has_vm_cpuid(vm: &VmFd) -> bool {
    vm.check_extension(Cap::VmCpuid) && vm.get_cpuid(0).is_err_and(|e| e.errno() == libc::ENOENT)
}

/// Set the table, once, before the first vCPU. If KVM refuses it, say why; the VM and the
/// entries are as before, so the old way is still open.
fn set_vm_cpuid(vm: &VmFd, cpuid: &mut CpuId) -> bool {
    let Err(e) = vm.set_cpuid(cpuid) else {
        return true;
    };
    // The number of the bad entry, counted from one.
    match cpuid.as_fam_struct_ref().padding as usize {
        0 => eprintln!("minimal: KVM_VM_SET_CPUID: {e}"),
        n => {
            let bad = &cpuid.as_slice()[n - 1];
            eprintln!(
                "minimal: KVM refuses CPUID leaf 0x{:x} subleaf 0x{:x}",
                bad.function, bad.index
            );
        }
    }
    false
}

/// The old way, and what you can delete one day: a copy per vCPU, each patched by hand.
fn set_vcpu_cpuid(vcpu: &VcpuFd, cpuid: &CpuId, id: u32) -> Result<()> {
    let mut copy = cpuid.clone();
    for e in copy.as_mut_slice() {
        match e.function {
            0x1 => e.ebx = e.ebx & 0xff_ffff | (id << 24),
            0xb | 0x1f => e.edx = id,
            0x8000_001e => e.eax = id,
            _ => (),
        }
    }
    Ok(vcpu.set_cpuid2(&copy)?)
}

/// The model: here it is all that KVM supports, with two levels of topology.
fn model(kvm: &Kvm) -> Result<CpuId> {
    let mut cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES - 2)?;
    cpuid.retain(|e| e.function != 0xb);
    for level in 0..2 {
        cpuid.push(kvm_cpuid_entry2 {
            function: 0xb,
            index: level,
            flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            eax: [1, 3][level as usize], // bits of the ID to shift out
            ebx: [2, 8][level as usize], // CPUs
            ecx: level | ((level + 1) << 8),
            ..Default::default()
        })?;
    }
    Ok(cpuid)
}

/// Let a vCPU execute the code, in real mode; what it reads in EDX of leaf 0xb.
fn run(vcpu: &mut VcpuFd) -> Result<u32> {
    let mut sregs = vcpu.get_sregs()?;
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    vcpu.set_sregs(&sregs)?;
    let mut regs = vcpu.get_regs()?;
    (regs.rip, regs.rflags) = (CODE as u64, 2);
    vcpu.set_regs(&regs)?;
    vcpu.set_mp_state(kvm_mp_state {
        mp_state: KVM_MP_STATE_RUNNABLE,
    })?;
    match vcpu.run()? {
        VcpuExit::Hlt => Ok(vcpu.get_regs()?.rdx as u32),
        other => Err(format!("KVM_RUN: {other:?}, not HLT").into()),
    }
}

fn main() -> Result<()> {
    let mut memory = vec![0u8; MEMORY + 0xfff];
    let page = memory.as_ptr().align_offset(0x1000);
    memory[page + CODE..][..CODE_BYTES.len()].copy_from_slice(&CODE_BYTES);

    let kvm = Kvm::new()?;
    let vm = kvm.create_vm()?;
    let region = kvm_userspace_memory_region {
        memory_size: MEMORY as u64,
        userspace_addr: memory[page..].as_ptr() as u64,
        ..Default::default()
    };
    // SAFETY: The memory outlives the VM.
    unsafe { vm.set_user_memory_region(region)? };
    vm.set_tss_address(TSS)?;

    let mut cpuid = model(&kvm)?;
    cpuid.as_mut_slice()[0].padding[0] = std::env::args().any(|arg| arg == "refuse").into();

    let one_table = has_vm_cpuid(&vm) && set_vm_cpuid(&vm, &mut cpuid);
    let by = if one_table {
        "the VM's table"
    } else {
        "a table of its own"
    };

    let mut ok = true;
    for id in IDS {
        let mut vcpu = vm.create_vcpu(id.into())?;
        if !one_table {
            set_vcpu_cpuid(&vcpu, &cpuid, id)?;
        }
        let seen = run(&mut vcpu)?;
        println!("vCPU {id}: CPUID says x2APIC ID {seen}, by {by}");
        ok &= seen == id;
    }
    if ok {
        Ok(())
    } else {
        Err("a vCPU saw another ID".into())
    }
}
