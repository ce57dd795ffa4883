//! The system calls that a process with credentials never needs. They fail with `EPERM`, in it and in all that it starts.
//!
//! Not a list of what is allowed, as a child has it: the libraries below the network, for names and for TLS, may begin to
//! use a call with any update. These are the ways around the other protections, and into other processes.

use std::collections::BTreeMap;
use std::ffi::c_long;

use nix::libc;
use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::report::State;

const CALLS: &[c_long] = &[
    // Programs that are not in a file which Landlock knows.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_execveat,
    // Other processes: their memory, their descriptors, their course.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    // System calls that are made by other means than a call, which no filter sees.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // The kernel itself, and parts of it in which many errors were found.
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    // Other views of the file system, and other name spaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    // Files by handles instead of paths.
    libc::SYS_open_by_handle_at,
    // The keys of the user.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_quotactl,
];

/// Gives them up, for good.
pub(super) fn restrict() -> State {
    match filter() {
        Ok(filter) => State::of("installing the filter", seccompiler::apply_filter(&filter)),
        Err(error) => State::missing(format!("making the filter: {error}")),
    }
}

/// The same calls under the numbers of x32, which a kernel of x86-64 may know beside its own. Where they differ in more than
/// the bit: `ptrace`, `kexec_load`, `process_vm_readv`, `process_vm_writev` and `execveat`, by the kernel's `syscall_64.tbl`.
#[cfg(target_arch = "x86_64")]
fn other_numbers() -> impl Iterator<Item = c_long> {
    const X32: c_long = 0x4000_0000;

    CALLS.iter().copied().chain([521, 528, 539, 540, 545]).map(|call| call | X32)
}

#[cfg(not(target_arch = "x86_64"))]
fn other_numbers() -> impl Iterator<Item = c_long> {
    std::iter::empty()
}

fn filter() -> Result<BpfProgram, BackendError> {
    let rules: BTreeMap<_, _> =
        CALLS.iter().copied().chain(other_numbers()).map(|call| (call, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_by_their_other_number_are_refused_too() {
        let program = filter().unwrap();
        let names = |number| program.iter().any(|step| c_long::from(step.k) == number);
        for call in CALLS.iter().copied().chain(other_numbers()) {
            assert!(names(call), "{call:#x}");
        }
        assert_eq!(names(libc::SYS_bpf | 0x4000_0000), cfg!(target_arch = "x86_64"));
    }
}
