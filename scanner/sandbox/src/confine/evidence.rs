//! The kernel's own account of a process, from `/proc/self`.

use std::fs::File;
use std::io::{self, Read as _};

use rustix::process::Resource;

use super::limits::Row;
use super::report::{Confinement, Protection, Role, State};

/// Files that tell what is in force at the time when they are read. They are opened while files still can be.
#[derive(Debug)]
pub(super) struct Evidence {
    status: File,
    limits: File,
}

impl Evidence {
    /// Opens the files of the calling process.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { status: File::open("/proc/self/status")?, limits: File::open("/proc/self/limits")? })
    }

    fn read(self) -> io::Result<(String, String)> {
        Ok((read(self.status)?, read(self.limits)?))
    }
}

/// Notes every protection that the kernel does not show to be in force as it was asked for, and that this was looked at.
pub(super) fn check(evidence: io::Result<Evidence>, limits: &[Row], confinement: &mut Confinement) {
    let (status, shown) = match evidence.and_then(Evidence::read) {
        Ok(texts) => texts,
        Err(error) => {
            confinement
                .record(Protection::Verification, State::missing(format!("reading /proc/self: {error}")));
            return;
        }
    };
    confinement.record(Protection::Verification, State::Enforced);
    let fields = match confinement.role {
        Role::Child => CHILD,
        Role::Parent => PARENT,
    };
    for (what, name, expected) in fields {
        confinement.record(*what, check_field(&status, name, *expected));
    }
    for row in limits {
        confinement.record(row.what, check_limit(&shown, row));
    }
}

/// What a line of `/proc/self/status` must say.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// Exactly this.
    Text(&'static str),
    /// A hexadecimal number that is zero.
    Zero,
    /// Four identifiers, none of which is root's.
    NotRoot,
}

const CHILD: &[(Protection, &str, Expected)] = &[
    (Protection::Threads, "Threads", Expected::Text("1")),
    (Protection::Groups, "Groups", Expected::Text("")),
    (Protection::Identity, "Uid", Expected::NotRoot),
    (Protection::Identity, "Gid", Expected::NotRoot),
    (Protection::Capabilities, "CapInh", Expected::Zero),
    (Protection::Capabilities, "CapPrm", Expected::Zero),
    (Protection::Capabilities, "CapEff", Expected::Zero),
    (Protection::Capabilities, "CapAmb", Expected::Zero),
    (Protection::BoundingSet, "CapBnd", Expected::Zero),
    (Protection::NoNewPrivileges, "NoNewPrivs", Expected::Text("1")),
    // A filter, not the strict mode that is 1.
    (Protection::SystemCalls, "Seccomp", Expected::Text("2")),
];

const PARENT: &[(Protection, &str, Expected)] = &[
    (Protection::Threads, "Threads", Expected::Text("1")),
    (Protection::NoNewPrivileges, "NoNewPrivs", Expected::Text("1")),
];

fn check_field(status: &str, name: &str, expected: Expected) -> State {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let Some(value) = line.map(str::trim) else {
        return State::missing(format!("the kernel does not show {name}"));
    };
    let holds = match expected {
        Expected::Text(text) => value == text,
        Expected::Zero => u64::from_str_radix(value, 16) == Ok(0),
        Expected::NotRoot => value.split_whitespace().all(|id| id.parse::<u32>().is_ok_and(|id| id != 0)),
    };
    if holds { State::Enforced } else { State::missing(format!("the kernel shows {name}: {value}")) }
}

fn check_limit(limits: &str, row: &Row) -> State {
    let Some(name) = name(row.resource) else { return State::missing("a limit without a name") };
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    let mut values = line.unwrap_or("").split_whitespace().map(str::parse::<u64>);
    // A lower one was there before. `unlimited` is no number.
    let holds = |value: Option<Result<u64, _>>, wanted| matches!(value, Some(Ok(value)) if value <= wanted);
    if holds(values.next(), row.soft) && holds(values.next(), row.hard) {
        State::Enforced
    } else {
        State::missing(format!("the kernel shows {name}:{}", line.unwrap_or(" nothing")))
    }
}

/// What `/proc/self/limits` calls a limit.
const fn name(resource: Resource) -> Option<&'static str> {
    match resource {
        Resource::As => Some("Max address space"),
        Resource::Memlock => Some("Max locked memory"),
        Resource::Cpu => Some("Max cpu time"),
        Resource::Nofile => Some("Max open files"),
        Resource::Fsize => Some("Max file size"),
        Resource::Nproc => Some("Max processes"),
        Resource::Core => Some("Max core file size"),
        _ => None,
    }
}

/// Reads by nothing but `read(2)`, which a confined process still may.
fn read(file: File) -> io::Result<String> {
    /// Both files have about 2 KiB; a process with thousands of groups shows more.
    const LIMIT: u64 = 1 << 20;

    let mut file = file.take(LIMIT);
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => text.extend(buffer.iter().take(length)),
        }
    }
    String::from_utf8(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Uid:\t1\t1\t1\t1\nGid:\t1\t0\t1\t1\nGroups:\t \nCapEff:\t0000000000000000\nCapBnd:\t01\n";

    #[test]
    fn a_field_must_be_there_and_say_what_is_expected() {
        let holds = |name, expected| check_field(STATUS, name, expected) == State::Enforced;
        assert!(holds("Uid", Expected::NotRoot));
        assert!(!holds("Gid", Expected::NotRoot));
        assert!(holds("Groups", Expected::Text("")));
        assert!(holds("CapEff", Expected::Zero));
        assert!(!holds("CapBnd", Expected::Zero));
        assert!(!holds("Seccomp", Expected::Text("2")));
    }

    #[test]
    fn a_limit_may_be_lower_but_not_higher() {
        let shown = "Max address space         1000                 unlimited            bytes\n\
                     Max cpu time              5                    6                    seconds\n";
        let row = |resource, soft, hard| Row { what: Protection::Memory, resource, soft, hard };
        assert_eq!(check_limit(shown, &row(Resource::Cpu, 5, 6)), State::Enforced);
        assert_eq!(check_limit(shown, &row(Resource::Cpu, 9, 10)), State::Enforced);
        assert_ne!(check_limit(shown, &row(Resource::Cpu, 4, 6)), State::Enforced);
        assert_ne!(check_limit(shown, &row(Resource::As, 1000, 1000)), State::Enforced);
        assert_ne!(check_limit(shown, &row(Resource::Core, 0, 0)), State::Enforced);
    }

    #[test]
    fn the_kernel_has_every_line_that_is_looked_for() {
        let (status, limits) = Evidence::open().unwrap().read().unwrap();
        for (_, name, _) in CHILD.iter().chain(PARENT) {
            assert!(status.contains(&format!("\n{name}:")), "{name}");
        }
        for row in
            super::super::limits::of_child(&super::super::ChildLimits { memory: 1, processor_seconds: 1 })
        {
            assert!(limits.contains(name(row.resource).unwrap()), "{row:?}");
        }
    }
}
