//! With real connections, on loopback.

use std::fs;
use std::io::ErrorKind;
use std::sync::Mutex;

use futures_util::future::BoxFuture;
use reqwest::{Method, StatusCode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::client::{Client, ClientError};
use super::*;
use crate::board::testing::{NOW, busy};
use crate::board::{Phase, Severity};

/// Takes orders, and remembers them.
#[derive(Default)]
struct Orders(Mutex<Vec<String>>);

impl Control for Orders {
    fn scan_now<'c>(&'c self, target: &'c str) -> BoxFuture<'c, Result<Accepted, Refused>> {
        self.0.lock().unwrap().push(format!("scan {target}"));
        Box::pin(async move {
            match target {
                "i-0" => Err(Refused::Unknown("there is no i-0".to_owned())),
                "i-1" => Err(Refused::Excluded("its owner opted out".to_owned())),
                "i-2" => Err(Refused::Busy("the queue is full".to_owned())),
                "i-3" => Err(Refused::Invalid("what is that".to_owned())),
                _ => Ok(Accepted { target: target.to_owned(), state: "queued".to_owned() }),
            }
        })
    }

    fn cancel<'c>(&'c self, target: &'c str) -> BoxFuture<'c, Result<Accepted, Refused>> {
        self.0.lock().unwrap().push(format!("cancel {target}"));
        Box::pin(async move { Ok(Accepted { target: target.to_owned(), state: "cancelling".to_owned() }) })
    }
}

/// A service that answers.
struct Running {
    directory: tempfile::TempDir,
    board: Arc<Board>,
    orders: Arc<Orders>,
    address: SocketAddr,
    token: String,
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start() -> Self {
        Self::within(Limits::default())
    }

    fn within(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (board, orders) = (busy(), Arc::new(Orders::default()));
        let options = Options {
            runtime_directory: directory.path().to_owned(),
            socket: listen::bind(0).unwrap(),
            limits,
            clock: || NOW,
        };
        let server = Server::new(options, Arc::clone(&board), Arc::<Orders>::clone(&orders)).unwrap();
        let (address, end) = (server.address(), CancellationToken::new());
        let token = fs::read_to_string(server.token_file()).unwrap().trim().to_owned();
        let task = tokio::spawn(server.run(end.clone()));
        Self { directory, board, orders, address, token, end, task }
    }

    fn certificate(&self) -> Vec<u8> {
        fs::read(self.directory.path().join(access::CERTIFICATE)).unwrap()
    }

    fn tls(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.certificate()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// A request of somebody who trusts the certificate, with this in `Authorization`.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        authorization: Option<&str>,
        body: String,
    ) -> (StatusCode, String) {
        let client =
            reqwest::Client::builder().tls_backend_preconfigured(self.tls()).no_proxy().build().unwrap();
        let mut request = client.request(method, format!("https://{}{path}", self.address)).body(body);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        (response.status(), response.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.ask(Method::GET, path, Some(&format!("Bearer {}", self.token)), String::new()).await
    }

    async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn post(&self, path: &str, body: &str) -> (StatusCode, String) {
        self.ask(Method::POST, path, Some(&format!("bearer {}", self.token)), body.to_owned()).await
    }

    fn client(&self) -> Client {
        Client::new(self.directory.path())
    }
}

#[tokio::test]
async fn nobody_is_told_anything_without_the_token() {
    let service = Running::start();
    let wrong = format!("Bearer {}", "0".repeat(64));
    let short = format!("Bearer {}", &service.token[..63]);
    let basic = format!("Basic {}", service.token);
    for path in ["/health", "/status", "/metrics", "/nowhere"] {
        for (given, expected) in [
            (None, StatusCode::UNAUTHORIZED),
            (Some(""), StatusCode::UNAUTHORIZED),
            (Some(basic.as_str()), StatusCode::UNAUTHORIZED),
            (Some("Bearer "), StatusCode::UNAUTHORIZED),
            (Some(wrong.as_str()), StatusCode::FORBIDDEN),
            (Some(short.as_str()), StatusCode::FORBIDDEN),
        ] {
            let (status, body) = service.ask(Method::GET, path, given, String::new()).await;
            assert_eq!(status, expected, "{path} with {given:?}");
            assert!(body.starts_with(r#"{"error":"#) && body.len() < 100, "{body}");
        }
    }
    let (status, _) = service.ask(Method::POST, "/scan", Some(&wrong), r#"{"id":"i-9"}"#.to_owned()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(service.orders.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn health_has_reasons() {
    let service = Running::start();
    assert_eq!(service.json("/health").await, json!({ "healthy": true, "phase": "ready", "reasons": [] }));
    service.board.problem("journal", Severity::Error, "the disk is full", NOW);
    let (status, body) = service.get("/health").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("journal: the disk is full"), "{body}");
}

#[tokio::test]
async fn each_address_shows_its_part() {
    let service = Running::start();
    let status = service.json("/status").await;
    assert_eq!(status["identity"]["scanner"], "production");
    assert_eq!(status["results"].as_array().unwrap().len(), 2);
    assert_eq!(service.json("/scans").await["scans"][0]["step"], "reading vol-0123456789abcdef0");
    assert_eq!(service.json("/sinks").await["sinks"][1]["failing"]["text"], "connection refused");
    assert_eq!(service.json("/due").await["due"][0]["at"], "2026-05-04T12:09:00Z");
    let failed = service.json("/targets?outcome=failed&kind=instance&region=eu-central-1&limit=5").await;
    assert_eq!(failed["fitting"], 1);
    assert_eq!(failed["results"][0]["target"]["id"], "i-00000000000000003");
    for wrong in ["/targets?colour=red", "/targets?outcome=good", "/targets?limit=-1"] {
        assert_eq!(service.get(wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let (status, page) = service.get("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("\nagentless_scanner_scans_total{outcome=\"complete\"} 1\n"), "{page}");
}

#[tokio::test]
async fn other_addresses_and_methods_are_refused() {
    let service = Running::start();
    assert_eq!(service.get("/").await.0, StatusCode::NOT_FOUND);
    assert_eq!(service.get("/status/../../etc/passwd").await.0, StatusCode::NOT_FOUND);
    assert_eq!(service.get("/scan").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(service.post("/status", "{}").await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn orders_are_carried_out_or_refused() {
    let service = Running::start();
    let (status, body) = service.post("/scan", r#"{"id":"i-9"}"#).await;
    assert_eq!((status, body.as_str()), (StatusCode::ACCEPTED, r#"{"target":"i-9","state":"queued"}"#));
    let (status, _) = service.post("/cancel", r#"{"arn":"arn:aws:ec2:eu-central-1:1:instance/i-9"}"#).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let expected = ["scan i-9", "cancel arn:aws:ec2:eu-central-1:1:instance/i-9"];
    assert_eq!(*service.orders.0.lock().unwrap(), expected);
    for (id, expected) in [("i-0", 404), ("i-1", 409), ("i-2", 503), ("i-3", 400)] {
        let (status, body) = service.post("/scan", &json!({ "id": id }).to_string()).await;
        assert_eq!(status.as_u16(), expected, "{body}");
    }
    service.orders.0.lock().unwrap().clear();
    let long = json!({ "id": "i".repeat(513) }).to_string();
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"id":""}"#,
        r#"{"id":1}"#,
        r#"{"id":"i-9","arn":"i-9"}"#,
        r#"{"id":"i-9","shell":"rm"}"#,
        r#"{"id":"i-9\n"}"#,
        r#"{"id":"i 9"}"#,
        "\u{0}",
        &long,
    ] {
        assert_eq!(service.post("/scan", wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert!(service.orders.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_long_is_not_read() {
    let service = Running::start();
    let (status, _) = service.post("/scan", &"x".repeat(Limits::default().body + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// Connects by hand, and agrees on TLS.
async fn connect(service: &Running) -> tokio_rustls::client::TlsStream<TcpStream> {
    let name = ServerName::try_from(access::SERVER_NAME).unwrap();
    let stream = TcpStream::connect(service.address).await.unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(service.tls())).connect(name, stream).await.unwrap()
}

/// Reads to the end of the connection, however it comes.
async fn rest(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut rest = Vec::new();
    let mut part = [0; 1_024];
    loop {
        match stream.read(&mut part).await {
            Ok(0) => break,
            Ok(length) => rest.extend_from_slice(&part[..length]),
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
                    "{error}"
                );
                break;
            }
        }
    }
    String::from_utf8(rest).unwrap()
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let service = Running::start();
    let mut stream = connect(&service).await;
    let head = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(40_000));
    // The answer may come before everything is written.
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = rest(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(service.json("/health").await["healthy"], true);
}

#[tokio::test]
async fn a_connection_has_one_request() {
    let service = Running::start();
    let mut stream = connect(&service).await;
    let request =
        format!("GET /health HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", service.token);
    stream.write_all(request.repeat(2).as_bytes()).await.unwrap();
    assert_eq!(rest(&mut stream).await.matches("HTTP/1.1 200").count(), 1);
}

#[tokio::test]
async fn whoever_is_slow_is_cut_off_and_holds_up_nobody_for_long() {
    let short = Duration::from_secs(1);
    let limits = Limits { connections: 2, start: short, whole: 2 * short, ..Limits::default() };
    let service = Running::within(limits);
    // No TLS at all, TLS and then nothing; there is no room for a third.
    let mut silent = TcpStream::connect(service.address).await.unwrap();
    let mut slow = connect(&service).await;
    slow.write_all(b"GET /health HT").await.unwrap();
    assert_eq!(service.json("/health").await["healthy"], true);
    assert_eq!(rest(&mut silent).await, "");
    assert!(!rest(&mut slow).await.contains("200"));
    // A head in time, and no body.
    let mut bodiless = connect(&service).await;
    let token = &service.token;
    let head = format!(
        "POST /scan HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: 20\r\n\r\n{{"
    );
    bodiless.write_all(head.as_bytes()).await.unwrap();
    assert!(!rest(&mut bodiless).await.contains("202"));
}

#[tokio::test]
async fn what_is_no_tls_is_no_trouble() {
    let service = Running::start();
    let mut plain = TcpStream::connect(service.address).await.unwrap();
    plain.write_all(b"GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let mut part = [0; 512];
    while let Ok(length @ 1..) = plain.read(&mut part).await {
        answer.extend_from_slice(&part[..length]);
    }
    assert!(!answer.windows(4).any(|window| window == b"HTTP"));
    assert_eq!(service.json("/health").await["healthy"], true);
}

#[tokio::test]
async fn the_program_sees_the_board() {
    let service = Running::start();
    let (json, view) = service.client().status().await.unwrap();
    assert_eq!(json["phase"], "ready");
    assert_eq!((view.phase, view.scans.len()), (Phase::Ready, 1));
    assert_eq!(service.client().scan("i-9").await.unwrap().state, "queued");
    let arn = "arn:aws:ec2:eu-central-1:1:instance/i-9";
    assert_eq!(service.client().cancel(arn).await.unwrap().target, arn);
    let refused = service.client().scan("i-1").await.unwrap_err();
    assert_eq!(refused.to_string(), "the service answers: its owner opted out");
}

#[tokio::test]
async fn the_program_says_why_there_is_no_answer() {
    let service = Running::start();
    let directory = service.directory.path();
    let token = directory.join(access::TOKEN);
    fs::write(&token, "0".repeat(64)).unwrap();
    let refused = service.client().status().await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 403, .. }), "{refused}");
    fs::write(&token, "not a token").unwrap();
    assert!(matches!(service.client().status().await.unwrap_err(), ClientError::Damaged { .. }));
    fs::write(directory.join(access::ADDRESS), "192.0.2.1:443").unwrap();
    assert!(matches!(service.client().status().await.unwrap_err(), ClientError::Damaged { .. }));
    // One that ended without its files being removed.
    let free = listen::bind(0).unwrap().local_addr().unwrap();
    fs::write(&token, "0".repeat(64)).unwrap();
    fs::write(directory.join(access::ADDRESS), free.to_string()).unwrap();
    assert!(matches!(service.client().status().await.unwrap_err(), ClientError::Gone { .. }));
    // One that ended as it should.
    let Running { directory, end, task, .. } = service;
    end.cancel();
    task.await.unwrap();
    let none = Client::new(directory.path()).status().await.unwrap_err();
    assert!(matches!(none, ClientError::NotRunning { .. }), "{none}");
}

#[tokio::test]
async fn the_program_trusts_the_service_alone() {
    let (service, other) = (Running::start(), Running::start());
    fs::write(service.directory.path().join(access::CERTIFICATE), other.certificate()).unwrap();
    let error = service.client().status().await.unwrap_err();
    assert!(matches!(error, ClientError::Gone { .. } | ClientError::Connection(_)), "{error}");
}

#[tokio::test]
async fn an_answer_of_another_version_is_told_apart() {
    let json = json!({ "identity": { "scanner": "s", "version": "9.9.9" }, "phase": "dreaming" });
    let error = client::understood(json).unwrap_err().to_string();
    assert!(error.contains("9.9.9"), "{error}");
}
