//! The unix socket: a file that only its owner (or a group that Terraform names) may open.

use std::fs::{self, DirBuilder, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::UnixListener;

/// Why there is no socket.
#[derive(Debug, Error)]
pub(super) enum SocketError {
    #[error("could not make the directory {} for the socket", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    #[error("could not open the socket {} (is its path longer than 100 characters?)", .0.display())]
    Open(PathBuf, #[source] io::Error),
    #[error("could not give the socket to the group {0:?} of PLUGIN_UNIX_SOCKET_GROUP")]
    Group(String, #[source] io::Error),
}

/// A listening socket whose file is removed at the end.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    /// A directory that holds nothing but the socket, if we made one.
    directory: Option<PathBuf>,
    listener: Option<StdListener>,
}

impl Socket {
    /// Opens a socket where the environment says, or else in a directory of its own.
    pub(super) fn open() -> Result<Self, SocketError> {
        let directory = std::env::var_os("PLUGIN_UNIX_SOCKET_DIR").filter(|directory| !directory.is_empty());
        let socket = Self::open_in(directory.map(PathBuf::from))?;
        if let Some(group) = std::env::var("PLUGIN_UNIX_SOCKET_GROUP").ok().filter(|group| !group.is_empty())
        {
            socket.give_to(&group).map_err(|error| SocketError::Group(group, error))?;
        }
        Ok(socket)
    }

    fn open_in(shared: Option<PathBuf>) -> Result<Self, SocketError> {
        // Not a secret, only a name that nobody else uses: the directory's mode is what protects it.
        let name = format!("plugin-{}-{:08x}", std::process::id(), RandomState::new().hash_one(0) >> 32);
        let (path, directory) = if let Some(shared) = shared {
            (shared.join(name), None)
        } else {
            let directory = std::env::temp_dir().join(name);
            DirBuilder::new()
                .mode(0o700)
                .create(&directory)
                .map_err(|error| SocketError::Directory(directory.clone(), error))?;
            (directory.join("socket"), Some(directory))
        };
        let mut socket = Self { path, directory, listener: None };
        let open = |path: &Path| {
            let listener = StdListener::bind(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        socket.listener =
            Some(open(&socket.path).map_err(|error| SocketError::Open(socket.path.clone(), error))?);
        Ok(socket)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The listener, for the runtime that calls this. To be called once.
    pub(super) fn listener(&mut self) -> Result<UnixListener, SocketError> {
        let listener = self.listener.take().ok_or_else(|| io::Error::other("the socket is already in use"));
        listener.and_then(UnixListener::from_std).map_err(|error| SocketError::Open(self.path.clone(), error))
    }

    fn give_to(&self, group: &str) -> io::Result<()> {
        let groups = fs::read_to_string("/etc/group")?;
        let id = group_id(group, &groups)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such group"))?;
        chown(&self.path, None, Some(id))?;
        fs::set_permissions(&self.path, Permissions::from_mode(0o660))?;
        if let Some(directory) = &self.directory {
            chown(directory, None, Some(id))?;
            fs::set_permissions(directory, Permissions::from_mode(0o750))?;
        }
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whoever else has removed them has done our work.
        let _ = fs::remove_file(&self.path);
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// The number of `group`, which is a number itself or a name in `groups` (the text of `/etc/group`).
fn group_id(group: &str, groups: &str) -> Option<u32> {
    group.parse().ok().or_else(|| {
        groups.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok())?
        })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_socket_is_private_and_leaves_nothing_behind() {
        let socket = Socket::open_in(None).unwrap();
        let (path, directory) = (socket.path.clone(), socket.directory.clone().unwrap());
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!directory.exists());
    }

    #[test]
    fn a_socket_can_be_given_to_a_group() {
        let socket = Socket::open_in(None).unwrap();
        let (path, directory) = (socket.path.clone(), socket.directory.clone().unwrap());
        // The group it has already: giving it to another one takes more rights.
        let group = fs::metadata(&path).unwrap().gid();
        socket.give_to(&group.to_string()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o750);
        assert!(socket.give_to("no such group").is_err());
    }

    #[test]
    fn a_given_directory_is_used_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let socket = Socket::open_in(Some(directory.path().to_owned())).unwrap();
        assert_eq!(socket.path().parent(), Some(directory.path()));
        drop(socket);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn too_long_a_path_is_explained() {
        let long = std::env::temp_dir().join("x".repeat(200));
        let error = Socket::open_in(Some(long)).unwrap_err();
        assert!(error.to_string().contains("longer than 100 characters"), "{error}");
    }

    #[test]
    fn groups_are_found_by_name_and_number() {
        let groups = "root:x:0:\nstaff:x:50:a,b\n";
        assert_eq!(group_id("staff", groups), Some(50));
        assert_eq!(group_id("7", groups), Some(7));
        assert_eq!(group_id("nobody", groups), None);
    }
}
