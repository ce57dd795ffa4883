//! A client of the protocol, for what the Terraform at hand does not ask: gRPC over the socket of a provider under a
//! debugger.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use prost::Message;
use rmp::Marker;
use rmp::decode::{RmpRead, read_marker};
use serde_json::{Value as Json, json};
use tokio::net::UnixStream;

use crate::process::Plugin;

/// The protocol's messages, from the same file as the server's.
#[allow(
    dead_code,
    clippy::pedantic,
    clippy::as_conversions,
    clippy::allow_attributes,
    clippy::default_trait_access,
    clippy::use_self,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    unused_qualifications,
    reason = "generated code, with the server that this does not use"
)]
pub(crate) mod proto {
    tonic::include_proto!("tfplugin6");
}

pub(crate) use proto::DynamicValue;

/// A connection to a running provider.
pub(crate) struct Client {
    send: SendRequest<Bytes>,
    _plugin: Plugin,
}

impl Client {
    /// Starts the example provider.
    pub(crate) async fn start() -> Self {
        let mut plugin = Plugin::start(&["-debug"], &[]);
        let attach: Json = serde_json::from_str(&plugin.attach()).unwrap();
        let address =
            attach.as_object().unwrap().values().next().unwrap()["Addr"]["String"].as_str().unwrap();
        let stream = UnixStream::connect(address).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self { send, _plugin: plugin }
    }

    /// The same, configured with a directory.
    pub(crate) async fn configured(root: &std::path::Path) -> Self {
        let client = Self::start().await;
        let request = proto::configure_provider::Request {
            config: Some(value(&json!({"root": root}))),
            ..Default::default()
        };
        let answer: proto::configure_provider::Response = client.call("ConfigureProvider", request).await;
        assert_eq!(said(&answer.diagnostics), Vec::<String>::new());
        client
    }

    /// Asks, and expects one answer.
    pub(crate) async fn call<Q: Message, A: Message + Default>(&self, procedure: &str, request: Q) -> A {
        self.try_call(procedure, request)
            .await
            .unwrap_or_else(|status| panic!("{procedure}: status {status}"))
    }

    /// Asks; the error is the gRPC status.
    pub(crate) async fn try_call<Q: Message, A: Message + Default>(
        &self,
        procedure: &str,
        request: Q,
    ) -> Result<A, i32> {
        let mut answers = self.stream(procedure, request).await?;
        assert_eq!(answers.len(), 1, "{procedure}");
        Ok(answers.remove(0))
    }

    /// Asks, and takes all answers.
    pub(crate) async fn stream<Q: Message, A: Message + Default>(
        &self,
        procedure: &str,
        request: Q,
    ) -> Result<Vec<A>, i32> {
        let head = http::Request::post(format!("http://localhost/tfplugin6.Provider/{procedure}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let mut send = self.send.clone().ready().await.unwrap();
        let (answer, mut body) = send.send_request(head, false).unwrap();
        let message = request.encode_to_vec();
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(message.len().try_into().unwrap());
        frame.put_slice(&message);
        body.send_data(frame.freeze(), true).unwrap();

        let answer = answer.await.unwrap();
        let mut status = answer.headers().get("grpc-status").cloned();
        let mut stream = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.data().await {
            let chunk = chunk.unwrap();
            stream.flow_control().release_capacity(chunk.len()).unwrap();
            bytes.extend_from_slice(&chunk);
        }
        if let Some(trailers) = stream.trailers().await.unwrap() {
            status = trailers.get("grpc-status").cloned().or(status);
        }
        match status.expect("a status").to_str().unwrap().parse().unwrap() {
            0 => Ok(messages(&bytes)),
            status => Err(status),
        }
    }
}

/// The messages in the body of an answer, each after a byte and its length.
fn messages<A: Message + Default>(mut bytes: &[u8]) -> Vec<A> {
    let mut messages = Vec::new();
    while let [0, a, b, c, d, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        messages.push(A::decode(&rest[..length]).unwrap());
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty());
    messages
}

/// A value to send.
pub(crate) fn value(json: &Json) -> DynamicValue {
    DynamicValue { json: json.to_string().into_bytes(), msgpack: Vec::new() }
}

/// An identity to send.
pub(crate) fn identity(json: &Json) -> proto::ResourceIdentityData {
    proto::ResourceIdentityData { identity_data: Some(value(json)) }
}

/// What was received; what is unknown is the text `(unknown)`.
pub(crate) fn json(value: Option<&DynamicValue>) -> Json {
    let mut bytes = value.expect("a value").msgpack.as_slice();
    let json = read(&mut bytes);
    assert!(bytes.is_empty());
    json
}

/// An identity that was received; null when there was none.
pub(crate) fn identity_json(identity: Option<&proto::ResourceIdentityData>) -> Json {
    identity.map_or(Json::Null, |identity| json(identity.identity_data.as_ref()))
}

/// What the diagnostics say.
pub(crate) fn said(diagnostics: &[proto::Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(|diagnostic| format!("{}: {}", diagnostic.summary, diagnostic.detail)).collect()
}

fn read(bytes: &mut &[u8]) -> Json {
    match read_marker(bytes).unwrap() {
        Marker::Null => Json::Null,
        Marker::True => json!(true),
        Marker::False => json!(false),
        Marker::FixPos(int) => json!(int),
        Marker::FixNeg(int) => json!(int),
        Marker::U8 => json!(bytes.read_data_u8().unwrap()),
        Marker::U16 => json!(bytes.read_data_u16().unwrap()),
        Marker::U32 => json!(bytes.read_data_u32().unwrap()),
        Marker::U64 => json!(bytes.read_data_u64().unwrap()),
        Marker::I64 => json!(bytes.read_data_i64().unwrap()),
        Marker::F64 => json!(bytes.read_data_f64().unwrap()),
        Marker::FixStr(length) => text(bytes, length.into()),
        Marker::Str8 => {
            let length = bytes.read_data_u8().unwrap();
            text(bytes, length.into())
        }
        Marker::Str16 => {
            let length = bytes.read_data_u16().unwrap();
            text(bytes, length.into())
        }
        Marker::FixArray(length) => (0..length).map(|_| read(bytes)).collect(),
        Marker::FixMap(length) => map(bytes, length.into()),
        Marker::Map16 => {
            let length = bytes.read_data_u16().unwrap();
            map(bytes, length)
        }
        Marker::FixExt1 => {
            *bytes = &bytes[2..];
            json!("(unknown)")
        }
        other => panic!("{other:?} is not expected here"),
    }
}

fn text(bytes: &mut &[u8], length: usize) -> Json {
    let (text, rest) = bytes.split_at(length);
    *bytes = rest;
    json!(std::str::from_utf8(text).unwrap())
}

fn map(bytes: &mut &[u8], length: u16) -> Json {
    (0..length).map(|_| (read(bytes).as_str().unwrap().to_owned(), read(bytes))).collect()
}
