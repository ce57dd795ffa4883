//! The names of distributions, for those who match advisories by them.

/// The family that Trivy counts a distribution to, from its `ID` in os-release.
pub(in crate::sbom) fn family(id: &str) -> String {
    let id = id.to_lowercase();
    match &*id {
        "almalinux" => "alma",
        "amzn" => "amazon",
        "mariner" => "cbl-mariner",
        "ol" => "oracle",
        "opensuse" => "opensuse-leap",
        "rhel" => "redhat",
        "sl-micro" | "sle-micro" | "sle-micro-rancher" => "slem",
        // The same packages under other names of the product.
        "sled" | "sles_sap" => "sles",
        other => other,
    }
    .to_owned()
}

/// The namespace of its packages: the family, or the vendor where one has several.
pub(super) fn namespace(id: &str) -> String {
    let family = family(id);
    match &*family {
        "slem" | "sles" => "suse".to_owned(),
        // Leap, Tumbleweed and MicroOS.
        other if other.starts_with("opensuse") => "opensuse".to_owned(),
        _ => family,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_the_names_that_back_ends_know() {
        for (id, expected_family, expected_namespace) in [
            ("rhel", "redhat", "redhat"),
            ("centos", "centos", "centos"),
            ("rocky", "rocky", "rocky"),
            ("almalinux", "alma", "alma"),
            ("ol", "oracle", "oracle"),
            ("amzn", "amazon", "amazon"),
            ("fedora", "fedora", "fedora"),
            ("photon", "photon", "photon"),
            ("azurelinux", "azurelinux", "azurelinux"),
            ("mariner", "cbl-mariner", "cbl-mariner"),
            ("sles", "sles", "suse"),
            ("sle-micro", "slem", "suse"),
            ("opensuse", "opensuse-leap", "opensuse"),
            ("opensuse-tumbleweed", "opensuse-tumbleweed", "opensuse"),
            ("Debian", "debian", "debian"),
            ("wolfi", "wolfi", "wolfi"),
            ("chainguard", "chainguard", "chainguard"),
        ] {
            assert_eq!((&*family(id), &*namespace(id)), (expected_family, expected_namespace), "{id}");
        }
    }
}
