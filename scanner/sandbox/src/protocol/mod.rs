//! The protocol between the scanner and the analyser.
//!
//! Small on purpose: whatever the analyser sends was chosen by whoever wrote the disk. Every frame is bounded ([`frame`]),
//! every message is one of a few ([`message`]), and a report comes in parts that are counted and checked one by one
//! ([`part`]).

pub mod frame;
pub mod message;
pub mod part;
