//! Running a provider as a process: as Terraform starts it, or by hand for debugging.
//!
//! Terraform starts a provider with a magic cookie, the protocol versions it speaks and a client certificate in the
//! environment. The provider opens a socket, writes one line about it to standard output, and serves until told to
//! shut down. Standard output belongs to that line; everything else goes to standard error.

mod connection;
mod handshake;
pub(crate) mod log;
mod services;
mod signals;
mod socket;
mod tls;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server as Transport;

use handshake::{Handshake, HandshakeError};
use services::{broker_server, controller_server, health_server, stdio_server};
use socket::{Socket, SocketError};
use tls::{Identity, TlsError};

use super::proto::tfplugin6::provider_server::ProviderServer;
use super::server::{Server, Service, Stop, remember_panics};
use super::{Diagnostic, Provider, mistakes, provider_schemas};

/// The largest message either way, as in providers written in Go. A state may well be larger than gRPC's usual 4 MiB.
const MAX_MESSAGE: usize = 256 << 20;

/// How long what is under way may take to end after the order to shut down. Terraform itself kills a provider after
/// two seconds.
const GRACE: Duration = Duration::from_secs(10);

/// What can keep a provider from serving.
#[derive(Debug, Error)]
enum ServeError {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("the provider's schema has mistakes, which only its developers can mend:\n  {}", .0.join("\n  "))]
    Schema(Vec<String>),
    #[error("could not start the asynchronous runtime")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("could not handle signals")]
    Signals(#[source] std::io::Error),
    #[error("could not write the handshake to standard output")]
    Output(#[source] std::io::Error),
    #[error("the server failed")]
    Transport(#[from] tonic::transport::Error),
}

/// Who may connect, and what is told about the socket.
enum Mode {
    /// Terraform has started this process, and only it may connect.
    Plugin(Box<Identity>),
    /// A developer has, with `-debug`: no encryption, until interrupted.
    Debug,
}

/// Runs `provider`: the whole of a provider's `main`.
///
/// The arguments of the process are read here: none when Terraform starts it, `-debug` for a provider that a debugger
/// is attached to, `-schema` for generators of documentation, `-version` and `-help` for people.
pub fn serve<P: Provider>(provider: P) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.trim_start_matches('-')).collect();
    let mode = match *arguments {
        [] => plugin_mode(),
        ["debug"] => Ok(Mode::Debug),
        ["version"] => return print(&format!("{} {}\n", P::ADDRESS, P::VERSION), ExitCode::SUCCESS),
        ["schema"] => return print(&format!("{:#}\n", provider_schemas::<P>()), ExitCode::SUCCESS),
        ["help" | "h"] => return print(&usage::<P>(), ExitCode::SUCCESS),
        _ => return complain(&usage::<P>(), ExitCode::from(2)),
    };
    match mode.and_then(|mode| run(provider, mode)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServeError::Handshake(HandshakeError::ByHand)) => complain(&usage::<P>(), ExitCode::FAILURE),
        Err(error) => {
            let chain = Diagnostic::caused_by(format!("{} did not start", P::ADDRESS), &error).to_string();
            // In place of the handshake: it is the one line of a provider that Terraform shows when it does not start.
            let _ = write_out(&format!("{}\n", chain.replace('\n', " ")));
            complain(&format!("{chain}\n"), ExitCode::FAILURE)
        }
    }
}

fn plugin_mode() -> Result<Mode, ServeError> {
    let handshake = Handshake::from_environment(&|name| std::env::var(name).ok())?;
    Ok(Mode::Plugin(Box::new(Identity::new(&handshake.client_certificate)?)))
}

fn run<P: Provider>(provider: P, mode: Mode) -> Result<(), ServeError> {
    log::start(P::ADDRESS);
    remember_panics();
    let mistakes = mistakes::<P>();
    if !mistakes.is_empty() {
        return Err(ServeError::Schema(mistakes));
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let result = runtime.block_on(serve_on_socket(provider, mode));
    // What still runs has had its grace.
    runtime.shutdown_background();
    result
}

async fn serve_on_socket<P: Provider>(provider: P, mode: Mode) -> Result<(), ServeError> {
    let (stop, shutdown) = (Arc::new(Stop::default()), CancellationToken::new());
    let mut socket = Socket::open()?;
    match &mode {
        Mode::Plugin(_) => signals::watch_as_plugin(Arc::clone(&stop), shutdown.clone()),
        Mode::Debug => signals::watch_in_debug(Arc::clone(&stop), shutdown.clone()),
    }
    .map_err(ServeError::Signals)?;

    let announcement = match &mode {
        Mode::Plugin(identity) => handshake::line(socket.path(), identity.certificate()),
        Mode::Debug => handshake::reattach(P::ADDRESS, socket.path()),
    };
    let (identity, path) = match mode {
        Mode::Plugin(identity) => (Some(*identity), socket.path().to_owned()),
        Mode::Debug => (None, socket.path().to_owned()),
    };
    // Under a debugger the process outlives the runs of Terraform, each of which ends with the order to shut down.
    let shutdown_order = if identity.is_some() { shutdown.clone() } else { CancellationToken::new() };
    let connections = connection::accept(socket.listener()?, identity, shutdown.clone());

    let provider = ProviderServer::new(Service(Arc::new(Server::new(provider, stop))))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let served = Transport::builder()
        .add_service(provider)
        .add_service(health_server())
        .add_service(broker_server(shutdown.clone()))
        .add_service(stdio_server(shutdown.clone()))
        .add_service(controller_server(shutdown_order))
        .serve_with_incoming_shutdown(connections, shutdown.clone().cancelled_owned());

    write_out(&announcement).map_err(ServeError::Output)?;
    tracing::debug!(path = %path.display(), version = P::VERSION, "serving");
    tokio::select! {
        served = served => served?,
        () = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        } => tracing::warn!("shut down with work still under way"),
    }
    Ok(())
}

fn usage<P: Provider>() -> String {
    let name = P::ADDRESS.rsplit('/').next().unwrap_or(P::ADDRESS);
    format!(
        "This is the Terraform provider {address}, version {version}.\n\
         \n\
         It is not meant to be run by hand: Terraform starts it when a configuration asks for it.\n\
         \n    \
             terraform {{\n      \
               required_providers {{\n        \
                 {local} = {{ source = \"{address}\" }}\n      \
               }}\n    \
             }}\n\
         \n\
         Then run `terraform init`. To run it under a debugger, start it with -debug.\n\
         Other options: -schema (as `terraform providers schema -json`), -version, -help.\n",
        address = P::ADDRESS,
        version = P::VERSION,
        local = name.split('-').next().unwrap_or(name),
    )
}

fn print(text: &str, code: ExitCode) -> ExitCode {
    if write_out(text).is_ok() { code } else { ExitCode::FAILURE }
}

fn complain(text: &str, code: ExitCode) -> ExitCode {
    // If nobody listens there is nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
    code
}

fn write_out(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
