//! The scanner as a service: what it looks for, when, and what becomes of it.

pub mod discovery;
