//! Package lists as files in a directory.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use time::OffsetDateTime;

use super::document::documents;
use super::{Payload, SendError, Sink, names};
use crate::report::{Outcome, Report};

/// Writes `<account>/<region>/<kind>/<target>/<list>.cdx.json` into a directory, and for a failed scan
/// `<target>.failed.json`, which goes away with the next list.
#[derive(Clone, Debug)]
pub struct Files {
    directory: PathBuf,
}

impl Files {
    /// Files in this directory. It is made when the first file is written.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }
}

impl Sink for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn render(&self, report: &Report, _now: OffsetDateTime) -> Vec<Payload> {
        // With the list of a target its failure is over.
        let over = match report.outcome {
            Outcome::Listed(_) => names::failure_path(&report.target),
            Outcome::Failed(_) => String::new(),
        };
        let payloads = documents(report).into_iter().map(|document| Payload {
            key: document.path,
            content_type: document.content_type.to_owned(),
            headers: Vec::new(),
            note: over.clone(),
            body: document.body,
        });
        payloads.collect()
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<(), SendError>> {
        let path = self.directory.join(&payload.key);
        let over = (!payload.note.is_empty()).then(|| self.directory.join(&payload.note));
        let body = payload.body.clone();
        let shown = path.display().to_string();
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || {
                write(&path, &body)?;
                over.map_or(Ok(()), |over| match std::fs::remove_file(over) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                })
            });
            match written.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(SendError::passing(format!(
                    "{shown} could not be written: {error}; check the directory's permissions and space"
                ))),
                Err(error) => Err(SendError::passing(format!("{shown} was not written: {error}"))),
            }
        })
    }
}

/// Whole or not at all, and still there after a power failure.
fn write(path: &Path, body: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".new-").permissions(readable()).tempfile_in(folder)?;
    file.write_all(body)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}

/// As the user's mask allows: others read these files.
fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::test_reports::{NOW, listed, report};

    #[tokio::test]
    async fn lists_and_failures_become_files() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::new(directory.path().join("lists"));
        let folder = directory.path().join("lists/111111111111/eu-central-1/instance/i-1");

        let failed = report("i-1", Outcome::Failed("the snapshot was denied".to_owned()));
        for payload in files.render(&failed, NOW) {
            files.send(&payload).await.unwrap();
        }
        let note: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("i-1.failed.json")).unwrap()).unwrap();
        assert_eq!(note["reason"], "the snapshot was denied");
        assert_eq!(note["target"]["id"], "i-1");
        assert_eq!(note["time"], "2026-03-01T12:00:02.5Z");

        for payload in files.render(&listed("i-1"), NOW) {
            files.send(&payload).await.unwrap();
            files.send(&payload).await.unwrap();
        }
        let names: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["host.cdx.json"]);
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_made_is_a_passing_error() {
        let directory = tempfile::tempdir().unwrap();
        let obstacle = directory.path().join("lists");
        std::fs::write(&obstacle, "a file").unwrap();
        let files = Files::new(obstacle.clone());
        let payload = files.render(&listed("i-1"), NOW).remove(0);
        let error = files.send(&payload).await.unwrap_err();
        assert!(
            matches!(&error, SendError::Passing { reason, .. } if reason.contains("host.cdx.json")),
            "{error}"
        );
        std::fs::remove_file(obstacle).unwrap();
        files.send(&payload).await.unwrap();
    }
}
