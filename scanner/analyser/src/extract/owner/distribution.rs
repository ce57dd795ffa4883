//! Which packages come from the distribution itself.
//!
//! A distribution publishes advisories for its own packages, with everything that is built into their programs. For those of
//! third parties nobody does, so that their programs are looked into. Where it cannot be told, a package counts as the
//! distribution's own only if most of its kind are: a program too many that is read costs time, a program too few findings.

use crate::fs::FsPath;
use crate::package::{OperatingSystem, Package, PackageKind};

/// Whether a package comes from the distribution that is installed, and not from a third party.
///
/// - Alpine and what descends from it: always. Third parties publish no repositories for it.
/// - RPM: by the vendor, or by the distribution's tag in the release where no vendor is recorded.
/// - Ubuntu: by the maintainer, which its build system sets to one at Ubuntu or Canonical for every package.
/// - Debian and others: unless the maintainer is a known third party or has no address at all. Debian's own maintainers have
///   addresses everywhere (Debian Policy, section 5.6.2).
pub fn is_of_the_distribution(package: &Package, system: Option<&OperatingSystem>) -> bool {
    let id = system.map_or("", |system| system.id.as_str());
    let by = package.details.maintainer.as_deref().unwrap_or_default();
    match package.kind {
        PackageKind::Apk => true,
        PackageKind::Deb => match domain(by) {
            // What images without dpkg have recorded may lack it. They are made of the distribution's packages.
            None => by.is_empty(),
            Some(domain) if id == "ubuntu" => is_one_of(domain, &["canonical.com", "ubuntu.com"]),
            Some(domain) => !is_one_of(domain, THIRD_PARTIES),
        },
        PackageKind::Rpm if by.is_empty() => {
            let release = package.version.rsplit_once('-').map_or("", |(_, release)| release);
            RELEASE_TAGS.iter().any(|tag| release.contains(tag))
        }
        PackageKind::Rpm => VENDORS
            .iter()
            .any(|(vendor, ids)| by.starts_with(vendor) && (ids.is_empty() || ids.contains(&id))),
        _ => false,
    }
}

/// Whether a path is in a directory that distributions leave to others (Filesystem Hierarchy Standard 3.0, sections 3.8, 3.13,
/// 3.17 and 4.9): what is there is not theirs, whatever a package says.
pub(super) fn is_for_add_ons(path: &FsPath) -> bool {
    ["/home", "/opt", "/srv", "/usr/local"].iter().any(|directory| path.starts_with(&FsPath::new(directory)))
}

/// The domain of a maintainer's address: `Name <name@domain>`.
fn domain(maintainer: &str) -> Option<&str> {
    let (_, domain) = maintainer.rsplit_once('@')?;
    Some(domain.trim_end().trim_end_matches('>')).filter(|domain| !domain.is_empty())
}

