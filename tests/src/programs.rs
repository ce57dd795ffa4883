//! The programs under test, built once for each process that asks.
