//! A local AWS: EC2, EBS direct, Auto Scaling, IAM, STS and instance metadata on loopback ports, for tests and the demo.
//!
//! moto (Python, pinned by digest) holds the state; an overlay corrects it where it differs from AWS's documentation
//! (`tests/local-aws/overlay/`); a proxy in this process stands in front of it, as the only endpoint that anything under test
//! sees. The proxy checks signatures, records every call, injects faults, and serves EBS direct from sparse image files.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use agentless_tests::local_aws::{Effect, Fault, LocalAws, Options};
//!
//! let aws = LocalAws::start(Options::default()).await?;
//! aws.inject(Fault::on("ec2", "CreateSnapshot", Effect::Throttle).times(2));
//! // … run something with AWS_ENDPOINT_URL = aws.endpoint() …
//! assert!(aws.calls().iter().any(|call| call.permission() == "ec2:CreateSnapshot"));
//! aws.assert_no_unimplemented();
//! # Ok(())
//! # }
//! ```

mod clock;
mod credentials;
mod ebs;
mod fault;
mod functions;
mod metadata;
mod moto;
mod proxy;
mod python;
mod record;
mod reply;
mod request;
mod seed;
mod server;
mod signature;
mod xml;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use moto::Moto;
use proxy::Proxy;
use server::Server;

pub(crate) use seed::named;

pub use clock::Clock;
pub use credentials::{ACCOUNT, Principal, SessionCredentials, StaticKey, TEST_KEY};
pub use ebs::BLOCK_SIZE;
pub use fault::{Effect, Fault, Hold};
pub use metadata::InstanceMetadata;
pub use moto::MotoError;
pub use python::{PythonError, environment_of, target_directory};
pub use record::Call;
pub(crate) use request::{ENCRYPTION, ENCRYPTION_KEY};
pub use seed::{
    FunctionCode, Network, RunningInstance, SeedError, create_function, image_of_volume, publish_function,
    publish_layer,
};
pub use server::ServerError;

/// How the local AWS behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time by which tokens and credentials expire.
    pub clock: Clock,
    /// Refuse keys that were not given out here, wrong secrets and expired sessions. On by default.
    pub check_credentials: bool,
    /// Decides which calls meet a fault with a chance.
    pub seed: u64,
    /// Where `sdk_config` and the seeding helpers work. Every region answers.
    pub region: &'static str,
    /// The loopback port; a free one if none is given.
    pub port: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Clock::default(), check_credentials: true, seed: 0, region: "us-east-1", port: None }
    }
}

/// Why the local AWS did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No Python environment.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// No moto.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The port that was asked for.
    #[error("could not listen on 127.0.0.1:{port}; choose another port, or none for a free one")]
    Port {
        /// The port.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
    /// No loopback port or thread.
    #[error("could not start the local AWS's proxy")]
    Proxy(#[from] io::Error),
}

/// A running local AWS. Ends when dropped, moto with the last that shares it; no process outlives this one, however it ends.
#[derive(Debug)]
pub struct LocalAws {
    proxy: Arc<Proxy>,
    address: SocketAddr,
    options: Options,
    runtime: tokio::runtime::Handle,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    server: Arc<Server>,
}

/// How a snapshot that is made from now on goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// Described as `pending` so many times, then `completed`.
    Completed {
        /// How many descriptions find it pending.
        pending_describes: u32,
    },
    /// Described as `pending` so many times, then `error`.
    Error {
        /// How many descriptions find it pending.
        pending_describes: u32,
    },
}

