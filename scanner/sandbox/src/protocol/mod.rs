//! The protocol between the scanner and the analyser.
//!
//! Small on purpose: whatever the analyser sends was chosen by whoever wrote the disk. Every frame is bounded ([`frame`]),
//! every message is one of a few ([`message`]), and a report comes in parts ([`part`]). The analyser makes it fit into the
//! limits ([`fit`]); the scanner counts and checks each part, as if it had not ([`assembly`]).

pub mod assembly;
pub mod fit;
pub mod frame;
pub mod message;
pub mod part;
#[cfg(test)]
pub(crate) mod samples;
mod texts;
