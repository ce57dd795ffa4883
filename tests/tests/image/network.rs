//! The network of a booted image: one namespace that is the image's, one that is everything else, and a cable between them.
//!
//! Nothing of them has a name: when the test's process and the image have ended, the kernel removes them. In the one that is
//! everything else, the addresses of AWS lead to the local AWS of this process.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use tokio::io::copy_bidirectional;

use crate::run;

#[derive(Debug)]
pub(crate) struct Network {
    inside: OwnedFd,
    outside: OwnedFd,
    forwarders: Vec<tokio::task::JoinHandle<()>>,
}

impl Network {
    pub(crate) fn new() -> Self {
        let [inside, outside] = [(); 2].map(|()| namespace());
        let network = Self { inside, outside, forwarders: Vec::new() };
        network.ip(&format!("link add outside type veth peer name {LINK} netns {}", network.path()));
        network.ip("link set lo up");
        network.ip("link set outside up");
        for address in [GATEWAY, METADATA, ARCHIVE, SECURITY] {
            network.ip(&format!("address add {address}/24 dev outside"));
        }
        network
    }

    /// The image's namespace, as a path that other processes can open.
    pub(crate) fn path(&self) -> String {
        path(&self.inside)
    }

    /// Has connections to an address outside end where this machine would go for `to`.
    pub(crate) fn forward(&mut self, from: (Ipv4Addr, u16), to: String) {
        let listener =
            within(&self.outside, || TcpListener::bind(SocketAddr::from(from))).expect("a listener");
        listener.set_nonblocking(true).expect("a listener");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        self.forwarders.push(tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let to = to.clone();
                tokio::spawn(async move {
                    if let Ok(mut far) = tokio::net::TcpStream::connect(&to).await {
                        // Either side may end it as it likes.
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        }));
    }

    /// Those of the image's ports that accept a connection from outside.
    #[expect(clippy::needless_collect, reason = "all of them are to be under way at once")]
    pub(crate) fn open_from_outside(&self, ports: &[u16]) -> Vec<u16> {
        let attempt = |port: &u16| {
            let address = SocketAddr::from((IMAGE, *port));
            within(&self.outside, || TcpStream::connect_timeout(&address, PATIENCE)).is_ok()
        };
        std::thread::scope(|scope| {
            let attempts: Vec<_> =
                ports.iter().map(|port| (port, scope.spawn(move || attempt(port)))).collect();
            let open =
                attempts.into_iter().filter_map(|(port, it)| it.join().expect("an attempt").then_some(*port));
            open.collect()
        })
    }

    fn ip(&self, arguments: &str) {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg(format!("--net={}", path(&self.outside))).args(["ip"]);
        run(nsenter.args(arguments.split(' ')));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for forwarder in &self.forwarders {
            forwarder.abort();
        }
    }
}

/// A new namespace, which ends with the descriptor.
fn namespace() -> OwnedFd {
    let make = || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
    };
    std::thread::spawn(make).join().expect("a thread").expect("a network namespace")
}

/// Does something in a namespace, on a thread of its own: other threads stay where they are.
fn within<T: Send>(namespace: &OwnedFd, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let acting = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            act()
        });
        acting.join().expect("a thread")
    })
}

fn path(namespace: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd())
}

/// The name of the image's end of the cable.
pub(crate) const LINK: &str = "host0";
/// The image's address.
pub(crate) const IMAGE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2));
/// Everything else's, at whose port 443 AWS answers.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// Where the archive and its security pocket are.
pub(crate) const ARCHIVE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 3);
pub(crate) const SECURITY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 4);
/// The instance metadata service's.
pub(crate) const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// How long a connection may take. A firewall that drops is not heard of at all.
const PATIENCE: Duration = Duration::from_secs(3);
