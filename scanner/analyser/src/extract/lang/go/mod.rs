//! `lang/go`: the modules in programs that Go built.
//!
//! Go writes into each program with which version of itself, of which modules, and how it built it. Stripping takes none of
//! that away. What a program was built of is found in ELF files only: those of other systems (PE, Mach-O) do not run on the
//! machines that are looked at.

mod info;
mod module;
mod settings;

use crate::elf::{Elf, ElfError};
use crate::extract::{ExtractError, Extractor, Input, Interest, Reads, Report};
use crate::fs::FsPath;
use crate::limits::Limits;

/// Reads the build information in programs.
#[derive(Clone, Copy, Debug)]
pub struct Go;

impl Extractor for Go {
    fn name(&self) -> &'static str {
        "lang/go"
    }

    fn description(&self) -> &'static str {
        "Go modules in programs"
    }

    fn interest(&self) -> &'static [Interest] {
        // Go's runtime alone has more than a megabyte; packed by UPX it may be less than half of it.
        &[Interest::Executable { least: 256 << 10 }]
    }

    fn reads(&self, _path: &FsPath) -> Reads {
        Reads::Start
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        match Elf::open(input).and_then(|elf| elf.map(|elf| info::find(&elf, input.limits())).transpose()) {
            Ok(None | Some(info::Search::NotGo)) => {}
            Ok(Some(info::Search::Without)) => report.unknown(
                "a program that Go built, without the information of which modules: by a version before 1.13, or taken away",
            ),
            Ok(Some(info::Search::Packed)) => {
                report.unknown("a packed program, as UPX makes them: if Go built it, its modules cannot be read");
            }
            Ok(Some(info::Search::Found(info))) => module::report(&info, input.limits(), &mut |finding| match finding {
                Ok(package) => report.package(package),
                Err(problem) => report.unknown(problem),
            }),
            Err(ElfError::Fs(error)) => return Err(error.into()),
            Err(error) => report.unknown(crate::chain(&error)),
        }
        Ok(())
    }
}

/// Parses any bytes as a program, for fuzzing: it must come back without a panic.
pub fn fuzz_go(content: &[u8]) {
    let limits = Limits::default();
    if let Ok(Some(elf)) = Elf::open(&content)
        && let Ok(info::Search::Found(info)) = info::find(&elf, &limits)
    {
        module::report(&info, &limits, &mut |finding| drop(finding));
    }
}
