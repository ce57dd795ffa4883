//! `lang/rust`: the crates in programs that `cargo auditable` built.
//!
//! It writes the list of crates into a section of the program, as JSON that zlib compressed. Source of the format: the
//! documentation of `cargo auditable`, `PARSING.md`, and its JSON schema.

use std::collections::BTreeSet;

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde_json::Value;

use crate::elf::{Elf, ElfError};
use crate::extract::{ExtractError, Extractor, Found, Input, Interest, Reads, Report};
use crate::fs::{FsError, FsPath};
use crate::limits::Limits;
use crate::package::{Details, PackageKind};
use crate::read_at::ReadAt;
use crate::volume::bytes::to_usize;

/// Reads the section `.dep-v0` of programs.
#[derive(Clone, Copy, Debug)]
pub struct Rust;

impl Extractor for Rust {
    fn name(&self) -> &'static str {
        "lang/rust"
    }

    fn description(&self) -> &'static str {
        "Rust crates in programs that `cargo auditable` built"
    }

    fn interest(&self) -> &'static [Interest] {
        // The smallest programs that have the standard library in them, stripped and without unwinding, have more.
        &[Interest::Executable { least: 64 << 10 }]
    }

    fn reads(&self, _path: &FsPath) -> Reads {
        Reads::Start
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        match list(input, input.limits()) {
            Ok(None) => {}
            Ok(Some(list)) => parse(&list, input.limits(), &mut |finding| match finding {
                Ok(package) => report.package(package),
                Err(problem) => report.unknown(problem),
            }),
            Err(ElfError::Fs(error)) => return Err(error.into()),
            Err(error) => report.unknown(crate::chain(&error)),
        }
        Ok(())
    }
}

/// Parses any bytes as a program, for fuzzing, and as a list: it must come back without a panic.
pub fn fuzz_rust(content: &[u8]) {
    let limits = Limits::default();
    let found = list(&content, &limits).ok().flatten();
    for list in [Some(content), found.as_deref()].into_iter().flatten() {
        parse(list, &limits, &mut |finding| drop(finding));
    }
}

/// The list of crates, decompressed.
fn list<S: ReadAt>(source: &S, limits: &Limits) -> Result<Option<Vec<u8>>, ElfError> {
    let Some(elf) = Elf::open(source)? else { return Ok(None) };
    let sections = elf.sections()?;
    let Some(section) = sections.iter().find(|section| section.is(".dep-v0")) else { return Ok(None) };
    let limit = limits.small_file_bytes;
    let too_large = || FsError::Limit { what: "the size of the list of crates (`small_file_bytes`)", limit };
    if section.bytes > limit {
        return Err(too_large().into());
    }
    let compressed = elf.bytes("its section .dep-v0", section.offset, section.bytes)?;
    match decompress_to_vec_zlib_with_limit(&compressed, to_usize(limit)) {
        Ok(list) => Ok(Some(list)),
        Err(error) if error.status == miniz_oxide::inflate::TINFLStatus::HasMoreOutput => {
            Err(too_large().into())
        }
        Err(_) => {
            Err(ElfError::Damaged("its list of crates, in the section .dep-v0, cannot be decompressed"))
        }
    }
}

/// One crate as it is listed.
#[derive(Debug)]
struct Listed<'a> {
    name: &'a str,
    version: &'a str,
    dependencies: &'a [Value],
}

/// Reads the list: the crates that are in the program, its own among them. Those that only ran while it was built are not.
fn parse(list: &[u8], limits: &Limits, emit: &mut dyn FnMut(Result<Found, String>)) {
    let value: Value = match serde_json::from_slice(list) {
        Ok(value) => value,
        Err(error) => return emit(Err(format!("its list of crates is not JSON: {error}"))),
    };
    let Some(packages) = value.get("packages").and_then(Value::as_array) else {
        return emit(Err("its list of crates has no `packages`".to_owned()));
    };
    let listed: Vec<_> = packages.iter().map(|package| listed(package, limits)).collect();
    for (number, package) in listed.iter().enumerate() {
        match package {
            Ok(Some(package)) => {
                let needed = package.dependencies.iter().filter_map(Value::as_u64);
                let needed = needed.filter_map(|index| listed.get(to_usize(index))?.as_ref().ok()?.as_ref());
                let names: BTreeSet<_> = needed.map(|needed| needed.name.to_owned()).collect();
                let details = Details { depends_on: names.into_iter().collect(), ..Details::default() };
                emit(Ok(Found { details, ..Found::new(PackageKind::Cargo, package.name, package.version) }));
            }
            Ok(None) => {}
            Err(problem) => emit(Err(format!("the crate at index {number} of its list {problem}"))),
        }
    }
}

