//! Formats that several extractors read, and the texts in them.

pub(super) mod control;
pub(super) mod described;
pub(super) mod document;
pub(super) mod field;
pub(super) mod indented;
pub(super) mod json;
pub(super) mod text;
