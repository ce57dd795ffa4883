//! The scanner's own account and region, with its own identity: where it learns who it is, and whence it reaches other
//! accounts.

use std::collections::BTreeMap;

use aws_types::SdkConfig;
use scanner_policy::actions;
use tokio::sync::OnceCell;

use super::config::{check, load, once, region};
use super::http::Http;
use super::rate::Rates;
use super::sender::Sender;
use super::{AwsError, ConnectError, Connection, Metadata};

/// The scanner's own account and region.
#[derive(Debug)]
pub struct Home {
    pub(super) config: SdkConfig,
    pub(super) http: Http,
    pub(super) sender: Sender,
    region: String,
    account: OnceCell<String>,
}

impl Home {
    /// Finds region and credentials. Sends no request to what is scanned.
    pub async fn connect(connection: &Connection, http: Http) -> Result<Self, ConnectError> {
        let config = load(connection, &http).await;
        Self::from_config(config, http).await
    }

    pub(super) async fn from_config(config: SdkConfig, http: Http) -> Result<Self, ConnectError> {
        check(&config).await?;
        let region = region(&config)?;
        let sender = Sender::new(&Rates::default());
        Ok(Self { config, http, sender, region, account: OnceCell::new() })
    }

    /// The scanner's own region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The scanner's own account, which is asked for once. No permission is needed for that.
    pub async fn account(&self) -> Result<&str, AwsError> {
        let found = self.account.get_or_try_init(|| async {
            let call = actions::STS_GET_CALLER_IDENTITY;
            let request = self.sts().get_caller_identity();
            let answer = self.sender.send(call, || request.clone().send()).await?;
            answer.account().map(str::to_owned).ok_or_else(|| AwsError::Response {
                call: call.name(),
                problem: "it lacks the account".to_owned(),
            })
        });
        found.await.map(String::as_str)
    }

    /// The metadata service of the instance that this runs on, if it is one.
    pub fn metadata(&self) -> Metadata {
        Metadata::new(&self.http)
    }

    /// How many HTTP requests were sent with the scanner's own identity for itself, by the name of their action.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.sender.calls()
    }

    /// STS in the scanner's own region: private networks have an endpoint there, and what it issues is good everywhere.
    pub(super) fn sts(&self) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::config::Builder::from(&self.config)
            .interceptor(self.sender.interceptor())
            .retry_config(once());
        aws_sdk_sts::Client::from_conf(config.build())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Script;

    #[tokio::test]
    async fn the_own_account_is_asked_for_once() {
        let answer = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetCallerIdentityResult><Arn>arn:aws:sts::111122223333:assumed-role/a/b</Arn>\
             <UserId>u</UserId><Account>111122223333</Account></GetCallerIdentityResult>\
             <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>";
        let script = Script::new([(200, answer.to_owned())]);
        let home = script.home().await;
        for _ in 0..2 {
            assert_eq!(home.account().await.unwrap(), "111122223333");
        }
        assert_eq!(home.region(), "eu-central-1");
        assert_eq!(home.calls().into_iter().collect::<Vec<_>>(), [("sts:GetCallerIdentity".to_owned(), 1)]);
        let [asked] = &script.asked()[..] else { panic!() };
        assert!(asked.uri.contains("sts.eu-central-1.amazonaws.com"), "{asked:?}");
    }
}
