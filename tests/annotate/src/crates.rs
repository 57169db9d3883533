//! The list of crates from the registry, and how to get them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{Error, Package, at};

/// A line of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The crate.
    pub name: String,
    /// Its version, which is pinned.
    pub version: String,
    /// What it is there for.
    pub what: String,
    /// Dev-dependencies that only benchmarks use.
    pub without: Vec<String>,
    /// Whether its own lock file is set aside: it names versions that do not build.
    pub newest: bool,
    /// Functions, `file:name`, that do not compile with the attribute, and ought to.
    pub faults: Vec<String>,
    /// Arguments of `cargo test`.
    pub arguments: Vec<String>,
}

/// The crates of the proof.
#[must_use]
pub fn listed() -> Vec<Listed> {
    include_str!("../crates.txt").lines().filter(|line| !line.starts_with('#')).filter_map(listed_in).collect()
}

fn listed_in(line: &str) -> Option<Listed> {
    let newest = line.split_whitespace().any(|word| word == "newest");
    let mut words = line.split_whitespace().filter(|word| *word != "newest").map(str::to_owned);
    let (name, version, what) = (words.next()?, words.next()?, words.next()?);
    let (mut faults, mut without, mut arguments) = (Vec::new(), Vec::new(), Vec::new());
    for word in words {
        if word.starts_with("--") {
            arguments.push(word);
        } else if let Some(dependency) = word.strip_prefix('-') {
            without.push(dependency.to_owned());
        } else {
            faults.push(word);
        }
    }
    Some(Listed { name, version, what, without, newest, faults, arguments })
}

/// Gets the crates from the registry, by way of a package in `folder` that depends on them.
pub fn fetch(crates: &[Listed], folder: &Path) -> Result<Vec<Package>, Error> {
    let mut manifest =
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n"
            .to_owned();
    for Listed { name, version, .. } in crates {
        writeln!(manifest, "{name} = {{ version = \"={version}\", default-features = false }}")?;
    }
    fs::create_dir_all(folder.join("src")).map_err(|error| at(folder.display(), error))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version=1"]).current_dir(folder);
    let output = cargo.output().map_err(|error| at("cargo metadata", error))?;
    if !output.status.success() {
        return Err(at("cargo metadata", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata: no packages")?;
    let find = |listed: &Listed| {
        let package =
            packages.iter().find(|package| package["name"] == *listed.name && package["version"] == *listed.version);
        let manifest = package.and_then(|package| package["manifest_path"].as_str()).map(Path::new);
        let root = manifest.and_then(Path::parent);
        root.map(Package::at).ok_or_else(|| at(&listed.name, "not in the registry"))
    };
    crates.iter().map(find).collect()
}
