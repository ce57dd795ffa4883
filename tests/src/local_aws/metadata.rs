//! The instance metadata service, version 2, of one instance with one role.
//!
//! Encodes the EC2 user guide: a session token by `PUT` with a time to live of 1 to 21,600 seconds, 401 without a valid
//! token, role credentials that are renewed before they end. Hop limits cannot be shown on loopback.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::credentials::{ACCOUNT, SessionCredentials};
use super::proxy::{Proxy, issued_credentials};
use super::xml;

/// A running metadata service. Ends when dropped.
#[derive(Debug)]
pub struct InstanceMetadata {
    endpoint: String,
    instance_id: String,
    target_state: Arc<Mutex<Option<String>>>,
    user_data: Arc<Mutex<Option<String>>>,
    trusts_cloud_init: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl InstanceMetadata {
    /// For `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The instance that it describes. It is not among those of EC2.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// What the instance's Auto Scaling group wants it to become from now on, such as `InService` or `Terminated`. At first it is
    /// in no group.
    pub fn set_target_state(&self, state: &str) {
        *self.target_state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state.to_owned());
    }

    /// Answers cloud-init without a token from now on. It asks for one only where it sees that it is on EC2, which it takes from the
    /// machine's firmware and so never sees in a container.
    pub fn trust_cloud_init(&self) {
        self.trusts_cloud_init.store(true, Ordering::Relaxed);
    }

    /// What the launch template gives the instance. At first it has none.
    pub fn set_user_data(&self, user_data: &str) {
        *self.user_data.lock().unwrap_or_else(PoisonError::into_inner) = Some(user_data.to_owned());
    }
}

impl Drop for InstanceMetadata {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Debug)]
struct Instance {
    proxy: Arc<Proxy>,
    region: &'static str,
    role_name: String,
    id: String,
    target_state: Arc<Mutex<Option<String>>>,
    user_data: Arc<Mutex<Option<String>>>,
    trusts_cloud_init: Arc<AtomicBool>,
    /// Session tokens, and when they end.
    tokens: Mutex<HashMap<String, SystemTime>>,
    credentials: tokio::sync::Mutex<Option<SessionCredentials>>,
}

pub(crate) async fn start(
    proxy: Arc<Proxy>,
    runtime: &tokio::runtime::Handle,
    region: &'static str,
    role_name: &str,
) -> io::Result<InstanceMetadata> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let instance_id = format!("i-0{}", id.get(..16).unwrap_or_default());
    let target_state = Arc::default();
    let user_data = Arc::default();
    let trusts_cloud_init = Arc::default();
    let instance = Arc::new(Instance {
        proxy,
        region,
        role_name: role_name.to_owned(),
        id: instance_id.clone(),
        target_state: Arc::clone(&target_state),
        user_data: Arc::clone(&user_data),
        trusts_cloud_init: Arc::clone(&trusts_cloud_init),
        tokens: Mutex::default(),
        credentials: tokio::sync::Mutex::default(),
    });
    // Each version has the same: cloud-init asks for dated ones. What it looks into without a name is listed.
    let metadata = Router::new()
        .route("/{version}/meta-data/", get(|| async { "instance-id\nplacement/" }))
        .route("/{version}/meta-data/placement/", get(|| async { "availability-zone\nregion" }))
        .route("/{version}/meta-data/iam/security-credentials/", get(list_roles))
        .route("/{version}/meta-data/iam/security-credentials/{role}", get(role_credentials))
        .route(
            "/{version}/meta-data/instance-id",
            get(|State(it): State<Arc<Instance>>| async move { it.id.clone() }),
        )
        .route(
            "/{version}/meta-data/placement/region",
            get(|State(it): State<Arc<Instance>>| async move { it.region }),
        )
        .route("/{version}/meta-data/placement/availability-zone", get(zone))
        .route("/{version}/meta-data/autoscaling/target-lifecycle-state", get(target_state_of))
        .route("/{version}/dynamic/instance-identity", get(|| async { "document" }))
        .route("/{version}/dynamic/instance-identity/document", get(identity))
        .route("/{version}/user-data", get(user_data_of))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&instance), require_token));
    let router =
        Router::new().route("/latest/api/token", put(issue_token)).merge(metadata).with_state(instance);

    // Bound on the local AWS's runtime: the caller's may end before the service does.
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let bound = runtime.spawn(async move {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stopped).into_future());
        Ok::<_, io::Error>(address)
    });
    let address = bound.await.map_err(io::Error::other)??;
    let endpoint = format!("http://{address}");
    Ok(InstanceMetadata { endpoint, instance_id, target_state, user_data, trusts_cloud_init, stop })
}

