//! The service is killed at every step of a scan, and started again with its disk: nothing is left, and nothing is lost.
//!
//! A trial is one scan that is due, one kill, and one new start. First a scan runs undisturbed, and says which steps there are: every
//! call of AWS, before it is carried out and after, and every change of a file of the journal, the heartbeat and the spools. The
//! usual run takes some of them; with `AGENTLESS_KILL_EVERYWHERE=1` each is tried, and the counts are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentless_service::journal::Journal;
use agentless_tests::intake::{self, Intake};
use agentless_tests::local_aws::{Effect, Fault, Hold, LocalAws, Options};
use agentless_tests::service::{Machine, Service, eventually};
use aws_sdk_ec2::types::Filter;
use futures_util::{StreamExt as _, stream};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::fs::inotify;
use scanner_policy::tags;
use time::OffsetDateTime;
use tokio::task::JoinHandle;

use crate::everything::{make_bucket, s3};
use crate::scene::{LISTS, Scene, configure, image};

const REGION: &str = "eu-central-2";
const BUCKET: &str = "lists-of-the-killed";
const EVERYWHERE: &str = "AGENTLESS_KILL_EVERYWHERE";
/// Trials at a time: they wait more than they work.
const AT_ONCE: usize = 4;
/// How long a step is waited for. One that comes only in some runs costs this time.
const PATIENCE: Duration = Duration::from_secs(20);
/// The changes of files that the usual run takes, of as many as there are, in hundredths.
const SOME: [usize; 4] = [10, 45, 70, 95];

/// Where the service is killed.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Moment {
    /// At a call, the first of its action being 0: before it is carried out, or before its answer comes.
    Call { service: &'static str, action: &'static str, number: u64, is_done: bool },
    /// After so many changes of files.
    File(usize),
}

/// What an undisturbed scan does.
struct Steps {
    calls: Vec<(&'static str, &'static str, u64)>,
    files: usize,
}

/// One scan of the one instance, by a scanner of its own, on a machine and with sinks of its own.
struct Trial {
    id: String,
    aws: LocalAws,
    intake: Intake,
    machine: Machine,
}

#[tokio::test]
async fn promise_4_killed_at_any_step_it_leaves_nothing_and_loses_nothing() {
    let scene = Scene::new(REGION).await;
    make_bucket(&scene.aws, BUCKET, REGION).await;
    let steps = Trial::new(&scene, "undisturbed").await.steps().await;
    let is_full = std::env::var_os(EVERYWHERE).is_some_and(|value| value == "1");
    let moments = if is_full { steps.all() } else { steps.some() };

    let trials = stream::iter(moments.iter().enumerate()).map(async |(number, moment)| {
        let trial = Trial::new(&scene, &format!("killed-{number}")).await;
        (moment, trial.run(moment).await)
    });
    let ended: BTreeMap<&Moment, Result<bool, String>> = trials.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<_> = ended.iter().filter_map(|(moment, it)| Some((moment, it.as_ref().err()?))).collect();
    let missed: Vec<_> = ended.iter().filter(|(_, it)| **it == Ok(false)).map(|(moment, _)| moment).collect();
    let at_files = ended.keys().filter(|moment| matches!(moment, Moment::File(_))).count();
    eprintln!(
        "{} kills, {at_files} of them at changes of files, {} at steps that did not come again: {missed:?}",
        ended.len(),
        missed.len()
    );
    assert!(failed.is_empty(), "{failed:#?}");
    // Calls and files differ a little from run to run, since several things happen at once.
    assert!(missed.len() * 5 <= ended.len(), "{missed:?}");
    assert!(!is_full || ended.len() > 60, "{}", ended.len());
}

impl Steps {
    fn all(&self) -> Vec<Moment> {
        let calls = self.calls.iter().flat_map(|&(service, action, number)| {
            [false, true].map(|is_done| Moment::Call { service, action, number, is_done })
        });
        calls.chain((1..=self.files).map(Moment::File)).collect()
    }

