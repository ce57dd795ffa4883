//! The configuration, where it meets what the service's crate does not know.

use agentless_sandbox::parent::Mode;
use agentless_service::settings::SandboxMode;

/// The setting for whoever starts analysers.
pub fn sandbox_mode(setting: SandboxMode) -> Mode {
    match setting {
        SandboxMode::Required => Mode::Required,
        SandboxMode::BestEffort => Mode::BestEffort,
    }
}
