//! The steps of the demo, in order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_ec2::types::ArchitectureValues;
use scanner_policy::tags;
use serde_json::Value;
use tempfile::TempDir;

use super::console::bytes;
use super::report::{self, ScanSummary};
use super::{Demo, DemoError, Outcome};
use crate::judge::{self, Account, Disk, Policy};
use crate::leftovers::LookError;
use crate::local_aws::{ACCOUNT, Call, LocalAws, RunningInstance};
use crate::machine_image::{self, MachineImage, Size};
use crate::packages::{self, Difference};
use crate::process::Program;
use crate::terraform::{self, Binary, Terraform};
use crate::{cyclonedx, programs};

/// How many steps there are.
pub(super) const COUNT: usize = 9;

const ROLE: &str = "datadog_agentless_scanner_role.this";

/// More than any step takes on a slow machine.
const TIME_LIMIT: Duration = Duration::from_mins(10);

/// What the local AWS holds before the story begins.
struct Scene {
    instance: RunningInstance,
    vpc_id: String,
    subnet_ids: Vec<String>,
    image_id: String,
}

impl Demo<'_> {
    /// Every step up to the comparison; with `keep`, then waits for the interrupt.
    pub(super) async fn steps(&mut self) -> Result<Outcome, DemoError> {
        let folder = self.options.folder.clone();
        fs::create_dir_all(&folder).map_err(|source| io("create", &folder, source))?;
        let work = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&folder)
            .map_err(|source| io("create a folder in", &folder, source))?;

        look_for_tools()?;
        let scanner = self.build_programs().await?;
        self.start_local_aws().await?;
        let image = self.make_image(&work).await?;
        let scene = self.seed(&image).await?;
        self.prepare_terraform(&scene).await?;
        self.apply().await?;
        self.plan_again().await?;
        let files = ScanFiles { bom: folder.join("packages.cdx.json"), summary: folder.join("summary.json") };
        let calls = self.scan(&scanner, &scene, &files, &work).await?;
        let outcome = self.compare(&scene, image, files, &calls).await?;
        self.console.line(format_args!("\n{}", report::table(&outcome)));
        self.console.line(format_args!("package list: {}", report::shown(&outcome.bom)));
        if self.options.keep {
            self.keep().await;
        }
        Ok(outcome)
    }

    async fn build_programs(&mut self) -> Result<PathBuf, DemoError> {
        let step = self.console.begin("Build the Terraform provider and the scanner")?;
        let (provider, scanner) = blocking(|| Ok((programs::provider()?, programs::scanner()?))).await?;
        let (provider, shown) = (report::shown(&provider), report::shown(&scanner));
        self.console.end(&step, format_args!("{provider}\n{shown}"));
        Ok(scanner)
    }

    async fn start_local_aws(&mut self) -> Result<(), DemoError> {
        let step = self.console.begin("Start the local AWS: moto and its overlay, behind our proxy (the first time, a minute for its Python environment)")?;
        let options = crate::local_aws::Options { port: self.options.port, ..Default::default() };
        let aws = tokio::select! {
            aws = LocalAws::start(options) => aws?,
            () = self.interrupt.wait() => return Err(DemoError::Interrupted),
        };
        self.console.end(&step, format_args!("{} in {}", aws.endpoint(), aws.region()));
        self.aws = Some(aws);
        Ok(())
    }

    async fn make_image(&mut self, work: &TempDir) -> Result<MachineImage, DemoError> {
        let step = self
            .console
            .begin("Make a disk image of this machine: GPT, ext4, its package database and system files")?;
        let (folder, interrupt) = (work.path().to_owned(), self.interrupt.clone());
        let image =
            blocking(move || Ok(machine_image::build(&folder, Size::REAL, &|| interrupt.happened())?))
                .await?;
        let filler = match image.filler_bytes {
            0 => String::new(),
            filler => format!(", and {} of generated files", bytes(filler)),
        };
        let (size, system) = (bytes(Size::REAL.disk), bytes(image.system_bytes));
        self.console.end(&step, format_args!("{size} that hold {system} of this machine's files{filler}"));
        Ok(image)
    }

    async fn seed(&mut self, image: &MachineImage) -> Result<Scene, DemoError> {
        let step =
            self.console.begin("Run an EC2 instance from that image, and register an AMI for scanners")?;
        let aws = self.aws()?;
        let network = aws.create_network().await?;
        let instance = aws.run_instance(&network, &image.path, true, &[("Name", "web-1")]).await?;
        let image_id = aws
            .register_image("agentless-scanner", ArchitectureValues::Arm64, &[(tags::SCANNER, tags::TRUE)])
            .await?;
        let told = format!(
            "instance {} with encrypted volume {}, image {image_id}",
            instance.instance_id, instance.volume_id
        );
        self.console.end(&step, told);
        Ok(Scene { instance, vpc_id: network.vpc_id, subnet_ids: network.subnet_ids, image_id })
    }

    async fn prepare_terraform(&mut self, scene: &Scene) -> Result<(), DemoError> {
        let step = self.console.begin("terraform init, in a copy of examples/quickstart")?;
        let mut terraform = Terraform::with_example(self.aws()?, "quickstart")?;
        terraform.set_variable("region", self.aws()?.region());
        terraform.set_variable("vpc_id", &scene.vpc_id);
        terraform.set_variable("subnet_ids", Value::from(scene.subnet_ids.clone()).to_string());
        terraform.set_variable("image_id", &scene.image_id);
        terraform.set_interrupt(self.interrupt.token());
        let version = terraform.version().to_owned();
        terraform.init().await?;
        self.terraform = Some(terraform);
        self.console.end(&step, version);
        Ok(())
    }

    async fn apply(&mut self) -> Result<(), DemoError> {
        let step = self.console.begin("terraform apply")?;
        let terraform = self.terraform()?;
        terraform.apply().await?;
        let made = terraform.state().await?.addresses().join("\n");
        self.console.end(&step, made);
        Ok(())
    }

    async fn plan_again(&mut self) -> Result<(), DemoError> {
        let step = self.console.begin("terraform plan, again")?;
        self.terraform()?.plan().await?.assert_empty()?;
        self.console.end(&step, "no changes");
        Ok(())
    }

    /// Scans with the credentials of the new role, as an instance gets them: from instance metadata.
    async fn scan(
        &mut self,
        scanner: &Path,
        scene: &Scene,
        files: &ScanFiles,
        work: &TempDir,
    ) -> Result<Vec<Call>, DemoError> {
        let target = &scene.instance.instance_id;
        let step = self
            .console
            .begin(format_args!("agentless-scanner scan {target}, with the new role's credentials"))?;
        let state = self.terraform()?.state().await?;
        let role = state.attribute(ROLE, "name")?.as_str().unwrap_or_default().to_owned();
        let role_arn = state.attribute(ROLE, "arn")?.as_str().unwrap_or_default().to_owned();
        let aws = self.aws()?;
        let metadata = aws
            .instance_metadata(&role)
            .await
            .map_err(|source| io("serve", Path::new("instance metadata"), source))?;
        let environment = [
            ("AWS_ENDPOINT_URL", aws.endpoint()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint().to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("HOME", work.path().display().to_string()),
        ];
        let (bom, summary) = (files.bom.display().to_string(), files.summary.display().to_string());
        let arguments = [
            "scan",
            target,
            "--format",
            "cyclonedx-json",
            "--output",
            &bom,
            "--summary",
            &summary,
            "--quiet",
        ];
        aws.clear_calls();
        let program = Program {
            path: scanner,
            directory: work.path(),
            environment: &environment,
            time_limit: TIME_LIMIT,
            interrupt: self.interrupt.token(),
        };
        let finished = program.start(&arguments)?.wait().await?;
        if finished.code != Some(0) {
            let (target, ended) = (target.clone(), finished.ended());
            return Err(DemoError::Scan { target, ended, output: finished.stderr });
        }
        let calls: Vec<Call> = aws
            .calls()
            .into_iter()
            .filter(|call| call.principal.as_ref().is_some_and(|it| it.role_arn.as_ref() == Some(&role_arn)))
            .collect();
        self.console.end(&step, format_args!("{} API calls as {role_arn}", calls.len()));
        Ok(calls)
    }

    async fn compare(
        &mut self,
        scene: &Scene,
        image: MachineImage,
        files: ScanFiles,
        calls: &[Call],
    ) -> Result<Outcome, DemoError> {
        let step = self.console.begin(
            "Compare: packages with dpkg-query, their list with the CycloneDX schema, calls with the role",
        )?;
        let document: Value = read_json(&files.bom)?;
        let found = packages::in_bom(&document).map_err(|problem| wrong(&files.bom, problem))?;
        let difference = Difference::between(&packages::installed_here()?, &found);
        let schema_errors = cyclonedx::schema_errors(&document)?;
        let policy = self.policy().await?;
        let mut verdict = judge::judge(&policy, calls, &account(self.aws()?, scene, calls).await?)?;
        // A scan by hand needs nothing of what only the service sends.
        let is_of_service = |name: &String| scanner_policy::actions::SERVICE.iter().any(|of| of.name == name);
        verdict.needless.retain(|name| !is_of_service(name));
        let mut recorded_calls = BTreeMap::new();
        for call in calls {
            *recorded_calls.entry(call.permission()).or_default() += 1;
        }
        let summary: ScanSummary = read_json(&files.summary)?;
        let packages = found.len();
        let told = format!(
            "{packages} packages, {difference} against dpkg-query\n\
             {} errors against the official CycloneDX 1.6 schema\n\
             {} permission checks, {} denied by the role's policy; {} of its actions needless",
            schema_errors.len(),
            verdict.authorizations.len(),
            verdict.denied.len(),
            verdict.needless.len(),
        );
        self.console.end(&step, told);
        let bom = files.bom;
        Ok(Outcome {
            image,
            packages,
            difference,
            schema_errors,
            policy,
            verdict,
            recorded_calls,
            summary,
            bom,
        })
    }

    /// The policy that the role has in IAM now.
    async fn policy(&self) -> Result<Policy, DemoError> {
        let state = self.terraform()?.state().await?;
        let role = state.attribute(ROLE, "name")?.as_str().unwrap_or_default();
        Ok(Policy::from_json(&inline_policy(self.aws()?, role).await?)?)
    }

    /// Waits for the interrupt, and says how to look around meanwhile.
    async fn keep(&mut self) {
        let (Some(aws), Some(terraform)) = (&self.aws, &self.terraform) else { return };
        let exports: Vec<String> =
            aws.environment().iter().map(|(name, value)| format!("  export {name}={value}")).collect();
        let lines = format!(
            "\nThe local AWS and what was applied stay until you press Ctrl-C. To use them from another terminal:\n\n\
             {}\n\n  aws ec2 describe-instances\n  cd {}\n  {} plan",
            exports.join("\n"),
            terraform.directory().display(),
            terraform.command_line(),
        );
        self.console.line(lines);
        self.interrupt.wait().await;
    }

    fn aws(&self) -> Result<&LocalAws, DemoError> {
        self.aws.as_ref().ok_or_else(|| DemoError::Unexpected("the local AWS is not running".to_owned()))
    }

    fn terraform(&self) -> Result<&Terraform, DemoError> {
        self.terraform
            .as_ref()
            .ok_or_else(|| DemoError::Unexpected("terraform was not initialised".to_owned()))
    }
}

