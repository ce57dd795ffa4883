//! RPM databases in each of their formats, made by rpm itself, with what it says is in them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_core::package::Package;

use crate::{kept, tool};

/// One line for each package: what is compared.
const FORMAT: &str = "%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\t%{VENDOR}\t%{LICENSE}\t%{MODULARITYLABEL}\n";
/// Like [`FORMAT`], a line for each requirement.
const REQUIREMENTS: &str = "[%{=NAME}\t%{REQUIRENAME}\n]";
/// Packages of which the requirements are compared: each is a question of its own to rpm.
const ASKED: &str = "many-s1*";

/// A database of rpm, in a folder, and what rpm says of it.
#[derive(Clone, Debug)]
pub struct Made {
    /// The folder that rpm has as its `_dbpath`.
    pub folder: PathBuf,
    /// One line for each package, sorted.
    pub list: Vec<String>,
    /// For some packages, the names of those that they need, sorted.
    pub needs: Vec<(String, Vec<String>)>,
}

/// This machine's rpm, which writes SQLite.
pub fn sqlite() -> Made {
    made("rpm-sqlite-1", |folder| fill(&mut |arguments| rpm(folder, arguments), "sqlite", &rpms(), &key()))
}

/// The rpm of Debian 13, which can write NDB.
pub fn ndb() -> Made {
    made("rpm-ndb-1", |folder| fill_in(&release("trixie"), "ndb", folder))
}

/// The rpm of Debian 11, the last to write Berkeley DB.
pub fn bdb() -> Made {
    made("rpm-bdb-1", |folder| fill_in(&release("bullseye"), "bdb", folder))
}

/// What rpm of this machine lists.
pub fn list(folder: &Path) -> Vec<String> {
    sorted(&rpm(folder, &["-qa", "--qf", FORMAT]))
}

/// A package that we found, in the form of the lists.
pub fn line(package: &Package) -> String {
    let none = |field: Option<&str>| field.unwrap_or("(none)").to_owned();
    let details = &package.details;
    let source = details.source.as_ref().map(|source| {
        let version = source.version.split_once(':').map_or(&source.version[..], |(_, version)| version);
        format!("{}-{version}.src.rpm", source.name)
    });
    [
        package.name.clone(),
        package.version.clone(),
        none(package.architecture.as_deref()),
        none(source.as_deref()),
        none(details.maintainer.as_deref()),
        details.licenses.join(" AND "),
        none(details.module.as_deref()),
    ]
    .join("\t")
}

/// Runs this machine's rpm on a database.
pub fn rpm(folder: &Path, arguments: &[&str]) -> String {
    tool::run(Command::new("rpm").arg("--dbpath").arg(folder).args(arguments))
}

