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
        &[
            Argument::Without(2, libc::PROT_EXEC),
            Argument::With(3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS),
            Argument::Without(3, libc::MAP_HUGETLB),
        ],
    ),
    // The heap of musl, which reserves first and opens up later.
    Call(libc::SYS_mprotect, &[Argument::Without(2, libc::PROT_EXEC)]),
    // Growing and shrinking, not rearranging.
    Call(libc::SYS_mremap, &[Argument::Without(3, libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP)]),
    Call(libc::SYS_munmap, &[]),
    // Freed memory goes back to the system, and glibc asks for large pages where that is its default.
    Call(libc::SYS_madvise, &[Argument::Is(2, libc::MADV_DONTNEED)]),
    Call(libc::SYS_madvise, &[Argument::Is(2, libc::MADV_FREE)]),
    Call(libc::SYS_madvise, &[Argument::Is(2, libc::MADV_HUGEPAGE)]),
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

    const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
    const KILLED: u32 = libc::SECCOMP_RET_KILL_PROCESS;

    /// What the kernel does with a call, by the rules of classic BPF over `struct seccomp_data`.
    fn verdict(program: &BpfProgram, architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_ne_bytes());
        data.extend(architecture.to_ne_bytes());
        data.extend(0_u64.to_ne_bytes());
        data.extend(arguments.into_iter().flat_map(u64::to_ne_bytes));
        let (mut accumulator, mut next) = (0, 0);
        loop {
            let step = &program[next];
            let constant = step.k;
            let jump = |taken| usize::from(if taken { step.jt } else { step.jf });
            next += 1;
            match u32::from(step.code) {
                // LD W ABS
                0x20 => {
                    let place = usize::try_from(constant).unwrap();
                    accumulator = u32::from_ne_bytes(data[place..place + 4].try_into().unwrap());
                }
                // JA, JEQ, JGT, JGE, AND, RET, each with a constant
                0x05 => next += usize::try_from(constant).unwrap(),
                0x15 => next += jump(accumulator == constant),
                0x25 => next += jump(accumulator > constant),
                0x35 => next += jump(accumulator >= constant),
                0x54 => accumulator &= constant,
                0x06 => return constant,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    /// The number of this architecture in `struct seccomp_data`.
    fn architecture() -> u32 {
        // AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64: the ELF machine, 64 bits, little-endian.
        let machine = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
        0xc000_0000 | machine
    }

    fn call(number: c_long, arguments: [c_long; 6]) -> u32 {
        let number = u32::try_from(number).unwrap();
        verdict(&filter().unwrap(), architecture(), number, arguments.map(c_long::cast_unsigned))
    }

    #[test]
    fn a_call_that_is_not_listed_is_the_last() {
        let program = filter().unwrap();
        for number in 0..2000 {
            let listed = CALLS.iter().any(|call| call.0 == c_long::from(number));
            let number = u32::try_from(number).unwrap();
            if !listed {
                assert_eq!(verdict(&program, architecture(), number, [0; 6]), KILLED, "{number}");
            }
            // The numbers of x32, and another architecture.
            assert_eq!(verdict(&program, architecture(), 0x4000_0000 | number, [0; 6]), KILLED);
            assert_eq!(verdict(&program, 0x4000_0003, number, [0; 6]), KILLED);
        }
    }

    #[test]
    fn a_call_with_a_condition_has_no_line_without_one() {
        for Call(number, arguments) in CALLS {
            let lines: Vec<_> = CALLS.iter().filter(|call| call.0 == *number).collect();
            assert!(lines.len() == 1 || !arguments.is_empty(), "{number}: {lines:?}");
        }
    }

    #[test]
    fn memory_is_private_and_not_executable() {
        let [read, write, execute] = [libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC].map(c_long::from);
        let [private, shared, anonymous] =
            [libc::MAP_PRIVATE, libc::MAP_SHARED, libc::MAP_ANONYMOUS].map(c_long::from);
        let map = |protection, flags| call(libc::SYS_mmap, [0, 4096, protection, flags, -1, 0]);
        assert_eq!(map(0, private | anonymous), ALLOWED);
        assert_eq!(map(read | write, private | anonymous), ALLOWED);
        assert_eq!(map(read | execute, private | anonymous), KILLED);
        assert_eq!(map(read | execute | 1 << 40, private | anonymous), KILLED);
        assert_eq!(map(read | write, shared | anonymous), KILLED);
        assert_eq!(map(read, private), KILLED);
        assert_eq!(map(read, private | anonymous | c_long::from(libc::MAP_HUGETLB)), KILLED);

        let protect = |protection| call(libc::SYS_mprotect, [0, 4096, protection, 0, 0, 0]);
        assert_eq!(protect(read | write), ALLOWED);
        assert_eq!(protect(read | write | execute), KILLED);
        let moved = |flags| call(libc::SYS_mremap, [0, 4096, 8192, c_long::from(flags), 0, 0]);
        assert_eq!(moved(libc::MREMAP_MAYMOVE), ALLOWED);
        assert_eq!(moved(libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED), KILLED);
        let advise = |advice| call(libc::SYS_madvise, [0, 4096, c_long::from(advice), 0, 0, 0]);
        assert_eq!(advise(libc::MADV_DONTNEED), ALLOWED);
        assert_eq!(advise(libc::MADV_MERGEABLE), KILLED);
    }

    #[test]
    fn signals_go_to_oneself() {
        let process = c_long::from(getpid().as_raw_pid());
        let thread = c_long::from(gettid().as_raw_pid());
        let [abort, kill] = [libc::SIGABRT, libc::SIGKILL].map(c_long::from);
        assert_eq!(call(libc::SYS_tgkill, [process, thread, abort, 0, 0, 0]), ALLOWED);
        assert_eq!(call(libc::SYS_tgkill, [1, 1, abort, 0, 0, 0]), KILLED);
        assert_eq!(call(libc::SYS_tgkill, [process, thread, kill, 0, 0, 0]), KILLED);
        assert_eq!(call(libc::SYS_tkill, [thread, abort, 0, 0, 0, 0]), ALLOWED);
        assert_eq!(call(libc::SYS_tkill, [1, abort, 0, 0, 0, 0]), KILLED);
    }

    #[test]
    fn descriptors_and_clocks_are_looked_at_only() {
        let control = |command| call(libc::SYS_fcntl, [0, c_long::from(command), 0, 0, 0, 0]);
        assert_eq!(control(libc::F_GETFD), ALLOWED);
        assert_eq!(control(libc::F_DUPFD), KILLED);
        assert_eq!(control(libc::F_SETFL), KILLED);
        let clock = |clock| call(libc::SYS_clock_gettime, [clock, 0, 0, 0, 0, 0]);
        assert_eq!(clock(c_long::from(libc::CLOCK_MONOTONIC)), ALLOWED);
        // A clock that is a descriptor.
        assert_eq!(clock(-5), KILLED);
        let futex = |operation| call(libc::SYS_futex, [0, c_long::from(operation), 1, 0, 0, 0]);
        assert_eq!(futex(libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG), ALLOWED);
        assert_eq!(futex(libc::FUTEX_CMP_REQUEUE_PI), KILLED);
    }
}
