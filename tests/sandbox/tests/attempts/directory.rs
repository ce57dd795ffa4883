//! What an analyser can reach through a scanner that reads a directory for it.

use agentless_core::fs::Directory;
use agentless_core::source::Source;
use agentless_core::task::{Scope, Task};
use agentless_sandbox::parent::{Job, Mode, Sandbox, Stop};

use super::alone;
use super::world::World;

/// Of this machine's root, /proc is no part: in it is what the scanner itself must not give away.
#[test]
fn the_scanner_does_not_read_its_own_environment_for_an_analyser() {
    let _alone = alone();
    let world = World::new();
    let limits = world.limits();
    let source = Source::Directory(Box::new(Directory::open("/", &limits).unwrap()));
    let sandbox = Sandbox { program: world.program("malicious"), mode: Mode::Required, limits };
    let job = Job { task: Task::Packages(Scope::default()), id: "environment-by-the-scanner", source };
    let error = sandbox.run(job, &mut std::io::sink(), &Stop::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no {}", std::process::id()));
}