/// Whether a domain is one of these, or below one.
fn is_one_of(domain: &str, known: &[&str]) -> bool {
    let domain = domain.to_ascii_lowercase();
    known.iter().any(|known| {
        domain.strip_suffix(known).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

/// Domains of those who publish packages for Debian of their own, as their packages' `Maintainer` has them.
const THIRD_PARTIES: &[&str] = &[
    "amazon.com",
    "aquasec.com",
    "azul.com",
    "chef.io",
    "circonus.com",
    "cloudflare.com",
    "cockroachlabs.com",
    "confluent.io",
    "containerd.io",
    "couchbase.com",
    "crowdstrike.com",
    "dan.cx",
    "datadoghq.com",
    "docker.com",
    "dynatrace.com",
    "eclipse.org",
    "elastic.co",
    "f5.com",
    "falco.org",
    "fluentd.org",
    "github.com",
    "gitlab.com",
    "google.com",
    "goteleport.com",
    "grafana.com",
    "haproxy.com",
    "hashicorp.com",
    "influxdata.com",
    "influxdb.com",
    "jenkins-ci.org",
    "kubernetes.io",
    "mariadb.com",
    "microsoft.com",
    "mongodb.com",
    "mysql.com",
    "neo4j.com",
    "netdata.cloud",
    "newrelic.com",
    "nginx.com",
    "nodesource.com",
    "nvidia.com",
    "opensearch.org",
    "oracle.com",
    "percona.com",
    "pulumi.com",
    "puppet.com",
    "puppetlabs.com",
    "rabbitmq.com",
    "redis.com",
    "redis.io",
    "signalfx.com",
    "slack-corp.com",
    "snyk.io",
    "splunk.com",
    "sysdig.com",
    "tailscale.com",
    "teleport.com",
    "timescale.com",
    "treasure-data.com",
    "varnish-software.com",
    "vmware.com",
    "yarnpkg.com",
    "zabbix.com",
    "zoom.us",
];

/// Vendors of RPM distributions, as their packages begin to name them. Some publish packages for other distributions too,
/// under the same name: with those stand the systems that are their own.
const VENDORS: &[(&str, &[&str])] = &[
    ("AlmaLinux", &[]),
    ("Amazon Linux", &[]),
    ("Amazon.com", &["amzn"]),
    ("CentOS", &[]),
    ("CloudLinux", &[]),
    ("Fedora Project", &[]),
    ("Koji", &[]),
    ("Microsoft Corporation", &["azurelinux", "mariner"]),
    ("Oracle America", &["ol"]),
    ("Red Hat", &[]),
    ("Rocky", &[]),
    ("SUSE", &[]),
    ("Scientific Linux", &[]),
    ("VMware", &["photon"]),
    ("openEuler", &[]),
    ("openSUSE", &[]),
];

/// Parts of a release by which distributions mark their packages: Amazon Linux, Azure Linux, CBL-Mariner, Photon OS.
const RELEASE_TAGS: &[&str] = &[".amzn", ".azl", ".cm1", ".cm2", ".ph"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Details, Evidence};

    fn is_own(id: &str, kind: PackageKind, version: &str, maintainer: Option<&str>) -> bool {
        let package = Package {
            name: "a".to_owned(),
            version: version.to_owned(),
            architecture: None,
            kind,
            evidence: Evidence::default(),
            details: Details { maintainer: maintainer.map(str::to_owned), ..Details::default() },
        };
        let system =
            OperatingSystem { id: id.to_owned(), version: None, name: None, evidence: Evidence::default() };
        is_of_the_distribution(&package, Some(&system))
    }

    #[test]
    fn third_parties_are_told_from_the_distribution() {
        use PackageKind::{Apk, Deb, Rpm};
        for (id, kind, version, maintainer, expected) in [
            ("debian", Deb, "1", Some("GNU Libc Maintainers <debian-glibc@lists.debian.org>"), true),
            ("debian", Deb, "1", Some("Somebody <somebody@example.org>"), true),
            ("debian", Deb, "1", Some("Docker <support@docker.com>"), false),
            ("debian", Deb, "1", Some("MySQL Release Engineering <mysql-build@oss.oracle.com>"), false),
            ("debian", Deb, "1", Some("Somebody <somebody@notdocker.com>"), true),
            ("debian", Deb, "1", Some("HashiCorp"), false),
            ("debian", Deb, "1", None, true),
            ("ubuntu", Deb, "1", Some("Ubuntu Developers <ubuntu-devel-discuss@lists.ubuntu.com>"), true),
            ("ubuntu", Deb, "1", Some("Somebody <somebody@example.org>"), false),
            ("rhel", Rpm, "1-1.el8", Some("Red Hat, Inc."), true),
            ("rhel", Rpm, "1-1", Some("Microsoft Corporation"), false),
            ("mariner", Rpm, "1-1.cm2", Some("Microsoft Corporation"), true),
            ("rhel", Rpm, "1-1", Some("HashiCorp"), false),
            ("sles", Rpm, "1-1", Some("SUSE LLC <https://www.suse.com/>"), true),
            ("amzn", Rpm, "1-1.amzn2", None, true),
            ("rhel", Rpm, "1-1", None, false),
            ("alpine", Apk, "1-r0", None, true),
            ("debian", PackageKind::Pypi, "1", None, false),
        ] {
            assert_eq!(is_own(id, kind, version, maintainer), expected, "{id} {maintainer:?}");
        }
    }

    #[test]
    fn what_is_left_to_others_is_never_the_distributions() {
        for (path, expected) in [("/opt/a/b", true), ("/usr/local/bin/a", true), ("/usr/bin/a", false)] {
            assert_eq!(is_for_add_ons(&FsPath::new(path)), expected, "{path}");
        }
    }
}
