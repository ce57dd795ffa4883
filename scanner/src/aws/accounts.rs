//! The accounts that are scanned, and a connection to each region of each.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agentless_service::target::Place;
use aws_config::Region;
use aws_config::identity::IdentityCache;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::SdkConfig;
use scanner_policy::{ExternalId, RoleArn};
use tokio::sync::OnceCell;

use super::error::{RoleError, Unsent, unsent};
use super::rate::Rates;
use super::role::{RENEWAL, RoleProvider};
use super::{Aws, AwsError, Home};

/// The role that stands for a scanner in another account.
#[derive(Clone, Debug)]
pub struct Delegate {
    /// The role.
    pub role: RoleArn,
    /// What its trust policy asks for.
    pub external_id: Option<ExternalId>,
}

/// Which accounts there are, and how fast each may be asked.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// The scanner's id: sessions are named after it.
    pub scanner_id: String,
    /// Whether the scanner's own account is scanned, with its own identity.
    pub own_account: bool,
    /// The roles of the others, one for each account.
    pub delegates: Vec<Delegate>,
    /// Requests a second in each region of each account.
    pub rates: Rates,
}

/// Why the accounts make no sense together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// Two roles for one account: which of them is meant?
    #[error("{first} and {second} are both of the account {account}: name one role for each account")]
    Twice {
        /// The account.
        account: String,
        /// One role.
        first: RoleArn,
        /// The other.
        second: RoleArn,
    },
}

/// The accounts that are scanned. Each region of each has one connection, and so one set of rates, however many ask for it.
#[derive(Debug)]
pub struct Accounts {
    home: Arc<Home>,
    settings: AccountSettings,
    delegates: BTreeMap<String, Identity>,
    connections: Mutex<HashMap<Place, Arc<Aws>>>,
}

/// How one account is reached.
#[derive(Debug)]
struct Identity {
    delegate: Delegate,
    /// Made when it is first needed. All regions of the account share its credentials.
    config: OnceCell<SdkConfig>,
}

/// Waits for credentials, with every attempt at them.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_mins(2);

impl Accounts {
    /// Sends no request.
    pub fn new(home: Arc<Home>, settings: AccountSettings) -> Result<Self, AccountsError> {
        let mut delegates: BTreeMap<String, Identity> = BTreeMap::new();
        for delegate in &settings.delegates {
            let account = delegate.role.account().to_owned();
            if let Some(first) = delegates.get(&account) {
                let (first, second) = (first.delegate.role.clone(), delegate.role.clone());
                return Err(AccountsError::Twice { account, first, second });
            }
            delegates.insert(account, Identity { delegate: delegate.clone(), config: OnceCell::new() });
        }
        Ok(Self { home, settings, delegates, connections: Mutex::default() })
    }

