//! A crate in a folder: its files, its `Cargo.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::source::Module;
use crate::{Error, LeftOut, Source, at};

/// Links the tracer into the program; on the line of the first item.
const INITIALISER: &str = "extern crate traced_initialiser as _; ";

/// In edition 2015 `::name` is looked up in the root of the crate.
const RUNTIME_2015: &str = "extern crate traced_runtime; ";

/// A crate in a folder.
#[derive(Debug)]
pub struct Package {
    root: PathBuf,
}

/// Where the packages are that an annotated crate depends on.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The folder of `traced-runtime`.
    pub runtime: PathBuf,
    /// The folder of `traced-initialiser`.
    pub initialiser: PathBuf,
    /// The lock file with the versions of what the two depend on.
    pub lock: PathBuf,
}

impl Traced {
    /// The packages in a clone of this repository.
    #[must_use]
    pub fn of_repository(root: &Path) -> Traced {
        Traced {
            runtime: root.join("traced-runtime"),
            initialiser: root.join("tests/annotate/initialiser"),
            lock: root.join("Cargo.lock"),
        }
    }
}

/// What became of the functions of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotated {
    /// Files that were read.
    pub files: usize,
    /// Functions that have the attribute now.
    pub functions: usize,
    /// Functions that have none, by reason.
    pub left_out: BTreeMap<LeftOut, usize>,
    /// Files that are not Rust as the parser knows it, with its message.
    pub unread: Vec<String>,
}

/// A file that the compiler starts at.
struct Root {
    file: PathBuf,
    edition_2015: bool,
}