/// Small packages, and some whose headers are long.
pub fn rpms() -> Vec<PathBuf> {
    let tree = kept::tree("rpm-packages-1", |folder| {
        build(folder, "many", &many(), &["noarch"]);
        let module = "Name: mod-ule\nVersion: 1.2~rc1\nRelease: 3.el8+x\nEpoch: 2\nSummary: s\nLicense: MIT and (BSD or GPLv2+)\n\
                      Vendor: Größe & Söhne\nModularityLabel: nodejs:18:8070020230322:abcd\n%description\nd\n%files\n\
                      %ghost /usr/bin/mod-ule\n";
        // Two architectures of one package, side by side.
        build(folder, "module", module, &["x86_64", "i686"]);
        let odd = "Name: odd\nVersion: 0\nRelease: 0\nEpoch: 0\nSummary: s\nLicense: X\nBuildArch: noarch\n%description\nd\n%files\n";
        build(folder, "odd", odd, &["noarch"]);
    });
    let mut rpms = Vec::new();
    for folder in fs::read_dir(tree.join("RPMS")).unwrap() {
        rpms.extend(fs::read_dir(folder.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
    }
    rpms.sort();
    rpms
}

/// Packages that need each other by name, by file and by capability, each fourth without an epoch.
fn many() -> String {
    let mut spec = "Name: many\nVersion: 1.2\nRelease: 3\nSummary: s\nLicense: MIT\nVendor: Somebody\nBuildArch: noarch\n\
                    %description\nd\n%files\n%ghost /opt/many/bin\n"
        .to_owned();
    for number in 0..250_u32 {
        let name = format!("many-s{number}");
        write!(spec, "%package -n {name}\nSummary: s\nLicense: GPL-{}.0 and BSD\nProvides: cap({number}) = 1\nProvides: every\n", number % 3).unwrap();
        if number % 4 != 0 {
            writeln!(spec, "Epoch: {}", number % 4).unwrap();
        }
        if let Some(before) = number.checked_sub(1) {
            writeln!(
                spec,
                "Requires: {name}, many-s{before}, /opt/many/s{}/f0, cap({})",
                before / 2,
                before / 3
            )
            .unwrap();
            writeln!(spec, "Requires: /no/such/file, (many if odd)").unwrap();
        }
        writeln!(spec, "%description -n {name}\nd\n%files -n {name}").unwrap();
        for file in 0..=number % 50 * 8 {
            writeln!(spec, "%ghost /opt/many/s{number}/f{file}").unwrap();
        }
    }
    spec
}

/// Builds the packages of `spec`, into `RPMS` of a folder.
pub fn build(folder: &Path, name: &str, spec: &str, architectures: &[&str]) {
    let file = folder.join(format!("{name}.spec"));
    fs::write(&file, spec).unwrap();
    for architecture in architectures {
        tool::run(
            Command::new("rpmbuild")
                .args(["-bb", "--quiet", "--target", architecture, "--define"])
                .arg(format!("_topdir {}", folder.display()))
                .arg(&file),
        );
    }
}

/// A folder with a database, made by `fill`, which says what is in it.
fn made(name: &str, fill: impl FnOnce(&Path) -> String) -> Made {
    let tree = kept::tree(name, |tree| {
        let folder = tree.join("rpm");
        fs::create_dir(&folder).unwrap();
        let said = fill(&folder);
        fs::write(tree.join("said"), said).unwrap();
    });
    let said = fs::read_to_string(tree.join("said")).unwrap();
    let (list, needs) = said.split_once("\n\n").unwrap();
    let needs = needs.lines().map(|line| {
        let mut names = line.split('\t').map(str::to_owned);
        (names.next().unwrap(), names.collect())
    });
    Made { folder: tree.join("rpm"), list: sorted(list), needs: needs.collect() }
}

/// Installs the packages, and a key, which is a package too. Returns the list, an empty line, and who needs whom.
fn fill(rpm: &mut dyn FnMut(&[&str]) -> String, backend: &str, rpms: &[PathBuf], key: &Path) -> String {
    let backend = format!("_db_backend {backend}");
    let mut rpm = |arguments: &[&str]| rpm(&[&["--define", &backend], arguments].concat());
    rpm(&["--initdb"]);
    let names: Vec<_> = rpms.iter().map(|file| file.to_str().unwrap()).collect();
    rpm(&[&["-i", "--justdb", "--nodeps", "--noscripts", "--ignorearch"], &names[..]].concat());
    rpm(&["--import", key.to_str().unwrap()]);
    // A package that was removed leaves free space, and one that is installed again is written elsewhere.
    rpm(&["-e", "--justdb", "--nodeps", "--noscripts", "many-s249", "many-s149"]);
    let again = names.iter().find(|name| name.contains("-s149-")).unwrap();
    rpm(&["-i", "--justdb", "--nodeps", "--noscripts", again]);
    let list = rpm(&["-qa", "--qf", FORMAT]);
    format!("{}\n\n{}", list.trim_end(), needs(&mut rpm))
}

/// The names of the packages that each needs, as rpm answers for each requirement.
fn needs(rpm: &mut dyn FnMut(&[&str]) -> String) -> String {
    let mut needs = std::collections::BTreeMap::<String, std::collections::BTreeSet<String>>::new();
    let mut answers = std::collections::HashMap::new();
    for line in rpm(&["-qa", ASKED, "--qf", REQUIREMENTS]).lines() {
        let (name, requirement) = line.split_once('\t').unwrap();
        let needed = needs.entry(name.to_owned()).or_default();
        if requirement.starts_with('(')
            || requirement.starts_with("rpmlib(")
            || requirement.starts_with("/no/")
        {
            continue;
        }
        let providers = answers
            .entry(requirement.to_owned())
            .or_insert_with(|| rpm(&["-q", "--whatprovides", requirement, "--qf", "%{NAME}\n"]));
        let providers: Vec<_> = providers.lines().collect();
        if !providers.contains(&name) {
            needed.extend(providers.into_iter().map(str::to_owned));
        }
    }
    let lines = needs
        .into_iter()
        .map(|(name, needed)| [name].into_iter().chain(needed).collect::<Vec<_>>().join("\t"));
    lines.collect::<Vec<_>>().join("\n")
}

/// As [`fill`], with the rpm of another release of Debian.
fn fill_in(root: &Path, backend: &str, folder: &Path) -> String {
    for rpm in rpms() {
        fs::copy(&rpm, root.join("tmp").join(rpm.file_name().unwrap())).unwrap();
    }
    let inside: Vec<_> = rpms().iter().map(|rpm| Path::new("/tmp").join(rpm.file_name().unwrap())).collect();
    let made = root.join("database");
    if made.exists() {
        fs::remove_dir_all(&made).unwrap();
    }
    fs::create_dir(&made).unwrap();
    let mut rpm = |arguments: &[&str]| {
        tool::run(Command::new("chroot").arg(root).args(["rpm", "--dbpath", "/database"]).args(arguments))
    };
    fs::copy(key(), root.join("tmp/key")).unwrap();
    let said = fill(&mut rpm, backend, &inside, Path::new("/tmp/key"));
    for file in fs::read_dir(&made).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    said
}

/// A public key, which rpm keeps as if it were a package: one of Debian's.
fn key() -> PathBuf {
    release("trixie").join("etc/apt/trusted.gpg.d/debian-archive-bookworm-stable.asc")
}

/// A release of Debian with rpm: its packages unpacked, none installed.
fn release(name: &str) -> PathBuf {
    kept::tree(&format!("debian-{name}-rpm-1"), |root| {
        let downloaded = tempfile::tempdir_in(root.parent().unwrap()).unwrap();
        tool::run(
            Command::new("debootstrap")
                .args(["--download-only", "--variant=minbase", "--include=rpm", name])
                .arg(downloaded.path()),
        );
        for package in
            fs::read_dir(downloaded.path().join("var/cache/apt/archives")).unwrap().map(Result::unwrap)
        {
            if package.path().extension().is_some_and(|end| end == "deb") {
                tool::run(Command::new("dpkg-deb").arg("-x").arg(package.path()).arg(root));
            }
        }
    })
}

fn sorted(lines: &str) -> Vec<String> {
    let mut lines: Vec<_> = lines.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
