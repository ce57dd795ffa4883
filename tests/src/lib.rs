//! The local AWS and the end-to-end harness.