impl Package {
    /// The package in this folder.
    pub fn at(root: impl Into<PathBuf>) -> Package {
        Package { root: root.into() }
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A copy of it in another folder, which must not exist.
    pub fn copy_to(&self, folder: &Path) -> Result<Package, Error> {
        copy(&self.root, folder)?;
        Ok(Package::at(folder))
    }

    /// Makes it a workspace of its own, wherever it lies, without these dev-dependencies.
    pub fn stand_alone(&self, without: &[String]) -> Result<(), Error> {
        self.edit_manifest(|manifest| {
            let mut out = String::new();
            let mut keep = true;
            for line in manifest.lines() {
                if let Some(header) = line.strip_prefix('[') {
                    let dropped = |name: &String| header.starts_with(&format!("dev-dependencies.{name}]"));
                    keep = !without.iter().any(dropped);
                }
                if keep {
                    out.push_str(line);
                    out.push('\n');
                }
            }
            if !manifest.lines().any(|line| line.starts_with("[workspace]")) {
                out.push_str("\n[workspace]\n");
            }
            out
        })
    }

    /// Puts the attribute on every function of `src`, and of its tests and examples, but for `file:function` that is among
    /// the faults.
    pub fn annotate(&self, traced: &Traced, faults: &[String]) -> Result<Annotated, Error> {
        let roots = self.roots()?;
        let mut annotated = Annotated::default();
        for (file, source) in self.sources(&roots, faults, &mut annotated)? {
            annotated.count(&source);
            let root = roots.iter().find(|root| root.file == file);
            let mut head = String::new();
            if let Some(root) = root {
                head.push_str(INITIALISER);
                if root.edition_2015 {
                    head.push_str(RUNTIME_2015);
                }
            }
            fs::write(&file, source.annotated(&head)).map_err(|error| at(file.display(), error))?;
        }
        self.edit_manifest(|manifest| {
            let dependency = |name: &str, path: &Path, more: &str| {
                format!("\n[dependencies.{name}]\npath = \"{}\"\n{more}", path.display())
            };
            let runtime = dependency("traced-runtime", &traced.runtime, "default-features = false\n");
            let initialiser = dependency("traced-initialiser", &traced.initialiser, "");
            format!("{manifest}{runtime}{initialiser}")
        })?;
        self.pin(&traced.lock)?;
        Ok(annotated)
    }

    /// What [`annotate`](Self::annotate) would do.
    pub fn examine(&self, faults: &[String]) -> Result<Annotated, Error> {
        let mut annotated = Annotated::default();
        for source in self.sources(&self.roots()?, faults, &mut annotated)?.values() {
            annotated.count(source);
        }
        Ok(annotated)
    }

    /// Adds to the lock file what stands in another one; cargo removes what is not used.
    fn pin(&self, lock: &Path) -> Result<(), Error> {
        const PACKAGE: &str = "\n[[package]]\n";
        let read = |path: &Path| fs::read_to_string(path).map_err(|error| at(path.display(), error));
        let path = self.root.join("Cargo.lock");
        let ours = read(lock)?;
        let mut text = if path.exists() { read(&path)? } else { "version = 4\n".to_owned() };
        // The first line is the name. Two versions of one name might exclude each other: the package's own stays.
        let name = |package: &str| package.lines().next().map(str::to_owned);
        let there: BTreeSet<_> = text.split(PACKAGE).skip(1).map(name).collect();
        for package in ours.split(PACKAGE).skip(1).filter(|package| !there.contains(&name(package))) {
            text.push_str(PACKAGE);
            text.push_str(package.trim_end());
            text.push('\n');
        }
        fs::write(&path, text).map_err(|error| at(path.display(), error))
    }

    fn edit_manifest(&self, edit: impl FnOnce(&str) -> String) -> Result<(), Error> {
        let path = self.root.join("Cargo.toml");
        let manifest = fs::read_to_string(&path).map_err(|error| at(path.display(), error))?;
        fs::write(&path, edit(&manifest)).map_err(|error| at(path.display(), error))
    }

    fn roots(&self) -> Result<Vec<Root>, Error> {
        let mut cargo = Command::new("cargo");
        cargo.args(["metadata", "--no-deps", "--format-version=1", "--offline"]).current_dir(&self.root);
        let output = cargo.output().map_err(|error| at("cargo metadata", error))?;
        if !output.status.success() {
            return Err(at("cargo metadata", String::from_utf8_lossy(&output.stderr)));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let targets = metadata["packages"][0]["targets"].as_array().ok_or("cargo metadata: no targets")?;
        let tested = targets.iter().filter(|target| {
            let kinds = target["kind"].as_array().map(Vec::as_slice).unwrap_or_default();
            !kinds.iter().any(|kind| kind == "custom-build" || kind == "bench")
        });
        let root = |target: &Value| {
            let file = target["src_path"].as_str()?.into();
            Some(Root { file, edition_2015: target["edition"] == "2015" })
        };
        Ok(tested.filter_map(root).collect())
    }

    /// Everything below `src`, and what the targets reach by `mod name;`.
    fn sources(
        &self,
        roots: &[Root],
        faults: &[String],
        annotated: &mut Annotated,
    ) -> Result<BTreeMap<PathBuf, Source>, Error> {
        let mut sources = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<(PathBuf, bool)> = roots.iter().map(|root| (root.file.clone(), true)).collect();
        let mut below_src = Vec::new();
        rust_files(&self.root.join("src"), &mut below_src)?;
        // The last are read first: a file that is a root must be known as one.
        waiting.splice(0..0, below_src.into_iter().map(|file| (file, false)));
        while let Some((file, is_root)) = waiting.pop() {
            if !seen.insert(file.clone()) {
                continue;
            }
            let text = fs::read_to_string(&file).map_err(|error| at(file.display(), error))?;
            let name = file.strip_prefix(&self.root).unwrap_or(&file).display().to_string();
            let faults: Vec<&str> =
                faults.iter().filter_map(|fault| fault.strip_prefix(&name)?.strip_prefix(':')).collect();
            let source = match Source::parse(&text, &faults) {
                Ok(source) => source,
                Err(error) => {
                    annotated.unread.push(format!("{name}: {error}"));
                    continue;
                }
            };
            waiting.extend(source.modules().iter().filter_map(|module| Some((find(&file, is_root, module)?, false))));
            sources.insert(file, source);
        }
        Ok(sources)
    }
}

impl Annotated {
    fn count(&mut self, source: &Source) {
        self.files += 1;
        self.functions += source.functions();
        for (reason, count) in source.left_out() {
            *self.left_out.entry(*reason).or_default() += count;
        }
    }
}

/// The file of `mod name;`.
fn find(file: &Path, is_root: bool, module: &Module) -> Option<PathBuf> {
    let mut folder = file.parent()?.to_owned();
    if let (Some(path), true) = (&module.path, module.within.is_empty()) {
        return Some(folder.join(path)).filter(|file| file.is_file());
    }
    if !is_root && file.file_name() != Some(OsStr::new("mod.rs")) {
        folder.push(file.file_stem()?);
    }
    folder.extend(&module.within);
    let places = match &module.path {
        Some(path) => vec![folder.join(path)],
        None => vec![folder.join(format!("{}.rs", module.name)), folder.join(&module.name).join("mod.rs")],
    };
    places.into_iter().find(|file| file.is_file())
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, out)?;
        } else if path.extension() == Some(OsStr::new("rs")) {
            out.push(path);
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(|error| at(to.display(), error))?;
    for entry in fs::read_dir(from).map_err(|error| at(from.display(), error))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            // Not `fs::copy`: the registry's files may be read-only, and these are to be edited.
            let bytes = fs::read(entry.path()).map_err(|error| at(entry.path().display(), error))?;
            fs::write(&target, bytes).map_err(|error| at(target.display(), error))?;
        }
    }
    Ok(())
}
