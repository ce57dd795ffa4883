//! Which packages belong to the kernel that is started, and which to others.
//!
//! Distributions keep older kernels installed. What is wrong with one of these concerns nobody until it is started, so the
//! packages of each kernel say whether it is the one.

use super::report::Gathering;
use crate::boot;
use crate::fs::Tree;
use crate::package::{Kernel, Package, PackageKind};

/// Marks the packages of kernels. If it cannot be told which kernel is started, or no package has it, none is marked: a kernel
/// that runs must not be taken for one that does not. Where damage is why, that is reported.
pub(super) fn mark(tree: &Tree, gathering: &mut Gathering) {
    let is_candidate = |package: &&mut Package| match package.kind {
        PackageKind::Deb => deb_release(&package.name).is_some(),
        PackageKind::Rpm => rpm_flavour(&package.name).is_some(),
        PackageKind::Apk => package.name.starts_with("linux-"),
        _ => false,
    };
    let mut packages: Vec<_> = gathering.packages_mut().iter_mut().filter(is_candidate).collect();
    if packages.is_empty() {
        return;
    }
    let found = boot::default_kernel(tree).and_then(|default| Ok((default, boot::installed(tree)?)));
    let (default, installed) = match found {
        Ok((Some(default), installed)) => (default, installed),
        Ok((None, _)) => return tracing::debug!("it cannot be told which kernel is started"),
        Err(doubt) => {
            let reason = format!("it cannot be told which kernel is started: {}", doubt.reason);
            return gathering.push_gap(doubt.path.to_string(), None, reason);
        }
    };
    let marks: Vec<_> = packages.iter().map(|package| belongs(package, &default, &installed)).collect();
    if !marks.contains(&Some(Kernel::Default)) {
        return tracing::debug!(default, "no package has the kernel that is started");
    }
    for (package, mark) in packages.iter_mut().zip(marks) {
        package.details.kernel = mark;
    }
    tracing::debug!(default, "the kernel that is started");
}

/// Whether a package belongs to the kernel of this release, or to another. `None` if it belongs to none.
fn belongs(package: &Package, default: &str, installed: &[String]) -> Option<Kernel> {
    let is_default = match package.kind {
        PackageKind::Deb => is_of_deb(deb_release(&package.name)?, default),
        PackageKind::Rpm => is_of_rpm(package, default)?,
        // A flavour is installed once, and its name stands for its release in the kernel's: `vmlinuz-lts`.
        PackageKind::Apk => {
            let name = package.name.strip_prefix("linux-")?;
            let flavour = name.strip_suffix("-dev").unwrap_or(name);
            if !installed.iter().any(|installed| installed == flavour) {
                return None;
            }
            flavour == default
        }
        _ => return None,
    };
    Some(if is_default { Kernel::Default } else { Kernel::Other })
}

/// The release in the name of a package of Debian or Ubuntu: `6.1.0-18-amd64` of `linux-image-6.1.0-18-amd64`, and the shorter
/// `5.15.0-100` of `linux-headers-5.15.0-100`, which all flavours share.
///
/// It has three numbers at least and the number of an ABI. `linux-kbuild-6.1` has none, as it belongs to no kernel alone.
fn deb_release(name: &str) -> Option<&str> {
    const FIRST: &[&str] = &["linux-", "pve-kernel-", "pve-headers-", "proxmox-kernel-", "proxmox-headers-"];

    FIRST.iter().find(|first| name.starts_with(**first))?;
    let starts = name.match_indices('-').filter_map(|(at, _)| name.get(at.checked_add(1)?..));
    let is_release = |rest: &&str| {
        let version = rest.split('-').next().unwrap_or_default();
        let has_numbers = version.starts_with(|first: char| first.is_ascii_digit())
            && version.bytes().filter(|&byte| byte == b'.').count() >= 2;
        has_numbers && (rest.len() > version.len() || version.contains('+'))
    };
    starts.into_iter().find(is_release)
}

