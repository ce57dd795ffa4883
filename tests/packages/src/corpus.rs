//! Trees of installed packages, made from the registries by each one's own tools. Tests and the benchmark share them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{debian, kept, rpm, tool, unpacked};

/// A tree by its name, and what makes it.
type Root = (&'static str, fn() -> PathBuf);

/// Trees by their names in tables, and what makes them.
pub const ROOTS: [Root; 10] = [
    ("debian", debian::with_languages),
    ("rpm-sqlite", || rpm_root("rpm-root-sqlite-1", rpm::sqlite)),
    ("rpm-ndb", || rpm_root("rpm-root-ndb-1", rpm::ndb)),
    ("rpm-bdb", || rpm_root("rpm-root-bdb-1", rpm::bdb)),
    ("python", function_of_python),
    ("node", node_modules),
    ("ruby", gems),
    ("java", java_libraries),
    ("dotnet", dotnet_packages),
    ("go", go_programs),
];

/// A root directory with a database of RPM.
fn rpm_root(name: &str, made: fn() -> rpm::Made) -> PathBuf {
    kept::tree(name, |folder| {
        let database = folder.join("var/lib/rpm");
        fs::create_dir_all(&database).unwrap();
        fs::create_dir_all(folder.join("etc")).unwrap();
        for file in fs::read_dir(made().folder).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), database.join(file.file_name())).unwrap();
        }
        fs::write(folder.join("etc/os-release"), "NAME=Fedora\nID=fedora\nVERSION_ID=40\n").unwrap();
    })
}

/// What a Python function of Lambda is packed from: distributions in one folder.
fn function_of_python() -> PathBuf {
    kept::tree("function-python-1", |folder| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--target"]);
        tool::run(pip.arg(folder).args(DISTRIBUTIONS));
    })
}

/// Gems as Debian ships them.
fn gems() -> PathBuf {
    const GEMS: [&str; 8] = [
        "rake",
        "ruby-activesupport",
        "ruby-json",
        "ruby-mime-types",
        "ruby-net-http-persistent",
        "ruby-nokogiri",
        "ruby-rack",
        "ruby-sinatra",
    ];
    kept::tree("gems-1", |tree| unpacked::unpack(&GEMS, tree))
}

/// Programs of Go.
fn go_programs() -> PathBuf {
    kept::tree("go-programs-1", |tree| unpacked::unpack(&["docker.io", "rclone"], tree))
}

/// Distributions whose names, versions, licences and needs are written in each way there is: names with capitals, dots and
/// underscores, local versions, licences as expressions, classifiers and texts.
pub const DISTRIBUTIONS: &[&str] = &[
    "Flask==3.0.3",
    "PyYAML==6.0.2",
    "Pygments==2.18.0",
    "attrs==24.2.0",
    "backports.tarfile==1.2.0",
    "importlib_metadata==8.5.0",
    "jaraco.functools==4.1.0",
    "python-dateutil==2.9.0.post0",
    "pytz==2024.2",
    "requests==2.32.3",
    "ruamel.yaml==0.18.6",
    "typing_extensions==4.12.2",
    "zope.interface==7.2",
];

/// A virtual environment with some distributions and what they need.
pub fn environment() -> PathBuf {
    kept::tree("python-1", |folder| {
        tool::run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        tool::run(pip(folder).args(["install", "--quiet", "--only-binary", ":all:"]).args(DISTRIBUTIONS));
    })
}

/// The environment's own `pip`.
pub fn pip(environment: &Path) -> Command {
    let mut command = Command::new(environment.join("bin/python"));
    command.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]);
    command.env_remove("PYTHONPATH");
    command
}

/// An application. `rxjs` has files named `package.json` that are no packages, `toposort-class` has odd members, and
/// `is-old` is another package under that name.
pub const APPLICATION: &str = r#"{"name": "application", "version": "1.0.0", "dependencies":
    {"@babel/code-frame": "7.26.2", "express": "4.18.2", "is-old": "npm:is-odd@3.0.1", "rxjs": "7.8.1",
    "toposort-class": "1.0.1"}}"#;

/// The application, installed by `npm`.
pub fn node_modules() -> PathBuf {
    kept::tree("node-npm-1", |folder| {
        fs::write(folder.join("package.json"), APPLICATION).unwrap();
        tool::run(npm(folder).args(["install", "--ignore-scripts", "--no-audit", "--no-fund"]));
    })
}

/// `npm` in this folder.
pub fn npm(folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder);
    command
}

/// Libraries that Maven built and libraries that others did, with and without a version in their names.
const LIBRARIES: [&str; 13] = [
    "junit4",
    "libasm-java",
    "libbcprov-java",
    "libcommons-compress-java",
    "libcommons-io-java",
    "libcommons-lang3-java",
    "libguava-java",
    "libjackson2-core-java",
    "liblog4j2-java",
    "libmaven3-core-java",
    "libservlet-api-java",
    "libslf4j-java",
    "libspring-core-java",
];

/// Debian's packages of them, unpacked.
pub fn java_libraries() -> PathBuf {
    kept::tree("java-libraries", |tree| unpacked::unpack(&LIBRARIES, tree))
}

/// Five applications, a framework, and a library, each with a version of Python.
const WHEELS: [(&str, &str); 3] =
    [("azureml-dataprep==2.0.0", "3.8"), ("dotnetcore2==3.1.23", "3.8"), ("pythonnet==3.2.1", "3.12")];

/// The wheels.
pub fn dotnet_wheels() -> PathBuf {
    kept::tree("dotnet-wheels", |tree| {
        for (wheel, python) in WHEELS {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]);
            // They are not run: the version of Python is one that they were made for.
            pip.args(["--platform", "manylinux1_x86_64", "--python-version", python]);
            tool::run(pip.arg(wheel).arg("--dest").arg(tree));
        }
    })
}

/// What is in them.
pub fn dotnet_packages() -> PathBuf {
    kept::tree("dotnet-packages-1", |folder| {
        for wheel in fs::read_dir(dotnet_wheels()).unwrap().map(Result::unwrap) {
            tool::run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel.path()).arg(folder));
        }
    })
}
