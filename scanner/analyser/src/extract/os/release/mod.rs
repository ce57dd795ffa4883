//! `os/release`: which operating system a filesystem holds.
//!
//! Systems name themselves in os-release(5) or, those of before 2012, in a file of their own. Both are read in one fixed order,
//! so that the answer does not depend on which other files there are.

mod legacy;
mod os_release;

use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;

use legacy::Named;

/// Reads os-release(5), and the files that systems had before it or have for the minor release.
#[derive(Clone, Copy, Debug)]
pub struct Release;

impl Extractor for Release {
    fn name(&self) -> &'static str {
        "os/release"
    }

    fn version(&self) -> u16 {
        2
    }

    fn description(&self) -> &'static str {
        "Name and version of the operating system"
    }

    fn interest(&self) -> &'static [Interest] {
        // The order is the priority: the first file that names a system stands.
        INTERESTS
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        let content = input.read_small()?;
        let path = input.path().to_string();
        let named = if OS_RELEASE.contains(&&*path) {
            Some(from_os_release(&content, input, report))
        } else {
            legacy::read(&path, &content)
        };
        if let Some(Named { id, version, name }) = named {
            let limit = input.limits().os_field_bytes;
            let mut is_good = |what: &str, value: &str| {
                let length = value.len();
                if length > limit {
                    report.unknown(format!(
                        "its {what} has {length} bytes; the limit is {limit} (`os_field_bytes`)"
                    ));
                    return false;
                }
                // What was not UTF-8 was replaced: it is no name that anybody knows.
                let is_text = !value.contains(char::REPLACEMENT_CHARACTER);
                if !is_text {
                    report.unknown(format!("its {what} is not UTF-8"));
                }
                is_text
            };
            let id = if is_good("id", &id) { id } else { os_release::NO_ID.to_owned() };
            let version = version.filter(|version| is_good("version", version));
            let name = name.filter(|name| is_good("name", name));
            report.operating_system(id, version, name);
        }
        Ok(())
    }
}

const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// os-release, and the older files by priority. A distribution that is made from another one has the other's file too: what is
/// more particular comes first.
const INTERESTS: &[Interest] = &[
    Interest::Exact(OS_RELEASE[0]),
    Interest::Exact(OS_RELEASE[1]),
    Interest::Exact("/etc/alpine-release"),
    Interest::Exact("/etc/lsb-release"),
    Interest::Exact("/etc/debian_version"),
    Interest::Exact("/etc/oracle-release"),
    Interest::Exact("/etc/enterprise-release"),
    Interest::Exact("/etc/rocky-release"),
    Interest::Exact("/etc/almalinux-release"),
    Interest::Exact("/etc/centos-release"),
    Interest::Exact("/etc/fedora-release"),
    Interest::Exact("/etc/redhat-release"),
    Interest::Exact("/etc/system-release"),
    Interest::Exact("/usr/lib/system-release"),
    Interest::Exact("/usr/lib/fedora-release"),
    Interest::Exact("/etc/SuSE-release"),
    Interest::Exact("/etc/photon-release"),
    Interest::Exact("/etc/mariner-release"),
    Interest::Exact("/etc/azurelinux-release"),
];

/// The paths of the older files.
fn legacy_files() -> impl Iterator<Item = &'static str> {
    INTERESTS.iter().skip(OS_RELEASE.len()).filter_map(|interest| match interest {
        Interest::Exact(path) => Some(*path),
        _ => None,
    })
}

/// Parses any bytes as each of the files, for fuzzing: it must come back without a panic.
pub fn fuzz_release(content: &[u8]) {
    drop(os_release::read(content));
    for path in legacy_files() {
        drop(legacy::read(path, content));
    }
}

