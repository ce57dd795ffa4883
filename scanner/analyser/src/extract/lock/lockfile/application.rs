//! Whose a lock file is.

use crate::fs::FsPath;

/// Directories that package managers fill, one component each; `*` stands for any name.
const INSTALLED: &[&[&str]] = &[
    // Node.js.
    &["node_modules"],
    // Python.
    &["site-packages"],
    &["dist-packages"],
    // Ruby: `vendor/bundle`, `lib/ruby/gems/3.1.0/gems`, gems from git, and Debian's.
    &["vendor", "bundle"],
    &["gems", "*", "gems"],
    &["bundler", "gems"],
    &["rubygems-integration"],
    // Go's module cache.
    &["pkg", "mod"],
    // Cargo's home, and what `cargo vendor` copies.
    &["registry", "src"],
    &["git", "checkouts"],
    &["vendor", "*", "Cargo.lock"],
    // Composer.
    &["vendor", "*", "*", "composer.lock"],
    // Java: what a build tool wrote into an archive that was unpacked, and Maven's repository.
    &["META-INF", "maven"],
    &[".m2", "repository"],
];

/// Whether a lock file is an application's own. Many packages are published with the lock file of their developers, who
/// pinned what they built and tested it with: nothing of that is installed with the package.
pub(in crate::extract::lock) fn is_an_applications(path: &FsPath) -> bool {
    let components: Vec<&[u8]> = path.components().collect();
    let is_at = |start: usize, pattern: &[&str]| {
        let part = components.get(start..).unwrap_or_default();
        part.len() >= pattern.len()
            && part.iter().zip(pattern).all(|(name, wanted)| *wanted == "*" || *name == wanted.as_bytes())
    };
    !(0..components.len()).any(|start| INSTALLED.iter().any(|pattern| is_at(start, pattern)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_of_installed_packages_are_told_apart() {
        for path in [
            "/srv/a/package-lock.json",
            "/package-lock.json",
            "/home/vendor/app/composer.lock",
            "/srv/vendor/Cargo.lock",
            "/srv/gems/Gemfile.lock",
            "/home/git/checkout/go.mod",
        ] {
            assert!(is_an_applications(&FsPath::new(path)), "{path}");
        }
        for path in [
            "/srv/a/node_modules/b/yarn.lock",
            "/usr/lib/python3/dist-packages/x/requirements.txt",
            "/srv/a/vendor/bundle/ruby/3.1.0/gems/x-1/Gemfile.lock",
            "/var/lib/gems/3.1.0/gems/x-1/Gemfile.lock",
            "/root/go/pkg/mod/example.com/x@v1/go.mod",
            "/usr/local/cargo/registry/src/index/x-1/Cargo.lock",
            "/srv/a/vendor/x/Cargo.lock",
            "/srv/a/vendor/x/y/composer.lock",
            "/srv/a/META-INF/maven/g/a/pom.xml",
        ] {
            assert!(!is_an_applications(&FsPath::new(path)), "{path}");
        }
    }
}