    /// Those that make or delete something, and some others.
    fn some(&self) -> Vec<Moment> {
        let first: BTreeSet<_> = self.calls.iter().filter(|(_, _, number)| *number == 0).collect();
        let some = self.all().into_iter().filter(|moment| match moment {
            Moment::Call { action: "CreateSnapshot" | "DeleteSnapshot" | "PutObject", number: 0, .. } => true,
            Moment::Call { action: "GetSnapshotBlock", number, is_done: true, .. } => *number == 0,
            _ => false,
        });
        let some: Vec<_> =
            some.chain(SOME.map(|share| Moment::File((self.files * share / 100).max(1)))).collect();
        assert!(first.len() >= 8 && some.len() == 11, "{first:?} {some:?}");
        some
    }
}

impl Trial {
    async fn new(scene: &Scene, id: &str) -> Self {
        let aws = scene.aws.share(Options { region: REGION, ..Options::default() }).expect("a local AWS");
        aws.set_volume_content(&scene.instance.volume_id, image().await);
        let intake = Intake::start().await.expect("an intake");
        let machine = Machine::with_key(&aws).expect("a machine");
        configure(
            &machine,
            &format!(
                "scanner_id: {id}\nscan_interval_hours: 1\nsinks:\n  s3: {{bucket: {BUCKET}, prefix: {id}/}}\n  \
                 https: {{url: \"{}\", authorization: \"{}\"}}\n",
                intake.lists_url(),
                intake::AUTHORIZATION,
            ),
        );
        for directory in watched(&machine) {
            let mut make = std::fs::DirBuilder::new();
            make.recursive(true).mode(0o700).create(directory).expect("a directory");
        }
        // It was down for as long as targets are scanned anew: each is due.
        let down = OffsetDateTime::now_utc() - Duration::from_hours(1);
        machine.all_done_until(down).expect("a heartbeat");
        Self { id: id.to_owned(), aws, intake, machine }
    }

    /// Scans, and says what that takes.
    async fn steps(self) -> Steps {
        let watch = Watch::new(&watched(&self.machine));
        let service = self.machine.start().await.expect("a service");
        let changes = watch.kill(service.id(), usize::MAX);
        self.until_all_is_well().await.expect("an undisturbed scan");
        end_watch(&self.machine);
        let files = changes.await.expect("a count");
        assert_eq!(service.end().await.expect("it ends").code, Some(0));
        let mut numbers = BTreeMap::new();
        let calls = self.aws.calls().into_iter().map(|call| {
            let name: (&'static str, &'static str) = (call.service.leak(), call.action.leak());
            let number = numbers.entry(name).and_modify(|number| *number += 1).or_insert(0);
            (name.0, name.1, *number)
        });
        Steps { calls: calls.collect(), files }
    }

    /// True if the moment came. An error says what was left or lost.
    async fn run(self, moment: &Moment) -> Result<bool, String> {
        let told = |error: &dyn std::fmt::Display| format!("{moment:?}: {error}");
        let was_reached = self.kill(moment).await.map_err(|error| told(&error))?;
        self.aws.clear_faults();
        let service = self.machine.ready().await.map_err(|error| told(&error))?;
        let well = self.until_all_is_well().await;
        let finished = service.end().await.map_err(|error| told(&error))?;
        well.map_err(|error| told(&format!("{error}\n{}", finished.stderr)))?;
        if finished.code != Some(0) {
            return Err(told(&finished.stderr));
        }
        let open =
            Journal::open(&self.machine.path("state").join("journal")).map_err(|error| told(&error))?;
        // What the killed scan had begun stays known for longer than it is there: EC2 shows some snapshots late.
        match (&open.open_items()[..], &self.intake.problems()[..]) {
            ([] | [_], []) => Ok(was_reached),
            (open, problems) => Err(told(&format!("open: {open:?}, breaches: {problems:?}"))),
        }
    }

