//! Where batches of tasks come from, and which of their tasks are admitted.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentless_service::http::{self, HttpError, Network, Redirects};
use agentless_service::queue::Order;
use agentless_service::settings::Settings;
use agentless_service::target::Place;
use agentless_service::tasks::{self, PublicKey, SignatureError, Source, SourceError, Task};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::figures;
use super::inventory::Lookup;
use super::service::Service;
use super::world::World;

/// Why a source cannot be used. All are mistakes of the configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The public key is none.
    #[error("`tasks.public_key` cannot be used")]
    Key(#[from] SignatureError),
    /// The address is none, or cannot be reached the way it is configured.
    #[error("`tasks.url` cannot be used")]
    Url(#[from] SourceError),
    /// No client can be made for it.
    #[error("`tasks.url` cannot be used")]
    Client(#[from] HttpError),
}

/// The sources that the configuration names.
pub fn sources(settings: &Settings) -> Result<Vec<Source>, TaskError> {
    let of = &settings.tasks;
    let key = of.public_key.as_deref().map(tasks::public_key).transpose()?;
    let state = &settings.state_directory;
    let key = || -> Option<PublicKey> { key.clone() };
    let mut sources = Vec::new();
    sources.extend(of.file.as_ref().map(|path| Source::file(path, key(), state)));
    sources.extend(of.directory.as_ref().map(|path| Source::directory(path, key(), state)));
    if let Some(url) = &of.url {
        let network = Network { ca_file: settings.ca_file.clone() };
        let client = http::client(&network, Redirects::SameHost)?;
        sources.push(Source::url(url, client, key(), state)?);
    }
    Ok(sources)
}

/// Which tasks may be carried out: those for what is scanned anyway, with the role that is configured.
#[derive(Debug)]
pub struct Admission {
    /// The regions of the accounts that are scanned.
    pub places: Vec<Place>,
    /// The delegate role of each account that has one.
    pub roles: BTreeMap<String, String>,
}

impl Admission {
    /// The order that a task is, or why it is none.
    pub fn admit<W: World>(&self, service: &Service<W>, task: Task) -> Result<Order, String> {
        let place = &task.target.place;
        // The ARN of an image has no account.
        if !self.places.contains(place) {
            return Err(format!(
                "{place} is not scanned: add the account to `accounts` and the region to `regions`"
            ));
        }
        match (&task.role, self.roles.get(&place.account)) {
            (Some(role), configured) if configured != Some(role) => {
                let configured = configured.map_or("the scanner's own identity", |role| role);
                return Err(format!(
                    "it names the role {role}, but {} is scanned with {configured}",
                    place.account
                ));
            }
            _ => {}
        }
        if let Lookup::Skipped(reason) = service.inventory.find(&task.target.arn) {
            return Err(reason);
        }
        Ok(task.into())
    }
}

/// Takes tasks from the sources until the service stops.
pub fn start<W: World>(
    sources: Vec<Source>,
    settings: &Settings,
    admission: Admission,
    service: &Arc<Service<W>>,
    tasks: &mut JoinSet<()>,
) {
    let admission = Arc::new(admission);
    for source in sources {
        let (states, mut changes) = watch::channel(source.state().clone());
        let board = Arc::clone(&service.board);
        board.source(figures::source(source.state()));
        tasks.spawn(async move {
            while changes.changed().await.is_ok() {
                board.source(figures::source(&changes.borrow_and_update()));
            }
        });
        let (admission, of) = (Arc::clone(&admission), Arc::clone(service));
        let (clock, queue, stop) = (service.clock.clone(), service.queue.clone(), service.stop.clone());
        let every = settings.tasks.poll;
        tasks.spawn(async move {
            let admit = |task| admission.admit(&of, task);
            source.run(every, queue, admit, || clock.now(), states, stop).await;
        });
    }
}