fn is_of_deb(release: &str, default: &str) -> bool {
    const SUFFIXES: &[&str] =
        &["-common", "-common-rt", "-unsigned", "-signed", "-dbg", "-dbgsym", "-template"];

    let is_shared = |release: &str| {
        default == release || default.strip_prefix(release).is_some_and(|rest| rest.starts_with('-'))
    };
    let stripped = SUFFIXES.iter().filter_map(|suffix| release.strip_suffix(suffix));
    stripped.chain([release]).any(is_shared)
}

/// What follows `kernel-` or `linux-` in the name of an RPM of which there is one for each kernel; empty for the kernel alone.
fn rpm_flavour(name: &str) -> Option<&str> {
    /// What all kernels share: programs, documentation, and the headers that a C library was built with.
    const SHARED: &[&str] = &[
        "headers",
        "tools",
        "srpm",
        "rpm",
        "abi",
        "firmware",
        "doc",
        "docs",
        "cross",
        "install",
        "macros",
        "libbpf",
        "livepatch",
        "util",
        "pam",
        "api",
        "atm",
    ];

    let rest = name.strip_prefix("kernel").or_else(|| name.strip_prefix("linux"))?;
    // Of Amazon Linux 2023: `kernel6.12`.
    let rest = rest.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.');
    let flavour = if rest.is_empty() { "" } else { rest.strip_prefix('-')? };
    let is_shared = flavour.split('-').any(|word| SHARED.contains(&word));
    (!is_shared).then_some(flavour)
}

