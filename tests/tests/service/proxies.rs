//! `HTTPS_PROXY` and `NO_PROXY`: what goes through the proxy does, and what is excepted does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use agentless_service::board::Outcome;
use agentless_tests::intake::{self, Intake};
use agentless_tests::service::{Machine, eventually};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::scene::{Scene, configure};

/// Names that only the proxy can resolve.
const AWS: &str = "aws.test";
const DATADOG: &str = "datadog.test";
/// A name that everybody can.
const NEAR: &str = "localhost";

#[tokio::test]
async fn each_request_takes_the_way_that_the_environment_names() {
    let scene = Scene::new("eu-south-1").await;
    let (far, near) = (Intake::start().await.unwrap(), Intake::start().await.unwrap());
    let certificate = generate_simple_self_signed([AWS, DATADOG, NEAR].map(str::to_owned)).unwrap();
    let tls = |address: String| encrypted(&certificate, address);
    let aws = tls(host_of(&scene.aws.endpoint())).await;
    let datadog = tls(host_of(&far.url())).await;
    let lists = tls(host_of(&near.lists_url())).await;
    let proxy = Proxy::start([(AWS, aws.port), (DATADOG, datadog.port), (NEAR, lists.port)]).await;

    let machine = Machine::with_key(&scene.aws)
        .unwrap()
        .with_variable("AWS_ENDPOINT_URL", &format!("https://{AWS}"))
        .with_variable("HTTPS_PROXY", &format!("http://127.0.0.1:{}", proxy.port))
        .with_variable("NO_PROXY", &format!("{NEAR},169.254.169.254"));
    let authorities = machine.path("authorities.pem");
    std::fs::write(&authorities, certificate.cert.pem()).unwrap();
    let keys = format!(
        "ca_file: {}\nsinks:\n  datadog: {{api_key: {}, url: \"https://{DATADOG}/api/v2/sbom\"}}\n  \
         https: {{url: \"https://{NEAR}:{}/lists\", authorization: \"{}\"}}\n",
        authorities.display(),
        intake::API_KEY,
        lists.port,
        intake::AUTHORIZATION,
    );
    configure(&machine, &keys);
    let service = machine.ready().await.unwrap();
    let (service, last) = service.scan(&scene.instance.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    let arrived = || async { (far.known().len() == 1 && near.lists().len() == 1).then_some(()) };
    eventually("both sinks have the list", arrived).await.unwrap();
    let finished = service.end().await.unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(scene.left().await.is_empty());
    assert_eq!((far.problems(), near.problems()), (Vec::new(), Vec::new()));

    assert_eq!(proxy.asked(), [format!("{AWS}:443"), format!("{DATADOG}:443")].into());
    assert!(lists.connections() > 0, "the sink that is excepted was reached without the proxy");
}

/// The host and port of an address.
fn host_of(address: &str) -> String {
    let rest = address.strip_prefix("http://").expect("an address");
    rest.split('/').next().expect("a host").to_owned()
}

/// A proxy that answers `CONNECT`, and knows where each name is.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl Proxy {
    async fn start(names: impl IntoIterator<Item = (&'static str, u16)>) -> Self {
        let names: BTreeMap<_, _> = names.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (names, noted) = (names.clone(), Arc::clone(&noted));
                tokio::spawn(async move {
                    let request = head(&mut client).await;
                    let target = request.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
                    // Whatever else it is asked is noted too, as nobody should.
                    let target = target.unwrap_or(&request).to_owned();
                    noted.lock().expect("the list").insert(target.clone());
                    let name = target.split(':').next().unwrap_or_default();
                    let Some(port) = names.get(name) else { return };
                    let mut server = TcpStream::connect(("127.0.0.1", *port)).await.expect("a server");
                    client
                        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                        .await
                        .expect("an answer");
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port, asked }
    }

    /// What it was asked for.
    fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().expect("the list").clone()
    }
}

/// The head of a request.
async fn head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// TLS in front of a server without it.
struct Encrypted {
    port: u16,
    connections: Arc<Mutex<usize>>,
}

impl Encrypted {
    fn connections(&self) -> usize {
        *self.connections.lock().expect("the count")
    }
}

async fn encrypted(certificate: &CertifiedKey<rcgen::KeyPair>, address: String) -> Encrypted {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let connections: Arc<Mutex<usize>> = Arc::default();
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            *counted.lock().expect("the count") += 1;
            let (acceptor, address) = (acceptor.clone(), address.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(address).await.expect("a server");
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    Encrypted { port, connections }
}
