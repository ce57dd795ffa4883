//! Container engines that run for a test, with everything that they keep in one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::tool;

/// A daemon that ends with the value.
#[derive(Debug)]
pub struct Daemon {
    process: Child,
    socket: PathBuf,
}

impl Daemon {
    /// dockerd with this data root: its images are in `overlay2`. It starts a containerd of its own.
    pub fn docker(root: &Path, run: &Path) -> Self {
        let socket = run.join("docker.sock");
        let mut command = Command::new("dockerd");
        command.arg("--data-root").arg(root).arg("--exec-root").arg(run.join("docker"));
        command
            .arg("--pidfile")
            .arg(run.join("docker.pid"))
            .arg("-H")
            .arg(format!("unix://{}", socket.display()));
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=overlay2"]);
        let daemon = Self::start(command, socket, &run.join("docker.log"));
        daemon.wait(|| daemon.docker_client().arg("version").output().unwrap().status.success());
        daemon
    }

    /// containerd with this root.
    pub fn containerd(root: &Path, run: &Path) -> Self {
        let socket = run.join("containerd.sock");
        let configuration = run.join("containerd.toml");
        let text = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{}\"\n",
            root.display(),
            run.join("containerd").display(),
            socket.display()
        );
        fs::write(&configuration, text).unwrap();
        let mut command = Command::new("containerd");
        command.arg("-c").arg(configuration);
        let daemon = Self::start(command, socket, &run.join("containerd.log"));
        daemon.wait(|| daemon.containerd_client("default").arg("version").output().unwrap().status.success());
        daemon
    }

    fn start(mut command: Command, socket: PathBuf, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { process, socket }
    }

    #[expect(clippy::disallowed_methods, reason = "a daemon does not say when it is ready")]
    fn wait(&self, is_ready: impl Fn() -> bool) {
        let ready = (0..300).any(|_| {
            sleep(Duration::from_millis(100));
            is_ready()
        });
        assert!(ready, "{} is not ready after half a minute", self.socket.display());
    }

    /// The client of [`docker`](Self::docker).
    pub fn docker_client(&self) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(format!("unix://{}", self.socket.display()));
        command
    }

    /// The client of [`containerd`](Self::containerd).
    pub fn containerd_client(&self, namespace: &str) -> Command {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(&self.socket).args(["-n", namespace]);
        command
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked to, a daemon ends what it has started too.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// podman, which needs no daemon, with this storage.
pub fn podman(root: &Path, run: &Path) -> Command {
    let mut command = Command::new("podman");
    command.arg("--root").arg(root).arg("--runroot").arg(run.join("podman"));
    command.args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]);
    command
}

/// The architecture of this machine, as images name it: engines refuse to make containers for others.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Writes an image that `docker load` and `ctr image import` take, with these folders as its layers, the lowest first.
/// Returns the digests of the layers.
pub fn image(layers: &[PathBuf], name: &str, archive: &Path) -> Vec<String> {
    let folder = archive.with_extension("image");
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let add = |content: &Path| {
        let printed = tool::run(Command::new("sha256sum").arg(content));
        let hash = printed.split_whitespace().next().unwrap().to_owned();
        let size = content.metadata().unwrap().len();
        fs::rename(content, blobs.join(&hash)).unwrap();
        (hash, size)
    };
    let part = folder.join("part");
    let mut descriptors = Vec::new();
    let mut hashes = Vec::new();
    for layer in layers {
        let mut command = Command::new("tar");
        command
            .args(["--sort=name", "--owner=0", "--group=0", "--mtime=@0", "-cf"])
            .arg(&part)
            .arg("-C")
            .arg(layer)
            .arg(".");
        tool::run(&mut command);
        let (hash, size) = add(&part);
        let media = "application/vnd.oci.image.layer.v1.tar";
        descriptors.push(format!(r#"{{"mediaType":"{media}","digest":"sha256:{hash}","size":{size}}}"#));
        hashes.push(hash);
    }
    let digests: Vec<_> = hashes.iter().map(|hash| format!("sha256:{hash}")).collect();
    let ids: Vec<_> = digests.iter().map(|digest| format!("{digest:?}")).collect();
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","config":{{"Cmd":["/bin/true"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        architecture(),
        ids.join(",")
    );
    fs::write(&part, config).unwrap();
    let (config, size) = add(&part);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{config}","size":{size}}},"layers":[{}]}}"#,
        descriptors.join(",")
    );
    fs::write(&part, manifest).unwrap();
    let (manifest, size) = add(&part);
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{manifest}","size":{size},"annotations":{{"io.containerd.image.name":"{name}"}}}}]}}"#
    );
    fs::write(folder.join("index.json"), index).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    // What Docker reads.
    let files: Vec<_> = hashes.iter().map(|hash| format!(r#""blobs/sha256/{hash}""#)).collect();
    let list = format!(
        r#"[{{"Config":"blobs/sha256/{config}","RepoTags":["{name}"],"Layers":[{}]}}]"#,
        files.join(",")
    );
    fs::write(folder.join("manifest.json"), list).unwrap();
    tool::run(Command::new("tar").arg("-cf").arg(archive).arg("-C").arg(&folder).arg("."));
    digests
}
