use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use tempfile::TempDir;
use time::macros::datetime;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::http::{self, Network, Redirects};
use crate::queue::{Bounds, Cause};
use crate::tasks::tests::{KEY, SIGNATURE, SIGNED};
use crate::tasks::{Part, public_key};

const NOW: OffsetDateTime = datetime!(2026-03-01 09:30 UTC);
const LATER: OffsetDateTime = datetime!(2026-03-01 09:31 UTC);

/// A batch of one volume.
fn batch(volume: u32) -> String {
    SIGNED.replace("0123456789abcdef0", &format!("{volume:017x}"))
}

fn volumes(documents: &[Document]) -> Vec<&str> {
    let tasks = documents.iter().flat_map(|it| &it.batch.tasks);
    tasks.map(|it| it.target.id.trim_start_matches("vol-").trim_start_matches('0')).collect()
}

fn last_error(source: &Source) -> &str {
    source.state().last_error.as_ref().map_or("", |it| &it.message)
}

/// Looks once, and confirms all that is found.
async fn take(source: &mut Source) -> Vec<Document> {
    let documents = source.poll(NOW).await;
    for document in &documents {
        source.confirm(document, NOW).await;
    }
    documents
}

struct Place {
    state: TempDir,
    tasks: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { state: tempfile::tempdir().unwrap(), tasks: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tasks.path().join(name)
    }

    fn write(&self, name: &str, contents: &str) {
        fs::write(self.path(name), contents).unwrap();
    }

    fn file(&self) -> Source {
        Source::file(&self.path("tasks.json"), None, self.state.path())
    }

    fn directory(&self) -> Source {
        Source::directory(self.tasks.path(), None, self.state.path())
    }