/// What os-release says, with the minor release where only a legacy file beside it has that.
fn from_os_release(content: &[u8], input: &Input<'_>, report: &mut Report<'_>) -> Named {
    let mut named = os_release::read(content);
    // Whoever writes a minor release there writes all of it.
    if named.version.as_ref().is_some_and(|version| version.contains('.') || version == os_release::ROLLING) {
        return named;
    }
    for path in legacy_files() {
        let beside = match input.read_side(&FsPath::new(path)) {
            Ok(content) => content.and_then(|content| legacy::read(path, &content)),
            Err(error) => {
                report.unknown(format!("{path}: {}", crate::chain(&error)));
                None
            }
        };
        let Some(beside) = beside else { continue };
        if named.id == os_release::NO_ID {
            // An os-release without an id says less than the older file.
            return beside;
        }
        let is_the_same = match (&named.version, &beside.version) {
            (Some(major), Some(version)) => {
                version.strip_prefix(major.as_str()).is_some_and(|minor| minor.starts_with('.'))
            }
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if beside.id == named.id && is_the_same {
            named.version = beside.version;
            break;
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::rc::Rc;

    use agentless_core::fs::Directory;

    use crate::extract::operating_system;
    use crate::fs::Tree;
    use crate::limits::Limits;
    use crate::package::OperatingSystem;

    fn system(root: &Path) -> Option<OperatingSystem> {
        let limits = Limits::default();
        operating_system(&Tree::new(Rc::new(Directory::open(root, &limits).unwrap()), limits))
    }

    /// What a tree of these files is said to hold.
    fn named(files: &[(&str, &str)]) -> Option<(String, Option<String>, String)> {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        system(folder.path()).map(|system| (system.id, system.version, system.evidence.path))
    }

    const OS: &str = "/etc/os-release";
    const DEBIAN: &str = "/etc/debian_version";
    const REDHAT: &str = "/etc/redhat-release";
    const CENTOS: &str = "/etc/centos-release";
    const ORACLE: &str = "/etc/oracle-release";
    const SYSTEM: &str = "/etc/system-release";
    const ALPINE: &str = "/etc/alpine-release";
    const SUSE: &str = "/etc/SuSE-release";
    const PHOTON: &str = "/etc/photon-release";
    const MARINER: &str = "/etc/mariner-release";
    const LSB: &str = "/etc/lsb-release";

    /// A system: the id and version that are expected, and the files of it that say so.
    type System = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

    #[rustfmt::skip]
    const SYSTEMS: &[System] = &[
        // Alpine Linux 2.2-2.7, 3.0-3.19, edge; Wolfi; Chainguard.
        ("alpine", "2.2.3", &[(ALPINE, "2.2.3\n")]),
        ("alpine", "2.7.9", &[(ALPINE, "2.7.9\n")]),
        ("alpine", "3.0.6", &[(OS, "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.0.6\n"), (ALPINE, "3.0.6\n")]),
        ("alpine", "3.19.1", &[(OS, "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.19.1\n"), (ALPINE, "3.19.1\n")]),
        ("alpine", "edge", &[(OS, "ID=alpine\nVERSION_ID=3.21.0_alpha20240923\nPRETTY_NAME=\"Alpine Linux edge\"\n"), (ALPINE, "3.21.0_alpha20240923\n")]),
        ("alpine", "edge", &[(ALPINE, "3.21.0_alpha20240923\n")]),
        ("wolfi", "20230201", &[(OS, "ID=wolfi\nNAME=\"Wolfi\"\nVERSION_ID=\"20230201\"\n")]),
        ("chainguard", "20230214", &[(OS, "ID=chainguard\nNAME=\"Chainguard\"\nVERSION_ID=\"20230214\"\n")]),
        // Red Hat Enterprise Linux 5-10.
        ("rhel", "5.11", &[(REDHAT, "Red Hat Enterprise Linux Server release 5.11 (Tikanga)\n")]),
        ("rhel", "6.10", &[(REDHAT, "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n")]),
        ("rhel", "7.9", &[(OS, "ID=\"rhel\"\nVERSION_ID=\"7.9\"\n"), (REDHAT, "Red Hat Enterprise Linux Server release 7.9 (Maipo)\n")]),
        ("rhel", "8.10", &[(OS, "ID=\"rhel\"\nVERSION_ID=\"8.10\"\n"), (REDHAT, "Red Hat Enterprise Linux release 8.10 (Ootpa)\n")]),
        ("rhel", "10.0", &[(OS, "ID=\"rhel\"\nVERSION_ID=\"10.0\"\n")]),
        // CentOS 5-8 and Stream.
        ("centos", "5.11", &[(REDHAT, "CentOS release 5.11 (Final)\n")]),
        ("centos", "6.10", &[(REDHAT, "CentOS release 6.10 (Final)\n"), (CENTOS, "CentOS release 6.10 (Final)\n"), (SYSTEM, "CentOS release 6.10 (Final)\n")]),
        ("centos", "7.9.2009", &[(OS, "NAME=\"CentOS Linux\"\nID=\"centos\"\nVERSION_ID=\"7\"\n"), (CENTOS, "CentOS Linux release 7.9.2009 (Core)\n")]),
        ("centos", "8.5.2111", &[(OS, "NAME=\"CentOS Linux\"\nID=\"centos\"\nVERSION_ID=\"8\"\n"), (REDHAT, "CentOS Linux release 8.5.2111\n")]),
        ("centos-stream", "8", &[(OS, "NAME=\"CentOS Stream\"\nID=\"centos\"\nVERSION_ID=\"8\"\n"), (CENTOS, "CentOS Stream release 8\n")]),
        ("centos-stream", "9", &[(CENTOS, "CentOS Stream release 9\n")]),
        // AlmaLinux and Rocky Linux 8, 9.
        ("almalinux", "8.9", &[(OS, "ID=\"almalinux\"\nVERSION_ID=\"8.9\"\n"), (REDHAT, "AlmaLinux release 8.9 (Midnight Oncilla)\n")]),
        ("almalinux", "9.4", &[(REDHAT, "AlmaLinux release 9.4 (Seafoam Ocelot)\n")]),
        ("rocky", "8.9", &[(OS, "ID=\"rocky\"\nVERSION_ID=\"8.9\"\n"), (REDHAT, "Rocky Linux release 8.9 (Green Obsidian)\n")]),
        ("rocky", "9.3", &[("/etc/rocky-release", "Rocky Linux release 9.3 (Blue Onyx)\n")]),
        // Oracle Linux 5-9. It names itself Red Hat beside.
        ("ol", "5.11", &[("/etc/enterprise-release", "Enterprise Linux Enterprise Linux Server release 5.11 (Carthage)\n"), (REDHAT, "Red Hat Enterprise Linux Server release 5.11 (Tikanga)\n")]),
        ("ol", "6.10", &[(ORACLE, "Oracle Linux Server release 6.10\n"), (REDHAT, "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n")]),
        ("ol", "7.9", &[(OS, "ID=\"ol\"\nVERSION_ID=\"7.9\"\n"), (ORACLE, "Oracle Linux Server release 7.9\n")]),
        ("ol", "8.9", &[(OS, "ID=\"ol\"\nVERSION_ID=\"8.9\"\n"), (REDHAT, "Red Hat Enterprise Linux release 8.9 (Ootpa)\n")]),
        ("fedora", "39", &[(OS, "NAME=\"Fedora Linux\"\nID=fedora\nVERSION_ID=39\n"), ("/etc/fedora-release", "Fedora release 39 (Thirty Nine)\n")]),
        ("fedora", "14", &[("/etc/fedora-release", "Fedora release 14 (Laughlin)\n"), (REDHAT, "Fedora release 14 (Laughlin)\n")]),
        // CBL-Mariner 1.0, 2.0 and what it became.
        ("mariner", "1.0", &[(MARINER, "CBL-Mariner 1.0.20210901\nMARINER_BUILD_NUMBER=abc\n")]),
        ("mariner", "2.0", &[(OS, "NAME=\"Common Base Linux Mariner\"\nVERSION=\"2.0.20230126\"\nID=mariner\nVERSION_ID=\"2.0\"\n"), (MARINER, "CBL-Mariner 2.0.20230126\n")]),
        ("azurelinux", "3.0", &[(OS, "ID=azurelinux\nVERSION_ID=\"3.0\"\n"), ("/etc/azurelinux-release", "Microsoft Azure Linux 3.0.20240727\n")]),
        // Amazon Linux 1, 2, 2023.
        ("amzn", "2018.03", &[(OS, "NAME=\"Amazon Linux AMI\"\nID=\"amzn\"\nVERSION_ID=\"2018.03\"\n"), (SYSTEM, "Amazon Linux AMI release 2018.03\n")]),
        ("amzn", "2011.09", &[(SYSTEM, "Amazon Linux AMI release 2011.09\n")]),
        ("amzn", "2", &[(OS, "NAME=\"Amazon Linux\"\nID=\"amzn\"\nVERSION_ID=\"2\"\n"), (SYSTEM, "Amazon Linux release 2 (Karoo)\n")]),
        ("amzn", "2023.6.20241010", &[(OS, "NAME=\"Amazon Linux\"\nID=\"amzn\"\nVERSION_ID=\"2023\"\n"), (SYSTEM, "Amazon Linux release 2023.6.20241010 (Amazon Linux)\n")]),
        // openSUSE Leap 42, 15 and before; SUSE Linux Enterprise Server 11, 12, 15.
        ("opensuse-leap", "42.3", &[(OS, "NAME=\"openSUSE Leap\"\nID=opensuse\nVERSION_ID=\"42.3\"\n"), (SUSE, "openSUSE 42.3 (x86_64)\nVERSION = 42.3\n")]),
        ("opensuse-leap", "42.1", &[(SUSE, "openSUSE 42.1 (x86_64)\nVERSION = 42.1\nCODENAME = Malachite\n")]),
        ("opensuse-leap", "15.5", &[(OS, "NAME=\"openSUSE Leap\"\nID=\"opensuse-leap\"\nVERSION_ID=\"15.5\"\n")]),
        ("opensuse-tumbleweed", "20160101", &[(OS, "NAME=\"openSUSE Tumbleweed\"\nID=opensuse\nVERSION_ID=\"20160101\"\n")]),
        ("opensuse", "13.2", &[(SUSE, "openSUSE 13.2 (x86_64)\nVERSION = 13.2\nCODENAME = Harlequin\n")]),
        ("sles", "11", &[(SUSE, "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 0\n")]),
        ("sles", "11.4", &[(SUSE, "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n")]),
        ("sles", "12.5", &[(OS, "NAME=\"SLES\"\nID=\"sles\"\nVERSION_ID=\"12.5\"\n"), (SUSE, "SUSE Linux Enterprise Server 12 (x86_64)\nVERSION = 12\nPATCHLEVEL = 5\n")]),
        ("sles", "12.2", &[(OS, "NAME=\"SLES\"\nID=\"sles\"\nVERSION_ID=\"12\"\n"), (SUSE, "SUSE Linux Enterprise Server 12 (x86_64)\nVERSION = 12\nPATCHLEVEL = 2\n")]),
        ("sles", "15.5", &[(OS, "NAME=\"SLES\"\nID=\"sles\"\nVERSION_ID=\"15.5\"\n")]),
        // Photon OS 1.0-5.0.
        ("photon", "1.0", &[(PHOTON, "VMware Photon Linux 1.0\nPHOTON_BUILD_NUMBER=62c543d\n")]),
        ("photon", "2.0", &[(OS, "NAME=\"VMware Photon\"\nID=photon\nVERSION_ID=2.0\n"), (PHOTON, "VMware Photon Linux 2.0\n")]),
        ("photon", "4.0", &[(PHOTON, "VMware Photon OS 4.0\nPHOTON_BUILD_NUMBER=1526e30ba\n")]),
        ("photon", "5.0", &[(OS, "NAME=\"VMware Photon OS\"\nID=photon\nVERSION_ID=5.0\n")]),
        // Debian 7-13, testing and unstable.
        ("debian", "7.11", &[(DEBIAN, "7.11\n")]),
        ("debian", "7.11", &[(OS, "NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"7\"\n"), (DEBIAN, "7.11\n")]),
        ("debian", "8.11", &[(OS, "ID=debian\nVERSION_ID=\"8\"\n"), (DEBIAN, "8.11\n")]),
        ("debian", "9.13", &[(OS, "ID=debian\nVERSION_ID=\"9\"\n"), (DEBIAN, "9.13\n")]),
        ("debian", "12.15", &[(OS, "ID=debian\nVERSION_ID=\"12\"\n"), (DEBIAN, "12.15\n")]),
        ("debian", "13.1", &[(OS, "ID=debian\nVERSION_ID=\"13\"\n"), (DEBIAN, "13.1\n")]),
        ("debian", "12", &[(OS, "ID=debian\nVERSION_ID=\"12\"\n")]),
        ("debian", "unstable", &[(OS, "PRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nID=debian\nVERSION_CODENAME=forky\n"), (DEBIAN, "forky/sid\n")]),
        ("debian", "unstable", &[(DEBIAN, "wheezy/sid\n")]),
        // Ubuntu. Its debian_version is that of the Debian it was made from.
        ("ubuntu", "10.04", &[(LSB, "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=10.04\nDISTRIB_CODENAME=lucid\n"), (DEBIAN, "squeeze/sid\n")]),
        ("ubuntu", "22.04", &[(OS, "NAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\nID=ubuntu\nID_LIKE=debian\n"), (LSB, "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\n"), (DEBIAN, "bookworm/sid\n")]),
    ];

    #[test]
    fn every_system_is_known_by_its_files() {
        for (id, version, files) in SYSTEMS {
            let (found_id, found_version, evidence) =
                named(files).unwrap_or_else(|| panic!("{id} {version}: nothing"));
            assert_eq!((&found_id[..], found_version.as_deref()), (*id, Some(*version)), "{files:?}");
            assert!(files.iter().any(|(path, _)| *path == evidence), "{evidence}");
            // A derivative that names itself keeps its name, whatever stands beside.
            let mut derived = vec![(OS, "ID=derived\nVERSION_ID=1\n")];
            derived.extend(files.iter().filter(|(path, _)| *path != OS));
            assert_eq!(named(&derived).unwrap().0, "derived");
        }
    }

    #[test]
    fn an_os_release_without_an_id_says_less_than_an_older_file() {
        let empty = (OS, "NAME=\"\"\n");
        assert_eq!(named(&[empty]).unwrap().0, "linux");
        assert_eq!(named(&[empty, (CENTOS, "CentOS release 6.10 (Final)\n")]).unwrap().0, "centos");
    }

    #[test]
    fn what_names_no_system_is_left_out() {
        assert_eq!(named(&[(REDHAT, "Something release\n"), (DEBIAN, "\n"), (LSB, "DISTRIB_ID=\n")]), None);
        assert_eq!(named(&[(REDHAT, "\u{0}\u{1} release 7\n")]), None);
        assert_eq!(named(&[]), None);
    }

    #[test]
    fn values_that_are_not_utf8_are_left_out_and_said() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let content = b"ID=debian\nVERSION_ID=12\xe9\nPRETTY_NAME=caf\xe9\nHOME_URL=\xff\n";
        std::fs::write(root.path().join("etc/os-release"), content).unwrap();
        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits);
        let findings = crate::extract::run(&tree);
        let system = findings.operating_system.unwrap();
        assert_eq!((&system.id[..], system.version, system.name), ("debian", None, None));
        let reasons: Vec<_> = findings.gaps.iter().map(|gap| &gap.reason[..]).collect();
        assert_eq!(reasons, ["its name is not UTF-8", "its version is not UTF-8"]);
    }

    #[test]
    fn values_of_any_length_end_at_the_limit() {
        let long = format!("ID={}\nVERSION_ID={}\n", "x".repeat(1000), "1".repeat(1000));
        let (id, version, _) = named(&[(OS, &long)]).unwrap();
        assert_eq!((&id[..], version), ("linux", None));
    }
}
