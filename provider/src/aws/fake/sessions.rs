//! Sessions of roles that anybody may take on.

use scanner_policy::Region;

use super::{ACCOUNT, FakeAws};
use crate::aws::{AwsError, Session, SessionRequest, Sessions};
use crate::sdk::Secret;

impl Sessions for FakeAws {
    async fn assume_role(&self, _region: &Region, request: &SessionRequest) -> Result<Session, AwsError> {
        let mut world = self.call("sts:AssumeRole")?;
        world.sessions.push(request.clone());
        let (_, role) = request.role_arn.rsplit_once('/').unwrap();
        Ok(Session {
            arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{}", request.session_name),
            access_key_id: "ASIAFAKE".to_owned(),
            secret_access_key: Secret::new("secret"),
            session_token: Secret::new("token"),
            expires: 1_767_225_600,
        })
    }
}
