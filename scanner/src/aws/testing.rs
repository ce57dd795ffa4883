//! AWS without a network: answers in order, and a look at what was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;

use super::{Aws, Home, Http};

/// Answers requests in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// One request as it left.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Asked {
    /// The access key that signed it.
    pub(super) fn signer(&self) -> &str {
        let authorization = self.header("authorization");
        authorization.split("Credential=").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value)
    }
}

impl Script {
    pub(super) fn new(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
        let script = Self::default();
        script.answer(answers);
        script
    }

    /// Adds answers to those that are still to be given.
    pub(super) fn answer(&self, answers: impl IntoIterator<Item = (u16, String)>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).extend(answers);
    }

    /// What was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    pub(super) async fn config(&self) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("OWN", "secret", None, None, "test"))
            .http_client(self.client())
            .load()
            .await
    }

    pub(super) async fn home(&self) -> Home {
        Home::from_config(self.config().await, Http::default()).await.unwrap()
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = request.body().bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(Asked {
            method: request.method().to_owned(),
            uri: request.uri().to_owned(),
            headers: headers.collect(),
            body: body.unwrap_or_default(),
        });
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let (status, body) = answer.unwrap_or((500, String::new()));
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        // What the metadata service says with each token of its own.
        response.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", "21600");
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// A connection that is answered so.
pub(super) async fn aws(answers: impl IntoIterator<Item = (u16, String)>) -> Aws {
    let config = Script::new(answers).config().await;
    Aws::from_config(&config, Http::default(), &super::Rates::default()).await.unwrap()
}
