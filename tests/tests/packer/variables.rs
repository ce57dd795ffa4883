//! Which variables the template takes, and that it says what is wrong with others before anything is made.

use agentless_tests::image_template::Template;

use crate::packed_release;

#[tokio::test]
async fn it_is_valid_over_ssh_and_over_session_manager() {
    let release = packed_release();
    let mut packer = Template::new(&release);
    assert_valid(&packer, "over SSH").await;

    packer.unset("ssh_source_cidrs");
    packer.set("instance_profile", "image-build");
    assert_valid(&packer, "over Session Manager").await;

    for (name, value) in [
        ("ubuntu", "22.04"),
        ("source_owner", "513442679011"),
        ("volume_size", "20"),
        ("keep_days", "90"),
        ("region", "us-gov-west-1"),
        ("subnet_id", "subnet-0123456789abcdef0"),
        ("public_address", "true"),
        ("instance_types", r#"{amd64="c6i.large",arm64="c7g.large"}"#),
        (
            "kms_key_id",
            "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        ),
        ("copy_to", r#"{us-gov-east-1="alias/scanner-image"}"#),
        ("share_with_accounts", r#"["444455556666"]"#),
        (
            "share_with_organizations",
            r#"["arn:aws-us-gov:organizations::111122223333:organization/o-a1b2c3d4e5"]"#,
        ),
        ("apt_mirror", "https://mirror.example.com/ubuntu"),
        ("apt_security_mirror", "https://mirror.example.com/ubuntu-security"),
        ("scanner_version", env!("CARGO_PKG_VERSION")),
        ("ssh_source_cidrs", r#"["10.0.0.0/16","203.0.113.7/32"]"#),
    ] {
        packer.set(name, value);
    }
    assert_valid(&packer, "with everything").await;
}

/// Only the architecture that is built needs a release.
#[tokio::test]
async fn one_architecture_needs_no_release_of_the_other() {
    let release = packed_release();
    let packer = Template::new(&release);
    std::fs::remove_file(format!("{}.sha256", release.program("arm64").display())).unwrap();
    std::fs::remove_file(release.program("arm64")).unwrap();
    let one = packer.run("validate", &["-only=*.amd64"]).await;
    assert_eq!(one.code, Some(0), "{}{}", one.stdout, one.stderr);
    let both = packer.run("validate", &[]).await;
    assert_ne!(both.code, Some(0));
}

#[tokio::test]
async fn mistakes_are_told() {
    let release = packed_release();
    for (name, value, told) in [
        ("scanner_version", "1.2", "The scanner_version is like"),
        ("scanner_version", "", "The scanner_version is like"),
        ("release_folder", "", "The release_folder is where"),
        ("release_public_key", "RWabc", "The release_public_key is one of minisign"),
        ("git_commit", "main", "The git_commit is a hash"),
        ("ubuntu", "20.04", "The ubuntu release is"),
        ("source_owner", "amazon", "The source_owner is an account id"),
        ("volume_size", "4", "The volume_size is"),
        ("keep_days", "1", "The keep_days are"),
        ("region", "eu-central-1a", "The region is like"),
        ("subnet_id", "vpc-0123", "The subnet_id is like"),
        ("instance_types", r#"{amd64="t3.small"}"#, "The instance_types are"),
        (
            "instance_profile",
            "arn:aws:iam::111122223333:instance-profile/x",
            "The instance_profile is the name",
        ),
        ("ssh_source_cidrs", r#"["0.0.0.0/0"]"#, "The ssh_source_cidrs are"),
        ("ssh_source_cidrs", r#"["10.0.0.0/8"]"#, "The ssh_source_cidrs are"),
        ("ssh_source_cidrs", r#"["::/0"]"#, "The ssh_source_cidrs are"),
        ("ssh_source_cidrs", r#"[""]"#, "The ssh_source_cidrs are"),
        ("kms_key_id", "key", "The kms_key_id is"),
        ("copy_to", r#"{oregon=""}"#, "The copy_to are regions"),
        ("share_with_accounts", r#"["all"]"#, "The share_with_accounts are"),
        ("share_with_organizations", r#"["o-a1b2c3d4e5"]"#, "The share_with_organizations are"),
        ("apt_mirror", "http://mirror.example.com/ubuntu", "The apt_mirror begins with https"),
        ("apt_security_mirror", "mirror.example.com", "The apt_security_mirror begins with https"),
        ("output_folder", "", "The output_folder needs a name"),
    ] {
        let mut packer = Template::new(&release);
        packer.set(name, value);
        let refused = packer.run("validate", &[]).await;
        let output = format!("{}{}", refused.stdout, refused.stderr);
        assert!(refused.code != Some(0) && output.contains(told), "{name}={value}: {output}");
    }
}

/// What only shows in the sum of several variables, Packer itself refuses.
#[tokio::test]
async fn variables_that_do_not_go_together_are_refused() {
    let release = packed_release();
    let mut packer = Template::new(&release);
    packer.unset("ssh_source_cidrs");
    assert_refused(&packer, "session_manager connectivity requires a valid instance profile").await;

    let mut packer = Template::new(&release);
    packer.set("share_with_accounts", r#"["444455556666"]"#);
    assert_refused(&packer, "Cannot share AMI encrypted with default KMS key").await;

    let packer = Template::new(&release);
    std::fs::remove_file(format!("{}.minisig", release.program("amd64").display())).unwrap();
    assert_refused(&packer, "no such file or directory").await;
}

async fn assert_valid(packer: &Template, what: &str) {
    let ended = packer.run("validate", &[]).await;
    assert_eq!(ended.code, Some(0), "{what}: {}{}", ended.stdout, ended.stderr);
}

async fn assert_refused(packer: &Template, why: &str) {
    let ended = packer.run("validate", &[]).await;
    let output = format!("{}{}", ended.stdout, ended.stderr).replace('\n', " ");
    assert!(ended.code != Some(0) && output.contains(why), "{output}");
}
