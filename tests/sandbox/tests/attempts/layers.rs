//! What each layer stops when the one before it is not there.

use agentless_core::source::{Disk, DiskState, Source};
use agentless_core::task::{Scope, Task};
use agentless_sandbox::parent::{Job, Mode, Sandbox, Stop};

use super::alone;
use super::rows::Stopped;
use super::table::Table;
use super::world::World;

/// What the kernel says instead of the filter: by number, as the C libraries word it differently.
const CASES: &[(&str, &str)] = &[
    ("environment", "os error 24"),
    ("open", "os error 24"),
    ("create", "os error 24"),
    ("remove", "os error 13"),
    ("list", "os error 24"),
    ("connect", "os error 24"),
    ("datagram", "os error 24"),
    ("abstract-socket", "os error 24"),
    ("execute", "os error 13"),
    ("threads", "os error 11"),
    ("trace", "EPERM"),
    ("kill", "os error 1)"),
    ("raise-limit", "os error 1)"),
    ("become-root", "os error 1)"),
];

#[test]
fn each_layer_stops_what_it_can() {
    let _alone = alone();
    let world = World::new();
    let mut table = Table::new(&["attempt", "without Landlock", "without the filter"]);
    let mut wrong = Vec::new();
    for (attempt, expected) in CASES {
        let without_landlock = outcome(&world, "without-landlock", attempt);
        let without_filter = outcome(&world, "without-filter", attempt);
        table.add([attempt, &without_landlock, &without_filter]);
        if without_landlock != Stopped::Filter.by() || !without_filter.contains(expected) {
            wrong.push(format!("{attempt}: {without_landlock}; {without_filter}, not {expected}"));
        }
    }
    table.print();
    world.assert_untouched();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn outcome(world: &World, program: &str, attempt: &str) -> String {
    let sandbox = Sandbox { program: world.program(program), mode: Mode::BestEffort, limits: world.limits() };
    let id = world.target(attempt);
    let state = DiskState::Empty { size: 1 << 20 };
    let disks = [Disk { id: "vol-0".to_owned(), device: None, state }];
    let job = Job { task: Task::Packages(Scope::default()), id: &id, source: Source::Disks(&disks) };
    let result = sandbox.run(job, &mut std::io::sink(), &Stop::default());
    match (Stopped::of(&result), result) {
        (Stopped::Told, Err(error)) => error.to_string(),
        (stopped, _) => stopped.by().to_owned(),
    }
}
