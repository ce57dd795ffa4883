//! The system calls that are left to a child. Any other ends it with `SIGSYS`.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_long};

use nix::libc;
use rustix::process::getpid;
use rustix::thread::gettid;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::report::State;

/// One system call, and what its arguments must be. Of several lines for the same call, one that fits is enough.
#[derive(Clone, Copy, Debug)]
struct Call(c_long, &'static [Argument]);

/// What must hold of an argument, which is named by its position from 0.
#[derive(Clone, Copy, Debug)]
enum Argument {
    /// It is this number.
    Is(u8, c_int),
    /// It is this number at most, and not negative.
    AtMost(u8, c_int),
    /// It has all of these bits.
    With(u8, c_int),
    /// It has none of these bits.
    Without(u8, c_int),
    /// It is the identifier of this process.
    Process(u8),
    /// It is the identifier of this thread.
    Thread(u8),
}

/// Everything a Rust program with one thread needs that reads from a socket, computes, and writes to a socket and a pipe,
/// under glibc and musl. Descriptors cannot come into being: nothing opens, duplicates or receives one.
const CALLS: &[Call] = &[
    // Frames from the parent. Not `recv`, which knows messages out of band and others that only widen what the kernel does.
    Call(libc::SYS_read, &[]),
    Call(libc::SYS_readv, &[]),
    // Frames to the parent, and what a panic says on standard error. Not `send`, for the same reason.
    Call(libc::SYS_write, &[]),
    Call(libc::SYS_writev, &[]),
    // The socket, when it is dropped.
    Call(libc::SYS_close, &[]),
    // A debug build of Rust looks whether a descriptor that it closes is open.
    Call(libc::SYS_fcntl, &[Argument::Is(1, libc::F_GETFD)]),
    // Memory: the heap and large blocks. Never executable, and never a file's.
    Call(libc::SYS_brk, &[]),
    Call(
        libc::SYS_mmap,
        &[Argument::Without(2, libc::PROT_EXEC), Argument::With(3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)],
    ),
    // The heap of musl, which reserves first and opens up later.
    Call(libc::SYS_mprotect, &[Argument::Without(2, libc::PROT_EXEC)]),
    Call(libc::SYS_mremap, &[]),
    Call(libc::SYS_munmap, &[]),
    // Freed memory goes back to the system.
    Call(libc::SYS_madvise, &[Argument::Is(2, libc::MADV_DONTNEED)]),
    Call(libc::SYS_madvise, &[Argument::Is(2, libc::MADV_FREE)]),
    // The C library's `pthread_once`, which unwinding uses, wakes whoever waits. One thread never waits for another.
    Call(libc::SYS_futex, &[Argument::Is(1, libc::FUTEX_WAKE)]),
    Call(libc::SYS_futex, &[Argument::Is(1, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG)]),
    // Seeds of hash tables.
    Call(libc::SYS_getrandom, &[]),
    // `Instant`, where the machine's clock cannot be read without the kernel, as on Xen. The clocks that are numbers only.
    Call(libc::SYS_clock_gettime, &[Argument::AtMost(0, libc::CLOCK_BOOTTIME)]),
    // A message of a panic names the thread by number; `abort` asks who it is.
    Call(libc::SYS_getpid, &[]),
    Call(libc::SYS_gettid, &[]),
    // `abort`, of glibc and of musl, is a signal to oneself, so that the parent sees `SIGABRT` and not `SIGSYS`.
    Call(libc::SYS_tgkill, &[Argument::Process(0), Argument::Thread(1), Argument::Is(2, libc::SIGABRT)]),
    Call(libc::SYS_tkill, &[Argument::Thread(0), Argument::Is(1, libc::SIGABRT)]),
    // Around `abort`; and Rust's handler of stack overflows, which says so, gives up its own stack, and lets the signal
    // come again.
    Call(libc::SYS_rt_sigprocmask, &[]),
    Call(libc::SYS_rt_sigaction, &[]),
    Call(libc::SYS_rt_sigreturn, &[]),
    Call(libc::SYS_sigaltstack, &[]),
    // The end.
    Call(libc::SYS_exit_group, &[]),
];

/// Gives up every other system call, for good. Any that comes ends the process.
pub(super) fn restrict() -> State {
    match filter() {
        Ok(filter) => State::of("installing the filter", seccompiler::apply_filter(&filter)),
        Err(error) => State::missing(format!("making the filter: {error}")),
    }
}

fn filter() -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for Call(number, arguments) in CALLS {
        let rules = rules.entry(*number).or_default();
        if !arguments.is_empty() {
            let conditions: Result<_, _> = arguments.iter().copied().map(Argument::condition).collect();
            rules.push(SeccompRule::new(conditions?)?);
        }
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?.try_into()
}

impl Argument {
    fn condition(self) -> Result<SeccompCondition, BackendError> {
        use SeccompCmpOp::{Eq, Le, MaskedEq};

        let bits = |number: c_int| u64::from(number.cast_unsigned());
        let (position, compare, value) = match self {
            Self::Is(position, number) => (position, Eq, bits(number)),
            Self::AtMost(position, number) => (position, Le, bits(number)),
            Self::With(position, mask) => (position, MaskedEq(bits(mask)), bits(mask)),
            Self::Without(position, mask) => (position, MaskedEq(bits(mask)), 0),
            Self::Process(position) => (position, Eq, bits(getpid().as_raw_pid())),
            Self::Thread(position) => (position, Eq, bits(gettid().as_raw_pid())),
        };
        // What the kernel takes as an `int` may have anything above its 32 bits.
        SeccompCondition::new(position, SeccompCmpArgLen::Dword, compare, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_with_a_condition_has_no_line_without_one() {
        for Call(number, arguments) in CALLS {
            let lines: Vec<_> = CALLS.iter().filter(|call| call.0 == *number).collect();
            assert!(lines.len() == 1 || !arguments.is_empty(), "{number}: {lines:?}");
        }
    }

    #[test]
    fn the_filter_compiles() {
        assert!(!filter().unwrap().is_empty());
    }
}
