//! Containers.

use serde::{Deserialize, Serialize};

/// A container, as its engine records it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The engine: `docker`, `containerd`, `podman` or `cri-o`.
    pub engine: String,
    /// Its id in the engine.
    pub id: String,
    /// The name that people gave it.
    pub name: Option<String>,
    /// The image that it was made from, as it was asked for, such as `nginx:1.27`.
    pub image: Option<String>,
    /// The digest of the image, such as `sha256:…`: that of its manifest or, where the engine knows none because the image
    /// was built or loaded there, that of its configuration, which engines call its id.
    pub digest: Option<String>,
    /// Other names of the image.
    pub tags: Vec<String>,
    /// Operating system and architecture of the image, such as `linux/arm64`.
    pub platform: Option<String>,
    /// Its state in the engine's words when this was recorded, such as `running` or `exited`.
    pub state: Option<String>,
    /// The digests of the image's layers, uncompressed, the lowest first.
    pub layers: Vec<String>,
}

impl Container {
    /// What people call it: its name or its id, and the image.
    pub fn title(&self) -> String {
        let Self { engine, id, name, image, .. } = self;
        let name = name.as_ref().unwrap_or(id);
        let image = image.as_ref().map(|image| format!(" ({image})")).unwrap_or_default();
        format!("{engine} container {name}{image}")
    }
}
