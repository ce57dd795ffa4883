//! Logs made by hand.