    /// Starts the service, and kills it at that moment.
    async fn kill(&self, moment: &Moment) -> Result<bool, Box<dyn std::error::Error>> {
        let watch = Watch::new(&watched(&self.machine));
        let hold = Hold::new();
        let number = match moment {
            Moment::Call { service, action, number, is_done } => {
                let effect = if *is_done { Effect::HoldReply } else { Effect::HoldRequest };
                self.aws.inject(Fault::on(service, action, effect(hold.clone())).skip(*number).times(1));
                usize::MAX
            }
            Moment::File(number) => *number,
        };
        let mut service = self.machine.start().await?;
        let changes = watch.kill(service.id(), number);
        let was_reached = match moment {
            Moment::File(_) => tokio::time::timeout(PATIENCE, ended(&mut service)).await.is_ok(),
            Moment::Call { .. } => tokio::time::timeout(PATIENCE, hold.reached()).await.is_ok(),
        };
        // One that has ended already is as dead.
        let _ = service.signal(Signal::SIGKILL);
        service.wait().await?;
        hold.release();
        end_watch(&self.machine);
        changes.await?;
        Ok(was_reached)
    }

    /// Every sink has the list, and no snapshot is left.
    async fn until_all_is_well(&self) -> Result<(), String> {
        let look = async || {
            let objects = s3(&self.aws).list_objects_v2().bucket(BUCKET).prefix(format!("{}/", self.id));
            let is_listed = self.machine.lists(LISTS).ok()?.len() == 1
                && self.intake.lists().len() == 1
                && objects.send().await.ok()?.contents().len() == 1;
            (is_listed && self.snapshots().await == 0).then_some(())
        };
        let found = eventually("every sink has the list, and nothing is left", look).await;
        if found.is_ok() {
            return Ok(());
        }
        let (files, lists) = (self.machine.lists(LISTS), self.intake.lists().len());
        Err(format!("files: {files:?}, posted: {lists}, snapshots: {}", self.snapshots().await))
    }

    /// The snapshots of this scanner.
    async fn snapshots(&self) -> usize {
        let own = Filter::builder().name(format!("tag:{}", tags::SCANNER_ID)).values(&self.id).build();
        let ec2 = aws_sdk_ec2::Client::new(&self.aws.harness_sdk_config());
        let found = ec2.describe_snapshots().owner_ids("self").filters(own).send().await;
        found.expect("snapshots").snapshots().len()
    }
}

/// Sees every change of a file in some directories.
struct Watch(OwnedFd);

impl Watch {
    fn new(directories: &[PathBuf]) -> Self {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).expect("inotify");
        let changes = inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE;
        for directory in directories {
            inotify::add_watch(&watch, directory, changes).expect("a watch");
        }
        Self(watch)
    }

    /// Kills a process after so many changes. Returns how many there were until [`end_watch`].
    fn kill(self, process: Pid, number: usize) -> JoinHandle<usize> {
        tokio::task::spawn_blocking(move || {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut changes = inotify::Reader::new(&self.0, &mut buffer);
            let mut count = 0;
            loop {
                let change = changes.next().expect("a change");
                if change.file_name().is_some_and(|name| name.to_bytes() == END.as_bytes()) {
                    return count;
                }
                count += 1;
                if count == number {
                    kill(process, Signal::SIGKILL).expect("it runs");
                }
            }
        })
    }
}

/// Ends the watch of a machine's files.
fn end_watch(machine: &Machine) {
    std::fs::write(machine.path("state").join(END), "").expect("a file");
}

/// Where everything is that must outlive the service.
fn watched(machine: &Machine) -> Vec<PathBuf> {
    let spool = machine.path("spool");
    let spools = ["files", "s3", "https"].map(|sink| spool.join(Path::new(sink)));
    [machine.path("state")].into_iter().chain(spools).collect()
}

async fn ended(service: &mut Service) {
    while !service.has_ended() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const END: &str = "the-end";
