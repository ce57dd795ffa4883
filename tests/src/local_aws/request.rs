//! What a request asks for: service and region from the signature's scope, action and parameters from the protocol.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;

use super::functions;

/// A request to the local AWS, understood.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    /// `None` for an unsigned request.
    pub(crate) scope: Option<Scope>,
    /// The service's name in IAM policies, which for all services here is its signing name. Empty when unsigned.
    pub(crate) service: String,
    /// The action's name in IAM policies.
    pub(crate) action: String,
    /// The parameters, flattened as the Query protocol writes them.
    pub(crate) parameters: BTreeMap<String, String>,
}

/// The credential scope and signature of `Authorization` (Signature Version 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key_id: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: String,
}

impl Request {
    pub(crate) fn new(parts: Parts, body: Bytes) -> Self {
        let scope = parts
            .headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(Scope::parse);
        let service = scope.as_ref().map(|scope| scope.service.clone()).unwrap_or_default();
        let query = form_pairs(parts.uri.query().unwrap_or_default().as_bytes());
        let is_presigned = service.is_empty() && parts.uri.path().starts_with(functions::PATH);
        let service = if is_presigned { functions::PRESIGNED.to_owned() } else { service };
        let (action, parameters) = if service == "ebs" {
            ebs_action(&parts, query)
        } else if service == "lambda" {
            lambda_action(&parts, query)
        } else if service == "s3" {
            s3_action(&parts, query)
        } else if is_presigned {
            ("GetObject".to_owned(), query)
        } else if let Some(target) = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()) {
            let action = target.rsplit('.').next().unwrap_or(target);
            let mut parameters = query;
            flatten(&serde_json::from_slice(&body).unwrap_or_default(), String::new(), &mut parameters);
            (action.to_owned(), parameters)
        } else {
            let mut parameters = query;
            parameters.extend(form_pairs(&body));
            let action = parameters.remove("Action");
            parameters.remove("Version");
            (action.unwrap_or_else(|| format!("{} {}", parts.method, parts.uri.path())), parameters)
        };
        Self { parts, body, scope, service, action, parameters }
    }

    pub(crate) fn region(&self) -> &str {
        self.scope.as_ref().map_or("", |scope| &scope.region)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Set one parameter of a Query request, in the body as well.
    pub(crate) fn set_form_parameter(&mut self, name: &str, value: &str) {
        self.parameters.insert(name.to_owned(), value.to_owned());
        let mut pairs = form_pairs(&self.body);
        pairs.insert(name.to_owned(), value.to_owned());
        let encoded: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
            .collect();
        self.body = Bytes::from(encoded.join("&"));
        self.parts.headers.remove(http::header::CONTENT_LENGTH);
    }
}

impl Scope {
    fn parse(authorization: &str) -> Option<Self> {
        let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| {
            fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let mut scope = field("Credential")?.split('/');
        let access_key_id = scope.next()?.to_owned();
        let date = scope.next()?.to_owned();
        let region = scope.next()?.to_owned();
        let service = scope.next()?.to_owned();
        if scope.next() != Some("aws4_request") {
            return None;
        }
        let signed_headers = field("SignedHeaders")?.split(';').map(str::to_owned).collect();
        let signature = field("Signature")?.to_owned();
        Some(Self { access_key_id, date, region, service, signed_headers, signature })
    }
}

/// The routes of EBS direct that read (`service-2.json`: `GET /snapshots/{id}/blocks[/{index}]` and `…/changedblocks`).
fn ebs_action(parts: &Parts, mut parameters: BTreeMap<String, String>) -> (String, BTreeMap<String, String>) {
    let segments: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let is_get = parts.method == http::Method::GET;
    let action = match segments.as_slice() {
        ["snapshots", snapshot, "blocks"] if is_get => {
            parameters.insert("snapshotId".to_owned(), (*snapshot).to_owned());
            "ListSnapshotBlocks"
        }
        ["snapshots", snapshot, "blocks", index] if is_get => {
            parameters.insert("snapshotId".to_owned(), (*snapshot).to_owned());
            parameters.insert("blockIndex".to_owned(), (*index).to_owned());
            "GetSnapshotBlock"
        }
        ["snapshots", second, "changedblocks"] if is_get => {
            parameters.insert("secondSnapshotId".to_owned(), (*second).to_owned());
            "ListChangedBlocks"
        }
        _ => return (format!("{} {}", parts.method, parts.uri.path()), parameters),
    };
    (action.to_owned(), parameters)
}

/// The routes of S3 that are used here: objects, with the bucket in the path, and how they are to be encrypted.
fn s3_action(parts: &Parts, mut parameters: BTreeMap<String, String>) -> (String, BTreeMap<String, String>) {
    let path = parts.uri.path().trim_start_matches('/');
    let (action, (bucket, key)) = match (parts.method.as_str(), path.split_once('/')) {
        ("PUT", Some((bucket, key))) if !key.is_empty() => ("PutObject", (bucket, key)),
        ("GET", Some((bucket, key))) if !key.is_empty() => ("GetObject", (bucket, key)),
        _ => return (format!("{} {}", parts.method, parts.uri.path()), parameters),
    };
    parameters.insert("Bucket".to_owned(), bucket.to_owned());
    parameters.insert("Key".to_owned(), percent_decode(key));
    for name in [ENCRYPTION, ENCRYPTION_KEY] {
        if let Some(value) = parts.headers.get(name).and_then(|value| value.to_str().ok()) {
            parameters.insert(name.to_owned(), value.to_owned());
        }
    }
    (action.to_owned(), parameters)
}

/// The header of `PutObject` that says how S3 is to encrypt, which is also the name of its condition key behind `s3:`.
pub(crate) const ENCRYPTION: &str = "x-amz-server-side-encryption";
/// The same of the key.
pub(crate) const ENCRYPTION_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";

/// The routes of Lambda that are used here (`service-2.json`).
fn lambda_action(
    parts: &Parts,
    mut parameters: BTreeMap<String, String>,
) -> (String, BTreeMap<String, String>) {
    let path = parts.uri.path().trim_matches('/').split('/').map(percent_decode).collect::<Vec<String>>();
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    let action = match (parts.method.as_str(), segments.as_slice()) {
        ("POST", [_, "functions"]) => "CreateFunction",
        ("GET", [_, "functions"]) => "ListFunctions",
        ("GET", [_, "functions", name, "aliases"]) => {
            parameters.insert("FunctionName".to_owned(), (*name).to_owned());
            "ListAliases"
        }
        ("POST", [_, "functions", _, "versions"]) => "PublishVersion",
        ("POST", [_, "functions", _, "aliases"]) => "CreateAlias",
        ("GET", [_, "tags", arn]) => {
            parameters.insert("Resource".to_owned(), (*arn).to_owned());
            "ListTags"
        }
        ("GET", [_, "functions", name]) => {
            parameters.insert("FunctionName".to_owned(), (*name).to_owned());
            "GetFunction"
        }
        ("POST", [_, "layers", _, "versions"]) => "PublishLayerVersion",
        ("GET", [_, "layers", name, "versions", version]) => {
            parameters.insert("LayerName".to_owned(), (*name).to_owned());
            parameters.insert("VersionNumber".to_owned(), (*version).to_owned());
            "GetLayerVersion"
        }
        _ => return (format!("{} {}", parts.method, parts.uri.path()), parameters),
    };
    (action.to_owned(), parameters)
}

/// The texts of a JSON request, named as the Query protocol would name them.
fn flatten(value: &Value, name: String, parameters: &mut BTreeMap<String, String>) {
    let join = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                flatten(member, join(key), parameters);
            }
        }
        Value::Array(items) => {
            for (number, item) in (1_u32..).zip(items) {
                flatten(item, join(&number.to_string()), parameters);
            }
        }
        Value::String(text) => {
            parameters.insert(name, text.clone());
        }
        _ => {}
    }
}

