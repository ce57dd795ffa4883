//! The files by which systems were known before os-release(5), each in the form of its own distribution.

/// What a file says of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// As `ID` in os-release.
    pub(super) id: String,
    pub(super) version: Option<String>,
    /// The name for people.
    pub(super) name: Option<String>,
}

const DEBIAN_VERSION: &str = "/etc/debian_version";

/// The version of Debian's testing and unstable, which have none. Their files are the same: `trixie/sid`.
pub(super) const UNSTABLE: &str = "unstable";
/// The version of Alpine's development branch.
pub(super) const EDGE: &str = "edge";

/// What the file at `path` says. One that is not named here has the form of Red Hat's.
pub(super) fn read(path: &str, content: &[u8]) -> Option<Named> {
    let text = str::from_utf8(content).ok()?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.chars().any(char::is_control) {
        return None;
    }
    match path {
        "/etc/alpine-release" => {
            Some(Named { id: "alpine".to_owned(), version: Some(alpine(line)?), name: None })
        }
        "/etc/lsb-release" => ubuntu(text),
        DEBIAN_VERSION => Some(Named { id: "debian".to_owned(), version: Some(debian(line)?), name: None }),
        "/etc/SuSE-release" => suse(line, text),
        "/etc/photon-release" | "/etc/mariner-release" | "/etc/azurelinux-release" => {
            let mut version = line.split(' ').next_back().filter(|word| is_version(word))?.split('.');
            let id = path.strip_prefix("/etc/")?.strip_suffix("-release")?;
            // Their releases are of two numbers. A date that follows is that of the image.
            let version = format!("{}.{}", version.next()?, version.next()?);
            Some(Named { id: id.to_owned(), version: Some(version), name: Some(line.to_owned()) })
        }
        _ => red_hat(line),
    }
}

/// Alpine's version, such as `2.7.9`. That of the development branch has a date: `3.21.0_alpha20240923`.
pub(super) fn alpine(line: &str) -> Option<String> {
    if line.contains("_alpha") || line.starts_with(EDGE) {
        return Some(EDGE.to_owned());
    }
    is_version(line).then(|| line.to_owned())
}

/// Debian's point release, such as `12.15`.
fn debian(line: &str) -> Option<String> {
    if line == "sid" || line.ends_with("/sid") {
        return Some(UNSTABLE.to_owned());
    }
    is_version(line).then(|| line.to_owned())
}

/// lsb-release is a file of assignments. Only Ubuntu is known by it: others write what they like there.
fn ubuntu(text: &str) -> Option<Named> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim_matches('"')).filter(|value| !value.is_empty() && !value.contains(char::is_control))
    };
    (field("DISTRIB_ID")? == "Ubuntu").then(|| Named {
        id: "ubuntu".to_owned(),
        version: field("DISTRIB_RELEASE").filter(|version| is_version(version)).map(str::to_owned),
        name: field("DISTRIB_DESCRIPTION").map(str::to_owned),
    })
}

/// `NAME release VERSION (CODENAME)`, of Red Hat and all that descend from it.
fn red_hat(line: &str) -> Option<Named> {
    /// How names begin, with ids. Longer ones stand before those that they begin with.
    const NAMES: [(&str, &str); 11] = [
        ("AlmaLinux", "almalinux"),
        ("Amazon Linux", "amzn"),
        ("CentOS Stream", "centos-stream"),
        ("CentOS", "centos"),
        ("CloudLinux", "cloudlinux"),
        ("Enterprise Linux", "ol"),
        ("Fedora", "fedora"),
        ("Oracle Linux", "ol"),
        ("Red Hat Enterprise Linux", "rhel"),
        ("Rocky Linux", "rocky"),
        ("Scientific Linux", "scientific"),
    ];

    let (name, rest) = line.split_once(" release ")?;
    let (_, id) = NAMES.iter().find(|(known, _)| name.starts_with(known))?;
    let version = rest.split(' ').next().filter(|version| is_version(version))?;
    Some(Named { id: (*id).to_owned(), version: Some(version.to_owned()), name: Some(line.to_owned()) })
}

/// A line with the name, then `VERSION = 11` and, of the enterprise products, `PATCHLEVEL = 4`: the service pack.
fn suse(line: &str, text: &str) -> Option<Named> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        value.map(str::trim).filter(|value| is_version(value))
    };
    let version = field("VERSION")?;
    let (id, version) = if line.starts_with("openSUSE") {
        // Leap began with 42, and has 15 since; what was before had numbers from 10 to 13, and no SuSE-release is younger.
        let is_leap = version.starts_with("42.") || version.starts_with("15.");
        (if is_leap { "opensuse-leap" } else { "opensuse" }, version.to_owned())
    } else {
        let id = match line {
            _ if line.starts_with("SUSE Linux Enterprise Server") => "sles",
            _ if line.starts_with("SUSE Linux Enterprise Desktop") => "sled",
            _ => return None,
        };
        let pack = field("PATCHLEVEL").filter(|&pack| pack != "0");
        (id, pack.map_or_else(|| version.to_owned(), |pack| format!("{version}.{pack}")))
    };
    Some(Named { id: id.to_owned(), version: Some(version), name: Some(line.to_owned()) })
}

/// Whether a text is numbers with dots between them.
fn is_version(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_is_a_point_release() {
        for (content, expected) in [
            (&b"12.15\n"[..], Some("12.15")),
            (b"trixie/sid\n", Some("unstable")),
            (b"12; rm", None),
            (b"", None),
            (b"\xff", None),
        ] {
            let version = read(DEBIAN_VERSION, content).and_then(|named| named.version);
            assert_eq!(version.as_deref(), expected, "{content:?}");
        }
    }

    #[test]
    fn the_name_for_people_is_the_line() {
        let line = "CentOS release 6.10 (Final)";
        let named = read("/etc/redhat-release", format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(named.name.as_deref(), Some(line));
    }
}
