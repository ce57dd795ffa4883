//! Starts a provider as Terraform does, up to the line by which it says where it listens.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P521_SHA512};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::error::Error;

/// By which Terraform shows a provider that it is the one who starts it.
const COOKIE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";

/// A provider that takes longer hangs.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// What stands in for Terraform.
#[derive(Debug)]
pub(crate) struct Client {
    certificate: String,
    /// Where providers make their sockets, which a killed one leaves behind.
    sockets: TempDir,
}

/// A start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) time: Duration,
    /// The most memory that the process has had up to then.
    pub(crate) peak_kib: u64,
}

impl Client {
    pub(crate) fn new() -> Result<Self, Error> {
        // The curve that Terraform takes.
        let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512)?;
        let certificate = CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?.pem();
        let temporary = std::env::temp_dir();
        let sockets = tempfile::tempdir().map_err(Error::io("create a directory in", &temporary))?;
        Ok(Self { certificate, sockets })
    }

    /// Starts the program, and kills it after its handshake.
    pub(crate) async fn start(&self, program: &Path) -> Result<Start, Error> {
        let began = Instant::now();
        let mut child = Command::new(program)
            .env_clear()
            .env("TF_PLUGIN_MAGIC_COOKIE", COOKIE)
            .env("PLUGIN_PROTOCOL_VERSIONS", "5,6")
            .env("PLUGIN_MIN_PORT", "10000")
            .env("PLUGIN_MAX_PORT", "25000")
            .env("PLUGIN_CLIENT_CERT", &self.certificate)
            .env("PLUGIN_UNIX_SOCKET_DIR", self.sockets.path())
            .env("HOME", self.sockets.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io("start", program))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = BufReader::new(stdout);
            let read = tokio::time::timeout(TIME_LIMIT, stdout.read_line(&mut line)).await;
            read.unwrap_or(Ok(0)).map_err(Error::io("read from", program))?;
        }
        let time = began.elapsed();
        // Core version, protocol version, network, address, protocol, certificate.
        if line.split('|').count() < 5 {
            return Err(Error::Handshake { program: program.to_owned(), said: line });
        }
        let peak_kib = peak_kib(child.id().unwrap_or_default())?;
        child.kill().await.map_err(Error::io("end", program))?;
        Ok(Start { time, peak_kib })
    }
}

/// `VmHWM` of a process that runs (`proc_pid_status(5)`).
fn peak_kib(process: u32) -> Result<u64, Error> {
    let path = Path::new("/proc").join(process.to_string()).join("status");
    let status = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.ok_or_else(|| Error::Measurement(format!("{} does not tell VmHWM", path.display())))
}