/// The pairs of `application/x-www-form-urlencoded`.
pub(crate) fn form_pairs(encoded: &[u8]) -> BTreeMap<String, String> {
    let encoded = String::from_utf8_lossy(encoded);
    encoded
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name), percent_decode(value))
        })
        .collect()
}

fn percent_decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let escaped = || {
            let digits = [bytes.clone().next()?, bytes.clone().nth(1)?];
            let digits = std::str::from_utf8(&digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };
        match (byte, (byte == b'%').then(escaped).flatten()) {
            (_, Some(escaped)) => {
                decoded.push(escaped);
                bytes.nth(1);
            }
            (b'+', None) => decoded.push(b' '),
            (byte, None) => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// RFC 3986: everything but the unreserved characters.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
    }
    encoded
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or_default().to_ascii_uppercase()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [hex_digit(byte >> 4), hex_digit(byte & 15)]);
    digits.map(|digit| digit.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, service: &str, body: &'static str) -> Request {
        let credential = format!("AKIA/20260101/eu-west-1/{service}/aws4_request");
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature=abc");
        let request = http::Request::builder().method(method).uri(uri).header("authorization", authorization);
        Request::new(request.body(()).unwrap().into_parts().0, Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn query_protocol() {
        let mut request =
            request("POST", "/", "ec2", "Action=DescribeTags&Version=2016-11-15&Filter.1.Name=a%3Ab&x=1+2");
        assert_eq!((request.service.as_str(), request.action.as_str()), ("ec2", "DescribeTags"));
        assert_eq!(request.region(), "eu-west-1");
        assert_eq!(request.parameters["Filter.1.Name"], "a:b");
        assert_eq!(request.parameters["x"], "1 2");
        request.set_form_parameter("MaxResults", "5");
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        assert!(
            body.contains("Action=DescribeTags") && body.contains("MaxResults=5") && body.contains("x=1%202")
        );
    }

    #[test]
    fn ebs_routes() {
        let get = request("GET", "/snapshots/snap-1/blocks/7?blockToken=a%2Bb", "ebs", "");
        assert_eq!(get.action, "GetSnapshotBlock");
        assert_eq!(get.parameters["blockIndex"], "7");
        assert_eq!(get.parameters["blockToken"], "a+b");
        assert_eq!(request("GET", "/snapshots/snap-1/blocks", "ebs", "").action, "ListSnapshotBlocks");
        assert_eq!(request("GET", "/snapshots/snap-2/changedblocks", "ebs", "").action, "ListChangedBlocks");
        assert_eq!(
            request("PUT", "/snapshots/snap-1/blocks/7", "ebs", "").action,
            "PUT /snapshots/snap-1/blocks/7"
        );
    }

    #[test]
    fn bad_escapes_are_kept() {
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
        assert_eq!(percent_decode("%41%"), "A%");
    }
}
