//! The server process: starts, and never stays behind.