    /// The ids of the accounts, in order. The scanner's own is among them if it is scanned.
    pub async fn ids(&self) -> Result<Vec<String>, AwsError> {
        let mut ids: Vec<String> = self.delegates.keys().cloned().collect();
        if self.settings.own_account {
            ids.push(self.home.account().await?.to_owned());
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// The connection to a region of an account.
    ///
    /// # Errors
    /// Where the account's role cannot be assumed. It is tried anew by the next that asks.
    pub async fn at(&self, place: &Place) -> Result<Arc<Aws>, AwsError> {
        if let Some(connection) = self.connections().get(place) {
            return Ok(Arc::clone(connection));
        }
        let config = match self.delegates.get(&place.account) {
            Some(identity) => self.delegated(identity).await?,
            None if self.settings.own_account && self.home.account().await? == place.account => {
                self.home.config.clone()
            }
            None => return Err(AwsError::NoRole { account: place.account.clone() }),
        };
        let config = config.to_builder().region(Region::new(place.region.clone())).build();
        let (http, rates) = (self.home.http.clone(), &self.settings.rates);
        let connection = Arc::new(Aws::of_place(&config, place.region.clone(), http, rates));
        // Somebody else may have been faster: there must not be two sets of rates.
        Ok(Arc::clone(self.connections().entry(place.clone()).or_insert(connection)))
    }

    /// The connections that there are, for figures about them.
    pub fn connected(&self) -> Vec<(Place, Arc<Aws>)> {
        let mut connected: Vec<_> = (self.connections().iter())
            .map(|(place, connection)| (place.clone(), Arc::clone(connection)))
            .collect();
        connected.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        connected
    }

    /// The configuration with a role's credentials, which are asked for here: a role that cannot be assumed is told as
    /// that, and not as the failure of what is done first with it.
    async fn delegated(&self, identity: &Identity) -> Result<SdkConfig, AwsError> {
        let Delegate { role, external_id } = &identity.delegate;
        if let Ok(own) = self.home.region().parse::<scanner_policy::Region>()
            && role.partition() != own.partition().id()
        {
            let partition = own.partition().id();
            return Err(AwsError::Role(RoleError::Partition { role: role.to_string(), partition }));
        }
        let config = identity.config.get_or_init(|| async {
            let scanner = &self.settings.scanner_id;
            let provider = RoleProvider::new(&self.home, role.clone(), external_id.clone(), scanner);
            let cache = IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).buffer_time(RENEWAL).build();
            self.home
                .config
                .to_builder()
                .credentials_provider(SharedCredentialsProvider::new(provider))
                .identity_cache(cache)
                .build()
        });
        let config = config.await;
        if let Some(provider) = config.credentials_provider() {
            provider.provide_credentials().await.map_err(|error| match unsent(&error) {
                Some(Unsent::Role(role)) => AwsError::Role(role.clone()),
                _ => AwsError::Unsigned {
                    call: scanner_policy::actions::STS_ASSUME_ROLE.name(),
                    detail: super::error::innermost(&error),
                },
            })?;
        }
        Ok(config.clone())
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<Place, Arc<Aws>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Script;
    use super::super::{Ec2, Tags};
    use super::*;

    const ROLE: &str = "arn:aws:iam::444455556666:role/security/delegate";

    fn place(account: &str, region: &str) -> Place {
        Place { account: account.to_owned(), region: region.to_owned() }
    }

    fn settings(roles: &[&str]) -> AccountSettings {
        let delegate = |role: &&str| Delegate {
            role: role.parse().unwrap(),
            external_id: Some("external-1".parse().unwrap()),
        };
        AccountSettings {
            scanner_id: "scanner-1".to_owned(),
            own_account: true,
            delegates: roles.iter().map(delegate).collect(),
            rates: Rates { mutating: 3, ..Rates::default() },
        }
    }

    async fn accounts(script: &Script, roles: &[&str]) -> Accounts {
        Accounts::new(Arc::new(script.home().await), settings(roles)).unwrap()
    }

    fn assumed(key: &str, expiry: &str) -> (u16, String) {
        let credentials = format!(
            "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
             <SessionToken>token</SessionToken><Expiration>{expiry}</Expiration></Credentials>"
        );
        let result = format!("<AssumeRoleResult>{credentials}</AssumeRoleResult>");
        let namespace = "https://sts.amazonaws.com/doc/2011-06-15/";
        (200, format!("<AssumeRoleResponse xmlns=\"{namespace}\">{result}</AssumeRoleResponse>"))
    }

    fn sts_error(status: u16, code: &str) -> (u16, String) {
        let namespace = "https://sts.amazonaws.com/doc/2011-06-15/";
        let error =
            format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>so it is</Message></Error>");
        (status, format!("<ErrorResponse xmlns=\"{namespace}\">{error}</ErrorResponse>"))
    }

    fn no_snapshots() -> (u16, String) {
        (200, "<DescribeSnapshotsResponse><snapshotSet/></DescribeSnapshotsResponse>".to_owned())
    }

    fn identity(account: &str) -> (u16, String) {
        let result =
            format!("<GetCallerIdentityResult><Account>{account}</Account></GetCallerIdentityResult>");
        (200, format!("<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>"))
    }

    #[tokio::test(start_paused = true)]
    async fn another_account_is_asked_with_its_delegate_role() {
        let script = Script::new([
            assumed("DELEGATE", "2100-01-01T00:00:00Z"),
            no_snapshots(),
            no_snapshots(),
            no_snapshots(),
        ]);
        let accounts = accounts(&script, &[ROLE]).await;
        for region in ["eu-west-1", "eu-west-1", "us-east-1"] {
            let aws = accounts.at(&place("444455556666", region)).await.unwrap();
            aws.snapshots_tagged(&Tags::new()).await.unwrap();
        }
        let asked = script.asked();
        let [sts, first, second, third] = &asked[..] else { panic!("{asked:?}") };
        assert!(sts.uri.starts_with("https://sts.eu-central-1.amazonaws.com"), "{sts:?}");
        assert_eq!(sts.signer(), "OWN");
        for part in [
            "RoleArn=arn%3Aaws%3Aiam%3A%3A444455556666%3Arole%2Fsecurity%2Fdelegate",
            "RoleSessionName=agentless-scanner-scanner-1",
            "ExternalId=external-1",
        ] {
            assert!(sts.body.contains(part), "{}", sts.body);
        }
        for (request, region) in [(first, "eu-west-1"), (second, "eu-west-1"), (third, "us-east-1")] {
            assert!(request.uri.contains(&format!("ec2.{region}.amazonaws.com")), "{request:?}");
            assert_eq!((request.signer(), request.header("x-amz-security-token")), ("DELEGATE", "token"));
        }
        assert_eq!(accounts.connected().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_has_one_set_of_rates() {
        let script = Script::new([assumed("DELEGATE", "2100-01-01T00:00:00Z")]);
        let accounts = accounts(&script, &[ROLE]).await;
        let place = place("444455556666", "eu-west-1");
        let (one, other) = tokio::join!(accounts.at(&place), accounts.at(&place));
        assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
        let [(_, aws)] = &accounts.connected()[..] else { panic!() };
        assert!(aws.paces().iter().any(|pace| pace.class == "mutating" && pace.configured == 3));
        assert_eq!(script.asked().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_that_fails_is_an_error_and_no_other_identity() {
        let script = Script::new([sts_error(403, "AccessDenied"), sts_error(403, "AccessDenied")]);
        let accounts = accounts(&script, &[ROLE]).await;
        for _ in 0..2 {
            let error = accounts.at(&place("444455556666", "eu-west-1")).await.unwrap_err();
            assert!(matches!(error, AwsError::Role(_)) && !error.is_passing(), "{error}");
            let message = crate::chain(&error);
            for part in [ROLE, "no", "sts:AssumeRole is not allowed", "trust policy", "external id"] {
                assert!(message.contains(part), "{message}");
            }
        }
        assert!(script.asked().iter().all(|asked| asked.uri.contains("//sts.")), "{:?}", script.asked());
        assert!(accounts.connected().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_is_tried_again_after_what_passes() {
        let mut answers = vec![sts_error(503, "Throttling"); 5];
        answers.push(assumed("DELEGATE", "2100-01-01T00:00:00Z"));
        let script = Script::new(answers);
        let accounts = accounts(&script, &[ROLE]).await;
        let place = place("444455556666", "eu-west-1");
        let error = accounts.at(&place).await.unwrap_err();
        assert!(error.is_passing() && !error.is_ambiguous(), "{error}");
        accounts.at(&place).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_end_soon_are_renewed_and_their_failure_is_told() {
        let script = Script::new([
            assumed("OLD", "2001-01-01T00:00:00Z"),
            assumed("NEW", "2100-01-01T00:00:00Z"),
            no_snapshots(),
        ]);
        let first = accounts(&script, &[ROLE]).await;
        let place = place("444455556666", "eu-west-1");
        let aws = first.at(&place).await.unwrap();
        aws.snapshots_tagged(&Tags::new()).await.unwrap();
        assert_eq!(script.asked().last().unwrap().signer(), "NEW");

        let script = Script::new([
            assumed("OLD", "2001-01-01T00:00:00Z"),
            sts_error(403, "AccessDenied"),
            no_snapshots(),
        ]);
        let second = accounts(&script, &[ROLE]).await;
        let aws = second.at(&place).await.unwrap();
        let error = aws.snapshots_tagged(&Tags::new()).await.unwrap_err();
        assert!(matches!(error, AwsError::Role(_)), "{error:?}");
        assert_eq!(script.asked().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_own_account_is_asked_with_the_own_identity_and_others_not_at_all() {
        let script = Script::new([identity("111122223333"), no_snapshots()]);
        let accounts = accounts(&script, &[ROLE]).await;
        assert_eq!(accounts.ids().await.unwrap(), ["111122223333", "444455556666"]);
        let aws = accounts.at(&place("111122223333", "eu-central-1")).await.unwrap();
        aws.snapshots_tagged(&Tags::new()).await.unwrap();
        assert_eq!(script.asked().last().unwrap().signer(), "OWN");
        let error = accounts.at(&place("777788889999", "eu-central-1")).await.unwrap_err();
        assert!(matches!(error, AwsError::NoRole { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_role_of_another_partition_is_its_own_failure() {
        let script = Script::default();
        let accounts = accounts(&script, &["arn:aws-cn:iam::444455556666:role/delegate"]).await;
        let error = accounts.at(&place("444455556666", "cn-north-1")).await.unwrap_err();
        assert!(error.to_string().contains("which no permission can cross"), "{error}");
        assert!(script.asked().is_empty());
    }

    #[tokio::test]
    async fn two_roles_of_one_account_are_refused() {
        let home = Arc::new(Script::default().home().await);
        let error = Accounts::new(home, settings(&[ROLE, "arn:aws:iam::444455556666:role/b"])).unwrap_err();
        assert!(error.to_string().contains("name one role for each account"), "{error}");
    }
}