    fn signed_directory(&self) -> Source {
        let key = public_key(KEY).unwrap();
        Source::directory(self.tasks.path(), Some(key), self.state.path())
    }
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changed() {
    let place = Place::new();
    let mut source = place.file();
    assert!(source.poll(NOW).await.is_empty());
    assert!(last_error(&source).contains("tasks.json: No such file"), "{}", last_error(&source));
    assert_eq!(source.state().last_ok, None);

    place.write("tasks.json", &batch(1));
    assert_eq!(volumes(&source.poll(NOW).await), ["1"]);
    assert_eq!(volumes(&take(&mut source).await), ["1"], "not confirmed yet");
    assert!(take(&mut source).await.is_empty());
    assert_eq!(source.state().last_ok, Some(NOW));

    place.write("tasks.json", &batch(1));
    assert!(take(&mut source).await.is_empty(), "another time, the same contents");
    place.write("tasks.json", &batch(2));
    assert_eq!(volumes(&take(&mut source).await), ["2"]);
    place.write("tasks.json", &batch(1));
    assert_eq!(volumes(&take(&mut source).await), ["1"], "again");

    let mut restarted = place.file();
    assert!(take(&mut restarted).await.is_empty(), "remembered");
}

#[tokio::test]
async fn garbage_in_a_file_is_refused_and_said_until_it_is_right() {
    let place = Place::new();
    let mut source = place.file();
    fs::write(place.path("tasks.json"), vec![b'x'; 10_000_000]).unwrap();
    assert!(source.poll(NOW).await.is_empty());
    assert!(last_error(&source).contains("longer than 8388608 bytes"), "{}", last_error(&source));
    place.write("tasks.json", "{");
    assert!(source.poll(LATER).await.is_empty());
    assert!(
        last_error(&source).contains("is refused: the document is not a batch"),
        "{}",
        last_error(&source)
    );
    place.write("tasks.json", &batch(1));
    assert_eq!(volumes(&source.poll(LATER).await), ["1"]);
    assert_eq!(source.state().last_ok, Some(LATER));
}

#[tokio::test]
async fn each_file_of_a_directory_is_taken_once() {
    let place = Place::new();
    let mut source = place.directory();
    place.write("b.json", &batch(2));
    place.write("a.json", &batch(1));
    place.write("bad.json", "[]");
    place.write(".c.json", &batch(3));
    place.write("d.json.part", &batch(4));
    fs::create_dir(place.path("e.json")).unwrap();
    // As a file that vanishes between the listing and the reading of it.
    std::os::unix::fs::symlink("nowhere", place.path("vanished.json")).unwrap();
    assert_eq!(volumes(&take(&mut source).await), ["1", "2"]);
    assert!(last_error(&source).contains("e.json: not a regular file"), "{}", last_error(&source));
    fs::remove_dir(place.path("e.json")).unwrap();
    assert!(take(&mut source).await.is_empty());
    assert!(place.path("a.json").exists(), "it stays where it is");

    place.write("c.json", &batch(1));
    place.write("b.json", &batch(5));
    let mut restarted = place.directory();
    assert_eq!(volumes(&take(&mut restarted).await), ["5", "1"], "changed, and new with known contents");
    fs::remove_file(place.path("c.json")).unwrap();
    assert!(take(&mut restarted).await.is_empty());
    place.write("c.json", &batch(1));
    assert_eq!(volumes(&take(&mut restarted).await), ["1"], "put there again");
}

#[tokio::test]
async fn many_documents_are_taken_a_few_at_a_time_and_none_is_left() {
    let place = Place::new();
    let mut source = place.directory();
    for number in 1..=9 {
        place.write(&format!("{number}.json"), &batch(number));
    }
    let mut found = Vec::new();
    for _ in 0..3 {
        let documents = take(&mut source).await;
        assert!(documents.len() <= AT_ONCE);
        found.extend(volumes(&documents).into_iter().map(str::to_owned));
    }
    assert_eq!(found, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[tokio::test]
async fn what_was_done_with_is_not_read_again_until_it_changes() {
    let place = Place::new();
    let mut source = place.directory();
    place.write("a.json", &batch(1));
    place.write("bad.json", "[]");
    let age = |name: &str| {
        let file = fs::File::options().write(true).open(place.path(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_hours(1)).unwrap();
    };
    age("a.json");
    age("bad.json");
    assert_eq!(take(&mut source).await.len(), 1);
    assert_eq!(source.state().last_ok, None);
    let Origin::Files(files) = &source.origin else { panic!("not files") };
    assert_eq!(lock(files).done_count(), 2);
    assert!(source.poll(LATER).await.is_empty());
    assert_eq!(source.state().last_ok, Some(LATER), "not said again");
    place.write("bad.json", &batch(2));
    assert_eq!(volumes(&take(&mut source).await), ["2"]);
}

#[tokio::test]
async fn a_directory_that_is_gone_is_said_and_recovers() {
    let place = Place::new();
    let directory = place.path("later");
    let mut source = Source::directory(&directory, None, place.state.path());
    assert!(source.poll(NOW).await.is_empty());
    assert!(last_error(&source).starts_with("could not read"), "{}", last_error(&source));
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("a.json"), batch(1)).unwrap();
    assert_eq!(volumes(&source.poll(LATER).await), ["1"]);
}

#[tokio::test]
async fn a_document_that_cannot_be_remembered_is_not_taken_twice_by_this_run() {
    let place = Place::new();
    fs::create_dir(place.state.path().join("tasks-file.json")).unwrap();
    let mut source = place.file();
    place.write("tasks.json", &batch(1));
    assert_eq!(take(&mut source).await.len(), 1);
    assert!(last_error(&source).contains("after a restart they are taken again"), "{}", last_error(&source));
    assert!(take(&mut source).await.is_empty());
}

#[tokio::test]
async fn without_the_right_signature_a_document_is_refused_as_a_whole() {
    let place = Place::new();
    let mut source = place.signed_directory();
    place.write("a.json", SIGNED);
    assert!(source.poll(NOW).await.is_empty());
    assert!(last_error(&source).contains("a.json.minisig"), "{}", last_error(&source));
    place.write("a.json.minisig", "none");
    assert!(source.poll(NOW).await.is_empty());
    assert!(last_error(&source).contains("not one of minisign"), "{}", last_error(&source));
    place.write("a.json.minisig", SIGNATURE);
    assert_eq!(take(&mut source).await.len(), 1);

    place.write("a.json", &batch(2));
    place.write("b.json", SIGNED);
    place.write("b.json.minisig", SIGNATURE);
    let documents = take(&mut source).await;
    assert_eq!(volumes(&documents), ["123456789abcdef0"], "the other one");
    assert!(
        last_error(&source).contains("a.json is refused: the signature is not of this"),
        "{}",
        last_error(&source)
    );
}

#[tokio::test(start_paused = true)]
async fn all_tasks_are_queued_also_where_the_queue_is_full_for_a_while() {
    let place = Place::new();
    let task = |number: u32| {
        format!(
            r#"{{"type":"ebs-volume","arn":"arn:aws:ec2:us-east-1:111122223333:volume/vol-{number:017x}"}}"#
        )
    };
    let tasks: Vec<_> = (1..=9).map(task).collect();
    let (tasks, bad) = (tasks.join(","), r#"{"type":"format-disk"}"#);
    place.write("tasks.json", &format!(r#"{{"type":"aws-scan","tasks":[{bad},{tasks}]}}"#));

    let queue = Queue::new(Bounds { length: 2, per_place: 1, deadline: Duration::from_secs(1) });
    let stop = CancellationToken::new();
    let source = place.file();
    let (states, state) = watch::channel(source.state().clone());
    let admit = |task: Task| {
        if task.target.id.ends_with('5') {
            Err("of no account that is scanned".to_owned())
        } else {
            Ok(task.into())
        }
    };
    let run = source.run(Duration::from_mins(1), queue.clone(), admit, || NOW, states, stop.clone());
    let run = tokio::spawn(run);
    let mut scanned = Vec::new();
    for _ in 0..8 {
        let job = queue.take().await.unwrap();
        assert_eq!(job.cause, Cause::Task);
        scanned.push(job.target.id.trim_start_matches("vol-").trim_start_matches('0').to_owned());
    }
    assert_eq!(scanned, ["1", "2", "3", "4", "6", "7", "8", "9"]);
    let mut state = state;
    state.wait_for(|it| it.accepted == 8).await.unwrap();
    stop.cancel();
    run.await.unwrap();
    let state = state.borrow().clone();
    assert_eq!((state.rejected, state.last_ok), (2, Some(NOW)));
    let reasons: Vec<_> = state.last_rejected.iter().map(|it| it.reason.as_str()).collect();
    assert!(
        reasons[0].contains("format-disk") && reasons[1].contains("no account that is scanned"),
        "{reasons:?}"
    );
    assert_eq!(state.last_rejected[0].part, Part::Task);
}

type Answer = fn() -> Response;

/// What the server of an address answers.
#[derive(Default)]
struct Answers {
    files: HashMap<String, String>,
    /// Instead of the files.
    instead: Option<Answer>,
    requests: Vec<(String, Option<String>)>,
}

type Server = Arc<Mutex<Answers>>;

async fn answer(State(server): State<Server>, uri: Uri, headers: HeaderMap) -> Response {
    let mut server = lock(&server);
    let asked = headers.get("if-none-match").map(|it| it.to_str().unwrap().to_owned());
    server.requests.push((uri.to_string(), asked.clone()));
    if let Some(instead) = server.instead {
        return instead();
    }
    let Some(file) = server.files.get(uri.path()) else { return StatusCode::NOT_FOUND.into_response() };
    let tag = format!("\"{}\"", &record::digest(file.as_bytes())[..16]);
    if asked.as_ref() == Some(&tag) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    ([("etag", tag)], file.clone()).into_response()
}

struct Tls(TcpListener, TlsAcceptor);

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.0.accept().await.unwrap();
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A server with a certificate of its own: its answers, its address and the certificate.
async fn serve() -> (Server, String, String) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::default();
    let app = Router::new().fallback(answer).with_state(Arc::clone(&server));
    let listener = Tls(listener, TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (server, format!("https://user:secret@localhost:{port}/tasks.json?token=secret"), own.cert.pem())
}

fn of_address(place: &Place, address: &str, certificate: &str, key: Option<PublicKey>) -> Source {
    let ca_file = place.state.path().join("authorities.pem");
    fs::write(&ca_file, certificate).unwrap();
    let client = http::client(&Network { ca_file: Some(ca_file) }, Redirects::SameHost).unwrap();
    Source::url(address, client, key, place.state.path()).unwrap()
}

#[tokio::test]
async fn an_address_is_read_again_when_it_changed() {
    let (place, (server, address, certificate)) = (Place::new(), serve().await);
    let mut source = of_address(&place, &address, &certificate, None);
    lock(&server).files.insert("/tasks.json".to_owned(), batch(1));
    assert_eq!(volumes(&source.poll(NOW).await), ["1"], "{}", last_error(&source));
    assert_eq!(volumes(&take(&mut source).await), ["1"], "not confirmed yet");
    assert!(take(&mut source).await.is_empty());
    assert_eq!(source.state().last_ok, Some(NOW));
    lock(&server).files.insert("/tasks.json".to_owned(), batch(2));
    assert_eq!(volumes(&take(&mut source).await), ["2"]);

    let requests = std::mem::take(&mut lock(&server).requests);
    let asked: Vec<_> = requests.iter().map(|(_, asked)| asked.is_some()).collect();
    assert_eq!(asked, [false, false, true, true]);
    assert_eq!(requests[0].0, "/tasks.json?token=secret");

    let mut restarted = of_address(&place, &address, &certificate, None);
    assert!(take(&mut restarted).await.is_empty(), "remembered");
    assert_eq!(last_error(&restarted), "");
}

#[tokio::test]
async fn a_server_with_errors_or_too_much_is_said_and_recovers() {
    let (place, (server, address, certificate)) = (Place::new(), serve().await);
    let mut source = of_address(&place, &address, &certificate, None);
    lock(&server).files.insert("/tasks.json".to_owned(), batch(1));
    let answers: [(Answer, &str); 5] = [
        (|| StatusCode::INTERNAL_SERVER_ERROR.into_response(), "answered 500"),
        (|| StatusCode::NOT_MODIFIED.into_response(), "answered 304"),
        (|| Bytes::from(vec![b' '; 9 << 20]).into_response(), "longer than 8388608 bytes"),
        (
            || {
                let chunks =
                    std::iter::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 16])));
                Response::new(Body::from_stream(futures_util::stream::iter(chunks)))
            },
            "longer than 8388608 bytes",
        ),
        (|| "<html>".into_response(), "is refused: the document is not a batch of tasks"),
    ];
    for (answer, expected) in answers {
        lock(&server).instead = Some(answer);
        assert!(source.poll(NOW).await.is_empty());
        assert!(last_error(&source).contains(expected), "{}", last_error(&source));
        assert!(!last_error(&source).contains("secret"), "{}", last_error(&source));
    }
    assert_eq!(source.state().last_ok, None);
    lock(&server).instead = None;
    assert_eq!(volumes(&source.poll(LATER).await), ["1"]);
    assert_eq!(source.state().last_ok, Some(LATER));
    assert!(!source.state().place.contains("secret"), "{}", source.state().place);
}

#[tokio::test]
async fn an_address_needs_the_signature_too() {
    let (place, (server, address, certificate)) = (Place::new(), serve().await);
    let mut source = of_address(&place, &address, &certificate, public_key(KEY).ok());
    lock(&server).files.insert("/tasks.json".to_owned(), batch(1));
    assert!(source.poll(NOW).await.is_empty());
    assert!(last_error(&source).contains("has no signature"), "{}", last_error(&source));
    lock(&server).files.insert("/tasks.json.minisig".to_owned(), SIGNATURE.to_owned());
    assert!(source.poll(NOW).await.is_empty());
    assert!(last_error(&source).contains("not of this document"), "{}", last_error(&source));
    lock(&server).files.insert("/tasks.json".to_owned(), SIGNED.to_owned());
    assert_eq!(take(&mut source).await.len(), 1);
    assert!(take(&mut source).await.is_empty());
}

#[tokio::test]
async fn only_https_of_known_authorities_is_asked() {
    let (place, (server, address, _)) = (Place::new(), serve().await);
    let client = http::client(&Network::default(), Redirects::SameHost).unwrap();
    for bad in ["http://localhost/tasks.json", "file:///etc/passwd", "tasks.json", "https://"] {
        let refused = Source::url(bad, client.clone(), None, place.state.path());
        assert!(matches!(refused, Err(SourceError::Address)), "{bad}");
    }
    let mut source = Source::url(&address, client, None, place.state.path()).unwrap();
    assert!(source.poll(NOW).await.is_empty());
    let error = last_error(&source);
    assert!(error.contains("certificate") && !error.contains("secret"), "{error}");
    assert!(lock(&server).requests.is_empty());
}
