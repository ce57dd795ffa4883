//! Packer makes the image: it is a template's build over SSH, with everything that is uploaded, run and fetched. EC2 is the local
//! AWS, whose instances run nothing; in place of one Packer is led to an SSH server in the system that becomes the image.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use agentless_tests::image_template::{COMMIT, Release, Template, VERSION};
use agentless_tests::local_aws::{ACCOUNT, LocalAws, Options};
use agentless_tests::programs;
use aws_sdk_ec2::types::{ArchitectureValues, BlockDeviceMapping, EbsBlockDevice};
use serde_json::Value;

use crate::machine::UNTIL_CLOSED;
use crate::made::{TEST_ONLY, trust};
use crate::run;

/// Makes the image of the system below `root`. The program is that of this run, signed with a key that is thrown away.
pub(crate) async fn pack(root: &Path) {
    let architecture = run(Command::new("dpkg").arg("--print-architecture")).trim().to_owned();
    let release = Release::new();
    release.add(&architecture, &programs::scanner().expect("the scanner builds"));
    let aws = LocalAws::start(Options::default()).await.expect("the local AWS starts");
    let name = format!("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{architecture}-server-20260101");
    let source = register(&aws, &name, &architecture).await;

    let server = Server::start(root);
    let mut template = Template::new(&release);
    template.set("source_owner", ACCOUNT);
    template.build_in(
        &aws,
        &format!(
            "  communicator = \"ssh\"\n  ssh_host = \"127.0.0.1\"\n  ssh_port = {}\n  ssh_private_key_file = \"{}\"",
            server.port,
            server.key.display()
        ),
    );
    let built = template.run("build", &["-color=false", &format!("-only=*.{architecture}")]).await;
    built.success().expect("packer build");
    drop(server);

    // What it has fetched is what is in the image, and says what it was made of.
    let fetched = |name: &str| fs::read(template.output(name)).expect("what Packer fetched");
    let image = fetched(&format!("image-{architecture}.json"));
    assert_eq!(image, fs::read(root.join("etc/agentless-scanner/image.json")).expect("a file of the image"));
    let list = fetched(&format!("image-{architecture}.cdx.json"));
    assert_eq!(list, fs::read(root.join("usr/share/agentless-scanner/image.cdx.json")).expect("its list"));
    let image: Value = serde_json::from_slice(&image).expect("JSON");
    for (key, value) in [
        ("source_image", source.as_str()),
        ("source_image_name", &name),
        ("git_commit", COMMIT),
        ("scanner_version", VERSION),
        ("scanner_sha256", &release.sha256(&architecture)),
        ("release_public_key", &release.public_key),
    ] {
        assert_eq!(image.get(key).and_then(Value::as_str), Some(value), "{key}");
    }
    // Neither its files nor its scripts nor the key that it came in with.
    let left: Vec<_> = fs::read_dir(root.join("tmp")).expect("a directory").flatten().collect();
    assert!(left.is_empty(), "the build leaves {left:?}");
    assert!(!root.join("home/ubuntu/.ssh").exists());
    for (path, _) in TEST_ONLY {
        fs::remove_file(root.join(path)).expect("a file of the test");
    }
    aws.assert_no_unimplemented();
}

async fn register(aws: &LocalAws, name: &str, architecture: &str) -> String {
    let volume = EbsBlockDevice::builder().volume_size(8).build();
    let volume = BlockDeviceMapping::builder().device_name("/dev/sda1").ebs(volume).build();
    let of_aws = if architecture == "arm64" { ArchitectureValues::Arm64 } else { ArchitectureValues::X8664 };
    let request = aws_sdk_ec2::Client::new(&aws.harness_sdk_config()).register_image().name(name);
    let request = request.architecture(of_aws).root_device_name("/dev/sda1").virtualization_type("hvm");
    let registered = request.block_device_mappings(volume).send().await.expect("an image");
    registered.image_id.expect("its id")
}

/// An SSH server in a container of the system, which has this machine's network. It listens on loopback, and ends with this value.
#[derive(Debug)]
struct Server {
    port: u16,
    key: PathBuf,
    process: Child,
    alive: Option<ChildStdin>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(root: &Path) -> Self {
        for (path, content) in TEST_ONLY {
            fs::write(root.join(path), content).expect("a file");
        }
        let folder = tempfile::tempdir().expect("a directory");
        let key = folder.path().join("key");
        // With the system's own program: this machine may have none.
        let ssh_keygen = |arguments: &[&str]| {
            run(Command::new("chroot").arg(root).arg("ssh-keygen").args(arguments));
        };
        ssh_keygen(&["-A"]);
        ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "/key"]);
        run(Command::new("mv").arg(root.join("key")).arg(&key));
        let public = fs::read(root.join("key.pub")).expect("a key");
        fs::remove_file(root.join("key.pub")).expect("to remove it");
        let mut authorized = OpenOptions::new();
        let authorized = authorized.append(true).open(root.join("home/ubuntu/.ssh/authorized_keys"));
        authorized.expect("the user's keys").write_all(&public).expect("one more");

        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let sshd = format!(
            "mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e -p {port} -o ListenAddress=127.0.0.1 -o UseDNS=no"
        );
        let mut nspawn = Command::new("bash");
        nspawn.args(["-c", UNTIL_CLOSED, "bash", "systemd-nspawn"]);
        nspawn.args(["--quiet", "--register=no", "--keep-unit", "--as-pid2", "--resolv-conf=off"]);
        nspawn.args(["--console=pipe", "--machine=agentless-image-build"]).args(trust());
        nspawn.arg("--bind-ro=/etc/resolv.conf:/run/systemd/resolve/stub-resolv.conf");
        // The files are below /tmp, where there would be a file system of the container's own.
        nspawn.env("SYSTEMD_NSPAWN_TMPFS_TMP", "0");
        nspawn.arg("--directory").arg(root).args(["/bin/sh", "-c", &sshd]);
        nspawn.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = nspawn.spawn().expect("systemd-nspawn");
        let alive = process.stdin.take();
        Self { port, key, process, alive, _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.alive.take());
        // The shell waits for its end.
        let _ = self.process.wait();
    }
}
