//! `cargo docs`: writes what is generated from the provider's schemas.
//!
//! - `docs/index.md`, `docs/resources/*.md`, `docs/data-sources/*.md`, `docs/ephemeral-resources/*.md` and
//!   `docs/actions/*.md`: the pages that the Terraform Registry shows, made from the descriptions in the schemas and the
//!   files in `examples/`;
//! - `provider/schema.json`: the provider's public interface, so that a review shows how it changes;
//! - `provider/state/`: what states of each resource and schema version look like, which users have stored.
//!
//! `cargo docs -- --check` writes nothing and fails when a file is not what would be written.

mod page;
mod states;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::Parser;
use terraform_provider::provider::Agentless;
use terraform_provider::sdk::{Provider, provider_schemas};

/// Writes the pages of the Terraform Registry and the provider's schema.
#[derive(Parser)]
#[command(name = "docs")]
struct Arguments {
    /// Only say whether the files are up to date.
    #[arg(long)]
    check: bool,
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command of developers, whose output this is"
)]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let result = files(&root).and_then(|files| {
        if arguments.check { outdated(&root, &files) } else { write(&root, &files).map(|()| Vec::new()) }
    });
    match result {
        Ok(outdated) if outdated.is_empty() => ExitCode::SUCCESS,
        Ok(outdated) => {
            for path in outdated {
                println!("{} is not up to date", path.display());
            }
            eprintln!("Run `cargo docs` and commit what it writes.");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("cargo docs: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    State(#[from] states::StateError),
}

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
struct FileError {
    path: PathBuf,
    source: io::Error,
}

/// Every generated file, by its path from the root.
fn files(root: &Path) -> Result<BTreeMap<PathBuf, String>, Error> {
    let examples = Examples { directory: root.join("examples") };
    let mut files = BTreeMap::new();
    let provider = examples.read("provider/provider.tf")?;
    files.insert(PathBuf::from("docs/index.md"), page::index(&Agentless::schema(), &provider));
    let identities: BTreeMap<_, _> = Agentless::catalog().identities().collect();
    for (name, schema) in Agentless::catalog().resources() {
        let full_name = format!("{}{name}", Agentless::PREFIX);
        let example = examples.read(&format!("resources/{full_name}/resource.tf"))?;
        let import = examples.read(&format!("resources/{full_name}/import.sh"))?;
        let identity = identities.get(name);
        let page = page::resource(&full_name, schema, identity, &example, &import);
        files.insert(PathBuf::from(format!("docs/resources/{name}.md")), page);
    }
    for (name, schema) in Agentless::catalog().data_sources() {
        let full_name = format!("{}{name}", Agentless::PREFIX);
        let example = examples.read(&format!("data-sources/{full_name}/data-source.tf"))?;
        let page = page::data_source(&full_name, schema, &example);
        files.insert(PathBuf::from(format!("docs/data-sources/{name}.md")), page);
    }
    for (name, schema) in Agentless::catalog().ephemeral_resources() {
        let full_name = format!("{}{name}", Agentless::PREFIX);
        let example = examples.read(&format!("ephemeral-resources/{full_name}/ephemeral-resource.tf"))?;
        let page = page::ephemeral_resource(&full_name, schema, &example);
        files.insert(PathBuf::from(format!("docs/ephemeral-resources/{name}.md")), page);
    }
    for (name, schema) in Agentless::catalog().actions() {
        let full_name = format!("{}{name}", Agentless::PREFIX);
        let example = examples.read(&format!("actions/{full_name}/action.tf"))?;
        let page = page::action(&full_name, schema, &example);
        files.insert(PathBuf::from(format!("docs/actions/{name}.md")), page);
    }
    let schemas = provider_schemas::<Agentless>();
    files.insert(PathBuf::from("provider/schema.json"), format!("{schemas:#}\n"));
    files.extend(states::files(root)?);
    Ok(files)
}

struct Examples {
    directory: PathBuf,
}

impl Examples {
    fn read(&self, name: &str) -> Result<String, FileError> {
        let path = self.directory.join(name);
        fs::read_to_string(&path).map_err(|source| FileError { path, source })
    }
}

/// The files that are not what they should be, and the pages of what no longer exists.
fn outdated(root: &Path, files: &BTreeMap<PathBuf, String>) -> Result<Vec<PathBuf>, Error> {
    let differs = |(path, content): &(&PathBuf, &String)| {
        fs::read_to_string(root.join(path)).ok().as_ref() != Some(*content)
    };
    let mut outdated: Vec<PathBuf> = files.iter().filter(differs).map(|(path, _)| path.clone()).collect();
    outdated.extend(orphans(root, files)?);
    Ok(outdated)
}

fn write(root: &Path, files: &BTreeMap<PathBuf, String>) -> Result<(), Error> {
    for orphan in orphans(root, files)? {
        let path = root.join(orphan);
        fs::remove_file(&path).map_err(|source| FileError { path, source })?;
    }
    for (path, content) in files {
        let path = root.join(path);
        let directory = path.parent().unwrap_or(root);
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&path, content))
            .map_err(|source| FileError { path, source })?;
    }
    Ok(())
}

/// Pages that no resource and no data source has.
fn orphans(root: &Path, files: &BTreeMap<PathBuf, String>) -> Result<Vec<PathBuf>, FileError> {
    let mut orphans = Vec::new();
    for directory in
        ["docs/resources", "docs/data-sources", "docs/ephemeral-resources", "docs/actions"].map(Path::new)
    {
        let path = root.join(directory);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(FileError { path, source }),
        };
        for entry in entries {
            let name = entry.map_err(|source| FileError { path: path.clone(), source })?.file_name();
            let page = directory.join(name);
            if !files.contains_key(&page) {
                orphans.push(page);
            }
        }
    }
    orphans.sort_unstable();
    Ok(orphans)
}