/// One crate, if it is in the program.
fn listed<'a>(package: &'a Value, limits: &Limits) -> Result<Option<Listed<'a>>, String> {
    if package.get("kind").and_then(Value::as_str) == Some("build") {
        return Ok(None);
    }
    let text = |field: &str| {
        let value = package.get(field).and_then(Value::as_str).ok_or_else(|| format!("has no {field}"))?;
        if value.len() > limits.field_bytes {
            let (length, limit) = (value.len(), limits.field_bytes);
            return Err(format!("has a {field} of {length} bytes; the limit is {limit} (`field_bytes`)"));
        }
        if value.is_empty() || value.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
            return Err(format!("has a {field} that is empty, or has space or control characters in it"));
        }
        Ok(value)
    };
    let dependencies = package.get("dependencies").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    Ok(Some(Listed { name: text("name")?, version: text("version")?, dependencies }))
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec_zlib;

    use super::*;
    use crate::elf::tests::Writer;

    fn parsed(list: &str) -> (Vec<Found>, Vec<String>) {
        let (mut packages, mut problems) = (Vec::new(), Vec::new());
        parse(list.as_bytes(), &Limits::default(), &mut |finding| match finding {
            Ok(found) => packages.push(found),
            Err(problem) => problems.push(problem),
        });
        (packages, problems)
    }

    #[test]
    fn crates_of_the_program_are_listed_with_what_they_need() {
        let (found, problems) = parsed(
            r#"{"packages":[
                {"name":"adler","version":"1.0.2","source":"registry"},
                {"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"},
                {"name":"mini","version":"0.1.0","source":"local","dependencies":[2,0,1,0,99],"root":true,"features":["x"]}
            ],"format":1}"#,
        );
        assert!(problems.is_empty(), "{problems:?}");
        let (adler, mini) = (&found[0], &found[1]);
        assert_eq!(found.len(), 2);
        assert_eq!(*adler, Found::new(PackageKind::Cargo, "adler", "1.0.2"));
        assert_eq!((&mini.name[..], &mini.version[..]), ("mini", "0.1.0"));
        assert_eq!(mini.details.depends_on, ["adler", "mini"]);
    }

    #[test]
    fn an_odd_field_costs_one_crate_at_most() {
        let (found, problems) = parsed(
            r#"{"packages":[{"name":1,"version":"1"},{"name":"a"},{"name":"a\u001b","version":"1"},7,
                {"name":"b","version":"1","kind":[],"dependencies":{"x":1},"source":null,"root":"yes"}]}"#,
        );
        assert_eq!(found, [Found::new(PackageKind::Cargo, "b", "1")]);
        assert_eq!(problems.len(), 4);
        assert_eq!(problems[1], "the crate at index 1 of its list has no version");
        for list in ["", "[]", "{\"packages\":1}", &"[".repeat(100_000)] {
            assert_eq!(parsed(list).1.len(), 1, "{list:.20}");
        }
    }

    fn listed_in(section: Vec<u8>) -> Result<Option<Vec<u8>>, ElfError> {
        let sections = vec![(".dep-v0", section)];
        let file =
            Writer { is_64: true, is_big: false, sections, has_sections: true, more_memory: 0 }.write();
        list(&file.as_slice(), &Limits::default())
    }

    #[test]
    fn the_section_is_decompressed_within_its_limit() {
        let content = b"{\"packages\":[]}";
        assert_eq!(listed_in(compress_to_vec_zlib(content, 6)).unwrap().unwrap(), content);
        let bomb = compress_to_vec_zlib(&vec![0; 64 << 20], 9);
        for (section, expected) in [
            (bomb, "the size of the list of crates (`small_file_bytes`)"),
            (b"not zlib".to_vec(), "cannot be decompressed"),
            (vec![0; 2 << 20], "`small_file_bytes`"),
        ] {
            let error = listed_in(section).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
