//! Lock files: what is to be installed for a language.

mod bun;
mod cargo;
mod composer;
mod gem;
mod go;
mod gradle;
mod lockfile;
mod npm;
mod nuget;
mod pdm;
mod pip;
mod pipenv;
mod pnpm;
mod poetry;
mod pom;
mod pylock;
mod uv;
mod yarn;

use self::lockfile::Parse;
use crate::limits::Limits;
use crate::package::PackageKind;

pub use bun::Bun;
pub use cargo::Cargo;
pub use composer::Composer;
pub use gem::Gem;
pub use go::Go;
pub use gradle::Gradle;
pub(super) use lockfile::leave_out_installed;
pub use npm::Npm;
pub use nuget::Nuget;
pub use pdm::Pdm;
pub use pip::Pip;
pub use pipenv::Pipenv;
pub use pnpm::Pnpm;
pub use poetry::Poetry;
pub use pom::Pom;
pub use pylock::Pylock;
pub use uv::Uv;
pub use yarn::Yarn;

/// Parses any bytes as the format that the first byte chooses, for fuzzing: it must come back without a panic.
pub fn fuzz_lock(content: &[u8]) {
    let formats: [(PackageKind, Parse); 17] = [
        (PackageKind::Npm, bun::parse),
        (PackageKind::Cargo, cargo::parse),
        (PackageKind::Composer, composer::parse),
        (PackageKind::Gem, gem::parse),
        (PackageKind::Golang, go::parse),
        (PackageKind::Maven, gradle::parse),
        (PackageKind::Npm, npm::parse),
        (PackageKind::Nuget, nuget::parse),
        (PackageKind::Pypi, pdm::parse),
        (PackageKind::Pypi, pip::parse),
        (PackageKind::Pypi, pipenv::parse),
        (PackageKind::Npm, pnpm::parse),
        (PackageKind::Pypi, poetry::parse),
        (PackageKind::Maven, pom::parse),
        (PackageKind::Pypi, pylock::parse),
        (PackageKind::Pypi, uv::parse),
        (PackageKind::Npm, yarn::parse),
    ];
    let Some((choice, content)) = content.split_first() else { return };
    if let Some((kind, parse)) = formats.get(usize::from(*choice).wrapping_sub(usize::from(b'a'))) {
        lockfile::run(*kind, content.to_vec(), &Limits::default(), parse, &mut drop);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The fuzzer goes further; this is what each change of a parser is tried with.
    #[test]
    fn damage_at_any_place_ends_without_panic() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/lock");
        for seed in std::fs::read_dir(corpus).unwrap() {
            let seed = std::fs::read(seed.unwrap().path()).unwrap();
            for place in 1..seed.len() {
                fuzz_lock(&seed[..place]);
                for byte in *b" \n\"'@:/\xff" {
                    let mut damaged = seed.clone();
                    damaged[place] = byte;
                    fuzz_lock(&damaged);
                }
            }
        }
    }
}
