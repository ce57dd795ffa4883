//! Giving up power: what a process needs no more, the kernel takes away for good.
//!
//! [`child`] is for the process that reads foreign bytes. It keeps a socket, memory and time, all bounded, and nothing
//! else. [`parent`] is for the process that holds credentials. It reads, and reaches the network, but writes only where it
//! was told to, executes only itself, and has lost the system calls that lead around this.
//!
//! Each protection is asked for by itself, then looked at again where the kernel shows it, and reported as a [`Part`]. A
//! kernel or a platform that lacks one leaves the others in force; whether what remains is enough is
//! [`Confinement::is_sufficient`], and what to do about it is the caller's decision.
//!
//! Two layers stand behind each other on Linux: Landlock refuses files, ports and signals, and seccomp ends a process that
//! so much as asks for them. Other systems have neither: there only the limits on resources apply, and the report says so.

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
mod elf;
#[cfg(target_os = "linux")]
mod evidence;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod landlock;
mod limits;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(target_os = "linux")]
mod parent;
#[cfg(target_os = "linux")]
mod refused;
mod report;
mod rights;
#[cfg(target_os = "linux")]
mod syscalls;

#[cfg(not(target_os = "linux"))]
pub use self::other::{child, parent};
#[cfg(target_os = "linux")]
pub use self::{child::child, parent::parent};

pub use self::limits::ChildLimits;
pub use self::report::{Confinement, Part, Protection, Role, State, list};
pub use self::rights::{ConfineError, ParentRights};
