//! What the overlay corrects in moto's Secrets Manager.

use aws_sdk_secretsmanager::Client;

use crate::shared::{aws, code, message};

#[tokio::test]
async fn a_secret_that_is_scheduled_for_deletion_can_only_be_restored() {
    let aws = aws().await;
    let secrets = Client::new(&aws.sdk_config());
    let create = || secrets.create_secret().name("scheduled").secret_string("one").send();
    let put = || secrets.put_secret_value().secret_id("scheduled").secret_string("two").send();
    let delete = || secrets.delete_secret().secret_id("scheduled").recovery_window_in_days(7).send();
    create().await.unwrap();
    assert_eq!(code(&create().await.unwrap_err()), "ResourceExistsException");
    delete().await.unwrap();

    let taken = create().await.unwrap_err();
    assert_eq!(code(&taken), "InvalidRequestException");
    assert!(message(&taken).contains("already scheduled for deletion"), "{}", message(&taken));
    assert_eq!(code(&put().await.unwrap_err()), "InvalidRequestException");
    assert_eq!(code(&delete().await.unwrap_err()), "InvalidRequestException");
    let policy = secrets.get_resource_policy().secret_id("scheduled").send().await.unwrap_err();
    assert_eq!(code(&policy), "InvalidRequestException");
    assert!(secrets.describe_secret().secret_id("scheduled").send().await.unwrap().deleted_date().is_some());

    secrets.restore_secret().secret_id("scheduled").send().await.unwrap();
    put().await.unwrap();
    secrets.delete_secret().secret_id("scheduled").force_delete_without_recovery(true).send().await.unwrap();
    create().await.unwrap();
    aws.assert_no_unimplemented();
}