/// What the scan writes.
struct ScanFiles {
    bom: PathBuf,
    summary: PathBuf,
}

/// What the later steps need of the machine, so that a missing program is said at once and not after minutes.
fn look_for_tools() -> Result<(), DemoError> {
    Binary::find().map_err(terraform::Error::from)?;
    machine_image::look_for_tools()?;
    packages::look_for_tools()?;
    Ok(())
}

/// The role's one inline policy, as IAM has it.
async fn inline_policy(aws: &LocalAws, role: &str) -> Result<String, DemoError> {
    let iam = aws_sdk_iam::Client::new(&aws.harness_sdk_config());
    let names = iam.list_role_policies().role_name(role).send().await.map_err(look)?;
    let [name] = names.policy_names() else {
        let found = names.policy_names();
        return Err(DemoError::Unexpected(format!("role {role} has the inline policies {found:?}, not one")));
    };
    let policy = iam.get_role_policy().role_name(role).policy_name(name).send().await.map_err(look)?;
    // IAM answers with the document percent-encoded (RFC 3986).
    Ok(packages::percent_decode(policy.policy_document()))
}

/// What the judge must know of the account.
async fn account(aws: &LocalAws, scene: &Scene, calls: &[Call]) -> Result<Account, DemoError> {
    let ec2 = aws_sdk_ec2::Client::new(&aws.harness_sdk_config());
    let volumes = ec2.describe_volumes().volume_ids(&scene.instance.volume_id).send().await.map_err(look)?;
    let volumes = volumes.volumes().iter().map(|volume| {
        let tags = volume.tags().iter().map(|tag| {
            (tag.key().unwrap_or_default().to_owned(), tag.value().unwrap_or_default().to_owned())
        });
        let disk = Disk { tags: tags.collect(), kms_key: volume.kms_key_id().map(str::to_owned) };
        (volume.volume_id().unwrap_or_default().to_owned(), disk)
    });
    let account = Account { id: ACCOUNT.to_owned(), volumes: volumes.collect(), ..Account::default() };
    Ok(account.with_snapshots_of(calls))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DemoError> + Send + 'static,
) -> Result<T, DemoError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io("finish", Path::new("a step"), std::io::Error::other(error))))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, DemoError> {
    let text = fs::read(path).map_err(|source| io("read", path, source))?;
    serde_json::from_slice(&text).map_err(|error| wrong(path, error.to_string()))
}

fn wrong(path: &Path, problem: String) -> DemoError {
    DemoError::PackageList { path: path.to_owned(), problem }
}

fn io(doing: &'static str, path: &Path, source: std::io::Error) -> DemoError {
    DemoError::Io { doing, path: path.to_owned(), source }
}

fn look<E: std::error::Error + 'static>(error: E) -> DemoError {
    LookError::new(error).into()
}
