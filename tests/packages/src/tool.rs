//! Programs that know what is installed.

use std::process::Command;

/// What a program prints. A program that is missing, or that fails, fails the test: it says how to install it.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