async fn issue_token(State(instance): State<Arc<Instance>>, headers: HeaderMap) -> Response {
    let seconds =
        headers.get(TTL_HEADER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let Some(seconds) = seconds.filter(|seconds| (1..=21_600).contains(seconds)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let token = uuid::Uuid::new_v4().simple().to_string();
    let end = instance.proxy.clock.now() + Duration::from_secs(seconds);
    instance.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), end);
    ([(TTL_HEADER, seconds.to_string())], token).into_response()
}

async fn require_token(State(instance): State<Arc<Instance>>, request: Request, next: Next) -> Response {
    let token = request.headers().get(TOKEN_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let end = instance.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(token).copied();
    let agent = request.headers().get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_trusted = agent.starts_with("Cloud-Init/") && instance.trusts_cloud_init.load(Ordering::Relaxed);
    if !is_trusted && end.is_none_or(|end| end <= instance.proxy.clock.now()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    next.run(request).await
}

async fn list_roles(State(instance): State<Arc<Instance>>) -> String {
    instance.role_name.clone()
}

async fn role_credentials(
    State(instance): State<Arc<Instance>>,
    Path((_version, role)): Path<(String, String)>,
) -> Response {
    if role != instance.role_name {
        return StatusCode::NOT_FOUND.into_response();
    }
    match instance.credentials().await {
        Ok(credentials) => json_body(&json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": rfc3339(instance.proxy.clock.now()),
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "Token": credentials.session_token,
            "Expiration": rfc3339(credentials.expiration),
        })),
        // As on an instance whose profile names a role that does not exist.
        Err(message) => json_body(&json!({"Code": "AssumeRoleUnauthorizedAccess", "Message": message})),
    }
}

async fn zone(State(instance): State<Arc<Instance>>) -> String {
    format!("{}a", instance.region)
}

/// There is no such category on an instance that is in no group.
async fn target_state_of(State(instance): State<Arc<Instance>>) -> Response {
    let state = instance.target_state.lock().unwrap_or_else(PoisonError::into_inner).clone();
    state.map_or_else(|| StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}

/// There is none on an instance that was started without.
async fn user_data_of(State(instance): State<Arc<Instance>>) -> Response {
    let user_data = instance.user_data.lock().unwrap_or_else(PoisonError::into_inner).clone();
    user_data.map_or_else(|| StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}

async fn identity(State(instance): State<Arc<Instance>>) -> Response {
    json_body(&json!({
        "accountId": ACCOUNT,
        "architecture": std::env::consts::ARCH,
        "availabilityZone": format!("{}a", instance.region),
        "instanceId": instance.id,
        "region": instance.region,
        "version": "2017-09-30",
    }))
}

fn json_body(value: &serde_json::Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

impl Instance {
    /// Credentials of the role with at least five minutes left, from STS as EC2 itself gets them.
    async fn credentials(&self) -> Result<SessionCredentials, String> {
        let mut current = self.credentials.lock().await;
        let soon = self.proxy.clock.now() + Duration::from_mins(5);
        if let Some(credentials) = current.as_ref().filter(|credentials| credentials.expiration > soon) {
            return Ok(credentials.clone());
        }
        let get_role = [("Action", "GetRole"), ("Version", "2010-05-08"), ("RoleName", &self.role_name)];
        let role =
            self.proxy.moto.query("iam", self.region, &get_role).await.map_err(|error| error.to_string())?;
        let arn = xml::text(&role, "Arn").ok_or("GetRole told no ARN")?;
        let assume_role = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", arn),
            ("RoleSessionName", &self.id),
            ("DurationSeconds", "21600"),
        ];
        let reply = self.proxy.moto.query("sts", self.region, &assume_role).await;
        let reply = reply.map_err(|error| error.to_string())?;
        let (mut credentials, mut principal) =
            issued_credentials(&reply).ok_or("AssumeRole told no credentials")?;
        principal.role_arn = Some(arn.to_owned());
        // From now by the injected clock, which moto does not know.
        credentials.expiration = self.proxy.clock.now() + Duration::from_hours(6);
        self.proxy.keys.learn(&credentials, principal);
        *current = Some(credentials.clone());
        Ok(credentials)
    }
}

fn rfc3339(time: SystemTime) -> String {
    // Fails only for years beyond 9999.
    OffsetDateTime::from(time)
        .replace_nanosecond(0)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
