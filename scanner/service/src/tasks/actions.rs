//! Which scans are made of a target.

/// Which scans are made of a target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Actions {
    /// The packages of its operating system: `vulns-host-os`.
    pub host_os: bool,
    /// The packages of the operating systems of its containers: `vulns-containers-os`.
    pub containers_os: bool,
    /// The packages of programming languages in its containers: `vulns-containers-app`.
    pub containers_app: bool,
    /// Its own packages of programming languages: `appvulns`.
    pub applications: bool,
}

impl Actions {
    /// Nothing.
    pub const NONE: Self =
        Self { host_os: false, containers_os: false, containers_app: false, applications: false };

    /// Everything.
    pub const ALL: Self =
        Self { host_os: true, containers_os: true, containers_app: true, applications: true };

    /// The names, in the order of the fields.
    pub const NAMES: [&str; 4] = ["vulns-host-os", "vulns-containers-os", "vulns-containers-app", "appvulns"];

    /// What either has.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self {
            host_os: self.host_os || other.host_os,
            containers_os: self.containers_os || other.containers_os,
            containers_app: self.containers_app || other.containers_app,
            applications: self.applications || other.applications,
        }
    }

    /// Adds the action of this name, if there is one.
    pub(super) fn add(&mut self, name: &str) -> bool {
        let action = match name {
            "vulns-host-os" => &mut self.host_os,
            "vulns-containers-os" => &mut self.containers_os,
            "vulns-containers-app" => &mut self.containers_app,
            "appvulns" => &mut self.applications,
            _ => return false,
        };
        *action = true;
        true
    }
}