impl LocalAws {
    /// Start a local AWS: seconds, or about a minute the first time, when the Python environment is made.
    ///
    /// # Errors
    /// When Python or its packages are missing, or moto does not start.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        // First, so that a port that is taken is said at once.
        let listener = bind(options.port)?;
        let started = tokio::task::spawn_blocking(|| {
            let python = python::environment()?;
            Ok::<Server, StartError>(Server::start(&python)?)
        });
        let server = started.await.map_err(io::Error::other)??;
        Self::in_front_of(Arc::new(server), listener, options)
    }

    /// Another local AWS in front of the same moto: the same resources, but its own endpoint, calls, faults, clock and keys.
    /// It starts at once. For tests that work on resources of their own.
    ///
    /// # Errors
    /// When no loopback port or thread can be had.
    pub fn share(&self, options: Options) -> Result<Self, StartError> {
        let listener = bind(options.port)?;
        Self::in_front_of(Arc::clone(&self.server), listener, options)
    }

    fn in_front_of(
        server: Arc<Server>,
        listener: std::net::TcpListener,
        options: Options,
    ) -> Result<Self, StartError> {
        let moto = Moto::new(server.port());
        let contents = Arc::new(ebs::Contents::default());
        let address = listener.local_addr()?;
        let proxy = Arc::new(Proxy {
            functions: functions::Functions::default(),
            endpoint: format!("http://{address}"),
            ebs: ebs::Service::new(Arc::clone(&contents), moto.clone(), options.clock.clone()),
            moto,
            clock: options.clock.clone(),
            keys: credentials::Keys::new(),
            calls: record::Calls::default(),
            faults: fault::Plan::new(options.seed),
            contents,
            check_credentials: options.check_credentials,
            unimplemented: std::sync::Mutex::default(),
        });

        let stop = CancellationToken::new();
        let (serving, stopping) = (Arc::clone(&proxy), stop.clone());
        // A runtime of its own: tests share one local AWS, and each has a runtime that ends with it. It lives on its own
        // thread from the beginning, because dropping a runtime inside another one panics.
        let (started, starting) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("local-aws".to_owned()).spawn(move || {
            match runtime_with(listener) {
                Ok((runtime, listener)) => {
                    let _ = started.send(Ok(runtime.handle().clone()));
                    runtime.block_on(proxy::serve(serving, listener, stopping));
                    runtime.shutdown_background();
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        let handle = starting.recv().map_err(io::Error::other)??;
        Ok(Self { proxy, address, options, runtime: handle, stop, thread: Some(thread), server })
    }

    /// The one endpoint of every service, for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of moto itself, behind the proxy. Nothing under test should know it.
    pub fn moto_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.server.port()))
    }

    /// The region of [`Options`].
    pub fn region(&self) -> &'static str {
        self.options.region
    }

    /// The environment that points any AWS SDK at this local AWS, with the account's long-lived key.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", self.options.region.to_owned()),
            ("AWS_ACCESS_KEY_ID", TEST_KEY.access_key_id.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", TEST_KEY.secret_access_key.to_owned()),
        ]
    }

    /// SDK configuration as a user of the account has it. Its calls are recorded and meet faults.
    pub fn sdk_config(&self) -> SdkConfig {
        self.config(&TEST_KEY)
    }

    /// SDK configuration for checks and changes behind the back of what is tested: not recorded, no faults.
    pub fn harness_sdk_config(&self) -> SdkConfig {
        self.config(&credentials::HARNESS_KEY)
    }

    /// SDK configuration for changes in another account, with the role that each new account of an organization has. Its calls
    /// are recorded and meet faults.
    ///
    /// # Errors
    /// When the role cannot be assumed.
    pub async fn sdk_config_of(&self, account: &str) -> Result<SdkConfig, SeedError> {
        let role = format!("arn:aws:iam::{account}:role/OrganizationAccountAccessRole");
        let sts = aws_sdk_sts::Client::new(&self.harness_sdk_config());
        let assumed = sts.assume_role().role_arn(role).role_session_name("harness").send().await?;
        let credentials =
            assumed.credentials().ok_or_else(|| SeedError::new("AssumeRole returned no credentials"))?;
        let (key, secret) = (credentials.access_key_id(), credentials.secret_access_key());
        let token = Some(credentials.session_token().to_owned());
        Ok(self.config_with(Credentials::new(key, secret, token, None, "local-aws")))
    }

    /// SDK configuration with a role's credentials.
    pub fn sdk_config_with(&self, session: &SessionCredentials) -> SdkConfig {
        let (key, secret) = (session.access_key_id.clone(), session.secret_access_key.clone());
        let token = Some(session.session_token.clone());
        // Without the expiration: the SDK would compare it with a clock that tests cannot advance.
        self.config_with(Credentials::new(key, secret, token, None, "local-aws"))
    }

    /// Every recorded call, in order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.proxy.calls.all()
    }

    /// Forget the recorded calls.
    pub fn clear_calls(&self) {
        self.proxy.calls.clear();
    }

    /// Add a fault to the end of the list.
    pub fn inject(&self, fault: Fault) {
        self.proxy.faults.add(fault);
    }

    /// Remove every fault.
    pub fn clear_faults(&self) {
        self.proxy.faults.clear();
    }

    /// The clock of [`Options`].
    pub fn clock(&self) -> &Clock {
        &self.options.clock
    }

    /// Let a volume hold what an image file holds. Each snapshot holds what the file holds when the snapshot is taken.
    pub fn set_volume_content(&self, volume_id: &str, image: &Path) {
        self.proxy.contents.set_volume(volume_id, image);
    }

    /// Let every presigned URL that was given out so far have expired.
    pub fn expire_presigned_urls(&self) {
        self.proxy.functions.expire();
    }

    /// Whether presigned URLs give everything, whatever range is asked for.
    pub fn set_knows_no_ranges(&self, is_so: bool) {
        self.proxy.functions.set_knows_no_ranges(is_so);
    }

    /// Put a container image of these layers into a repository of ECR. Returns its URI.
    pub fn push_image(&self, repository: &str, layers: &[bytes::Bytes]) -> String {
        self.push_image_to((ACCOUNT, self.options.region), repository, layers)
    }

    /// The same in another account or region.
    pub fn push_image_to(
        &self,
        (account, region): (&str, &str),
        repository: &str,
        layers: &[bytes::Bytes],
    ) -> String {
        let digest = self.proxy.functions.push(repository, layers);
        format!("{account}.dkr.ecr.{region}.amazonaws.com/{repository}@{digest}")
    }

    /// How the snapshots that are made from now on go. At first: pending in the reply, completed when described.
    ///
    /// # Errors
    /// When moto cannot be reached.
    pub async fn set_snapshot_outcome(&self, outcome: SnapshotOutcome) -> Result<(), MotoError> {
        let (pending_describes, status) = match outcome {
            SnapshotOutcome::Completed { pending_describes } => (pending_describes, "completed"),
            SnapshotOutcome::Error { pending_describes } => (pending_describes, "error"),
        };
        let request = serde_json::json!({"pending_describes": pending_describes, "status": status});
        self.proxy.moto.control("snapshot-outcome", &request).await
    }

    /// Let an image have been made at `created`, and be deprecated from `deprecated` on (`2026-01-31T12:00:00.000Z`).
    ///
    /// # Errors
    /// When moto cannot be reached or has no such image.
    pub async fn set_image_dates(
        &self,
        image: &str,
        created: &str,
        deprecated: Option<&str>,
    ) -> Result<(), MotoError> {
        let (account, region) = (ACCOUNT, self.options.region);
        let request = serde_json::json!({
            "account": account, "region": region, "image": image, "created": created, "deprecated": deprecated,
        });
        self.proxy.moto.control("image-dates", &request).await
    }

    /// Let an instance have been started from an image last at `launched` (`2026-01-31T12:00:00.000Z`).
    ///
    /// # Errors
    /// When moto cannot be reached or has no such image.
    pub async fn set_image_launched(&self, image: &str, launched: &str) -> Result<(), MotoError> {
        let (account, region) = (ACCOUNT, self.options.region);
        let request = serde_json::json!({
            "account": account, "region": region, "image": image, "launched": launched,
        });
        self.proxy.moto.control("image-launched", &request).await
    }

    /// Let an image be in a state, such as `disabled`.
    ///
    /// # Errors
    /// When moto cannot be reached or has no such image.
    pub async fn set_image_state(&self, image: &str, state: &str) -> Result<(), MotoError> {
        let (account, region) = (ACCOUNT, self.options.region);
        let request =
            serde_json::json!({"account": account, "region": region, "image": image, "state": state});
        self.proxy.moto.control("image-state", &request).await
    }

    /// Let 24 hours have passed since the protection of an image was taken away.
    ///
    /// # Errors
    /// When moto cannot be reached or has no such image.
    pub async fn end_image_cooldown(&self, image: &str) -> Result<(), MotoError> {
        let (account, region) = (ACCOUNT, self.options.region);
        let request = serde_json::json!({"account": account, "region": region, "image": image});
        self.proxy.moto.control("image-cooldown-over", &request).await
    }

    /// Whether instance refreshes that end from now on fail: they then roll back, or end as `Failed` without rollback.
    ///
    /// # Errors
    /// When moto cannot be reached.
    pub async fn let_instance_refreshes_fail(&self, fails: bool) -> Result<(), MotoError> {
        self.proxy.moto.control("refresh-outcome", &serde_json::json!({"fails": fails})).await
    }

    /// Let the instance refreshes of one group fail for a reason, or succeed again.
    ///
    /// # Errors
    /// When moto cannot be reached.
    pub async fn let_instance_refreshes_of_group_fail(
        &self,
        group: &str,
        reason: Option<&str>,
    ) -> Result<(), MotoError> {
        let request = serde_json::json!({"group": group, "reason": reason});
        self.proxy.moto.control("group-refresh-outcome", &request).await
    }

    /// Put the id of an image into a parameter of Systems Manager, so that `resolve:ssm:` finds it.
    ///
    /// # Errors
    /// When moto cannot be reached.
    pub async fn put_image_parameter(&self, name: &str, image_id: &str) -> Result<(), MotoError> {
        let request = serde_json::json!({
            "account": ACCOUNT, "region": self.region(), "name": name, "value": image_id,
        });
        self.proxy.moto.control("parameter", &request).await
    }

    /// Serve instance metadata (version 2) to a program as on an instance with this role, which must exist.
    ///
    /// # Errors
    /// When no loopback port is free.
    pub async fn instance_metadata(&self, role_name: &str) -> io::Result<InstanceMetadata> {
        metadata::start(Arc::clone(&self.proxy), &self.runtime, self.options.region, role_name).await
    }

    /// Calls that the local AWS could not answer, and failures of its own.
    pub fn unimplemented(&self) -> Vec<String> {
        self.proxy.unimplemented.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fail the test if anything called what the local AWS does not implement: its result says nothing about AWS.
    ///
    /// # Panics
    /// When [`Self::unimplemented`] is not empty.
    pub fn assert_no_unimplemented(&self) {
        let unimplemented = self.unimplemented();
        assert!(
            unimplemented.is_empty(),
            "the local AWS met calls that it does not implement:\n{}\nits log ends with:\n{}",
            unimplemented.join("\n"),
            self.server.log_tail(),
        );
    }

    fn config(&self, key: &StaticKey) -> SdkConfig {
        self.config_with(Credentials::new(key.access_key_id, key.secret_access_key, None, None, "local-aws"))
    }

    fn config_with(&self, credentials: Credentials) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static(self.options.region))
            .endpoint_url(self.endpoint())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }
}

fn bind(port: Option<u16>) -> Result<std::net::TcpListener, StartError> {
    let bound = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
    bound.map_err(|source| match port {
        Some(port) => StartError::Port { port, source },
        None => StartError::Proxy(source),
    })
}

/// A runtime, and the listener registered with it.
fn runtime_with(listener: std::net::TcpListener) -> io::Result<(tokio::runtime::Runtime, TcpListener)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    listener.set_nonblocking(true)?;
    let listener = {
        let _guard = runtime.enter();
        TcpListener::from_std(listener)?
    };
    Ok((runtime, listener))
}

impl Drop for LocalAws {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}