/// Whether an RPM is of a release: its version and release, then its architecture, which older systems left out, then the
/// flavour: `5.14.0-70.el9.x86_64+debug`, `5.14.21-150500.55.39-default`. SUSE's has not the last number, of rebuilds.
fn is_of_rpm(package: &Package, default: &str) -> Option<bool> {
    /// Built side by side with the plain one, from the same source and with the same version.
    const VARIANTS: &[&str] = &["debug", "rt", "64k", "zfcpdump", "xen", "PAE", "kdump"];

    let flavour = rpm_flavour(&package.name)?.split('-').next().unwrap_or_default();
    let version = package.version.split_once(':').map_or(&package.version[..], |(_, version)| version);
    let without_rebuild = version.rsplit_once('.').map(|(version, _)| version);
    // What of the release follows, if it is one of this version.
    let after = |version: &str| {
        let rest = default.strip_prefix(version)?;
        let architecture = package.architecture.as_deref().unwrap_or_default();
        let rest = rest.strip_prefix('.').and_then(|rest| rest.strip_prefix(architecture)).unwrap_or(rest);
        let is_whole = rest.is_empty()
            || rest.starts_with(|next: char| "+-_".contains(next) || next.is_ascii_alphabetic());
        is_whole.then(|| rest.trim_start_matches(['+', '-', '_']))
    };
    let is_variant = VARIANTS.contains(&flavour) && !version.contains(&format!(".{flavour}"));
    if let Some(rest) = after(version) {
        return Some(if is_variant { rest.starts_with(flavour) } else { rest.is_empty() || rest == flavour });
    }
    // SUSE always has a flavour; what is for all of them, such as `kernel-devel`, has none.
    let is_of_suse =
        |rest: &str| !rest.is_empty() && (rest == flavour || matches!(flavour, "devel" | "source" | "syms"));
    Some(without_rebuild.and_then(after).is_some_and(is_of_suse))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use agentless_core::fs::Directory;

    use super::*;
    use crate::extract::{Room, run};
    use crate::limits::Limits;
    use crate::package::{Details, Evidence};

    fn package(kind: PackageKind, name: &str, version: &str) -> Package {
        let architecture = (kind == PackageKind::Rpm).then(|| "x86_64".to_owned());
        let (evidence, details) = (Evidence::default(), Details::default());
        Package { name: name.to_owned(), version: version.to_owned(), architecture, kind, evidence, details }
    }

    /// `+` for packages of the kernel that is started, `-` for those of others, and a space for the rest.
    #[track_caller]
    fn assert_marks(kind: PackageKind, default: &str, packages: &[(&str, &str, char)]) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("boot")).unwrap();
        for name in ["lts", "virt"] {
            std::fs::write(root.path().join("boot").join(format!("vmlinuz-{name}")), "").unwrap();
        }
        let config = format!("DEFAULT x\nLABEL x\n LINUX /vmlinuz-{default}\n");
        std::fs::write(root.path().join("boot/extlinux.conf"), config).unwrap();
        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits);
        let listed = packages.iter().map(|(name, version, _)| package(kind, name, version));
        let mut gathering = Gathering::within(Room::new(tree.limits()), tree.limits());
        gathering.packages_mut().extend(listed);
        mark(&tree, &mut gathering);
        let shown = |package: &Package| match package.details.kernel {
            Some(Kernel::Default) => '+',
            Some(Kernel::Other) => '-',
            None => ' ',
        };
        for (marked, (name, version, expected)) in gathering.packages().iter().zip(packages) {
            assert_eq!(shown(marked), *expected, "{name} {version}");
        }
    }

    #[test]
    fn debian_and_ubuntu_have_the_release_in_the_names() {
        assert_marks(
            PackageKind::Deb,
            "6.1.0-18-amd64",
            &[
                ("linux-image-6.1.0-18-amd64", "6.1.76-1", '+'),
                ("linux-image-6.1.0-18-amd64-dbg", "6.1.76-1", '+'),
                ("linux-headers-6.1.0-18-amd64", "6.1.76-1", '+'),
                ("linux-headers-6.1.0-18-common", "6.1.76-1", '+'),
                ("linux-image-6.1.0-17-amd64", "6.1.69-1", '-'),
                ("linux-headers-6.1.0-17-common", "6.1.69-1", '-'),
                ("linux-image-6.1.0-18-cloud-amd64", "6.1.76-1", '-'),
                ("linux-image-amd64", "6.1.76-1", ' '),
                ("linux-kbuild-6.1", "6.1.76-1", ' '),
                ("linux-libc-dev", "6.1.76-1", ' '),
                ("linux-compiler-gcc-12-x86", "6.1.76-1", ' '),
                ("bash", "5", ' '),
            ],
        );
        assert_marks(
            PackageKind::Deb,
            "6.12.38+deb13-amd64",
            &[
                ("linux-image-6.12.38+deb13-amd64", "6.12.38-1", '+'),
                ("linux-kbuild-6.12.38+deb13", "6.12.38-1", '+'),
                ("linux-kbuild-6.12.37+deb13", "6.12.37-1", '-'),
            ],
        );
        assert_marks(
            PackageKind::Deb,
            "6.5.0-1014-aws",
            &[
                ("linux-image-6.5.0-1014-aws", "1", '+'),
                ("linux-aws-6.5-headers-6.5.0-1014", "1", '+'),
                ("linux-modules-extra-6.5.0-1014-aws", "1", '+'),
                ("linux-aws-6.5-headers-6.5.0-101", "1", '-'),
                ("linux-tools-5.15.0-100-generic", "1", '-'),
                ("linux-aws", "6.5.0.1014.14", ' '),
            ],
        );
    }

    #[test]
    fn rpms_have_it_in_their_versions() {
        let (new, old) = ("5.14.0-362.8.1.el9_3", "5.14.0-70.el9");
        assert_marks(
            PackageKind::Rpm,
            "5.14.0-362.8.1.el9_3.x86_64",
            &[
                ("kernel", new, '+'),
                ("kernel-core", new, '+'),
                ("kernel-modules-extra", new, '+'),
                ("kernel-devel", new, '+'),
                ("kernel-debug-core", new, '-'),
                ("kernel-core", old, '-'),
                ("kernel-core", "5.14.0-362.8.1.el9_30", '-'),
                ("kernel-tools", old, ' '),
                ("kernel-tools-libs", old, ' '),
                ("kernel-headers", old, ' '),
                ("linux-firmware", "20240101", ' '),
            ],
        );
        assert_marks(
            PackageKind::Rpm,
            "5.14.0-362.8.1.el9_3.x86_64+debug",
            &[("kernel-core", new, '-'), ("kernel-debug-core", new, '+')],
        );
        assert_marks(
            PackageKind::Rpm,
            "5.14.21-150500.55.39-default",
            &[
                ("kernel-default", "5.14.21-150500.55.39.1", '+'),
                ("kernel-devel", "5.14.21-150500.55.39.1", '+'),
                ("kernel-azure", "5.14.21-150500.55.39.1", '-'),
                ("kernel-default", "5.14.21-150500.55.36.1", '-'),
                ("kernel-firmware-all", "2024", ' '),
            ],
        );
        assert_marks(
            PackageKind::Rpm,
            "5.10.205-1.ph4-esx",
            &[("linux-esx", "5.10.205-1.ph4", '+'), ("linux", "5.10.205-1.ph4", '-')],
        );
        assert_marks(
            PackageKind::Rpm,
            "6.12.5-1.amzn2023.x86_64",
            &[("kernel6.12", "6.12.5-1.amzn2023", '+'), ("kernel", "1:6.1.79-99.amzn2023", '-')],
        );
        assert_marks(PackageKind::Rpm, "2.6.18-398.el5", &[("kernel", "2.6.18-398.el5", '+')]);
    }

    #[test]
    fn alpine_has_one_of_each_flavour() {
        assert_marks(
            PackageKind::Apk,
            "lts",
            &[
                ("linux-lts", "6.6.14-r0", '+'),
                ("linux-virt", "6.6.14-r0", '-'),
                ("linux-pam", "1.5", ' '),
                ("linux-firmware-none", "1", ' '),
            ],
        );
    }

    #[test]
    fn a_kernel_that_no_package_has_marks_none() {
        assert_marks(PackageKind::Deb, "6.7.1-own", &[("linux-image-6.1.0-18-amd64", "6.1.76-1", ' ')]);
    }

    #[test]
    fn a_damaged_configuration_is_an_unknown_and_no_kernel_is_marked() {
        let stanza = |release: &str| {
            format!("Package: linux-image-{release}-amd64\nStatus: install ok installed\nVersion: 1\n\n")
        };
        for (content, expected) in [
            ("menuentry a {\n linux /vmlinuz-6.1.0-17-amd64\n}\n", None),
            ("menuentry a {\n linux /vml", Some("it ends within an entry")),
            ("menuentry a {\0", Some("it has zeros in it")),
        ] {
            let root = tempfile::tempdir().unwrap();
            for (path, content) in [
                ("var/lib/dpkg/status", &(stanza("6.1.0-17") + &stanza("6.1.0-18"))[..]),
                ("boot/grub/grub.cfg", content),
                ("boot/vmlinuz-6.1.0-18-amd64", ""),
            ] {
                let path = root.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
            let limits = Limits::default();
            let findings = run(&Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits));
            let marks: Vec<_> = findings.packages.iter().map(|package| package.details.kernel).collect();
            match expected {
                None => {
                    assert_eq!(findings.gaps, []);
                    assert_eq!(marks, [Some(Kernel::Default), Some(Kernel::Other)]);
                }
                Some(expected) => {
                    assert_eq!(marks, [None, None]);
                    let [gap] = &findings.gaps[..] else { panic!("{:?}", findings.gaps) };
                    assert_eq!(gap.path.as_deref(), Some("/boot/grub/grub.cfg"));
                    let expected = format!("it cannot be told which kernel is started: {expected}");
                    assert!(gap.reason.starts_with(&expected), "{}", gap.reason);
                }
            }
        }
    }
}
