//! Packages that tests write, for the compiler to speak about.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// A package below the target directory, with `traced-runtime` and the crates that functions of the tests use.
#[derive(Debug)]
pub struct Fixture {
    folder: PathBuf,
    target: PathBuf,
}

impl Fixture {
    /// Writes the files of a package into a folder, given Cargo's folder for temporary files of tests. Those below one
    /// folder share what they have compiled.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn new(temporary: &str, name: &str, files: &[(&str, &str)]) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let all = Path::new(temporary).join("fixtures");
        let folder = all.join(name);
        drop(fs::remove_dir_all(folder.join("src")));
        let manifest = format!(
            "[package]\nname = \"{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
             traced-runtime = {{ path = {:?}, default-features = false }}\n{}",
            name.replace('/', "-"),
            tests.join("../traced-runtime"),
            "async-trait = \"0.1\"\nfutures = { version = \"0.3\", default-features = false, features = [\"alloc\"] }\n\
             tokio = { version = \"1\", features = [\"macros\", \"rt\"] }\n",
        );
        fs::create_dir_all(&folder).expect("a directory of our own");
        fs::write(folder.join("Cargo.toml"), manifest).expect("written");
        fs::copy(tests.join("../Cargo.lock"), folder.join("Cargo.lock")).expect("copied");
        for (path, content) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("a directory of our own");
            fs::write(path, content).expect("written");
        }
        Self { folder, target: all.join("target") }
    }

    /// Runs Cargo on it, without the network.
    ///
    /// # Panics
    /// If there is no Cargo.
    #[must_use]
    pub fn cargo(&self, arguments: &[&str]) -> Output {
        Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(arguments)
            .args(["--quiet", "--offline"])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.target)
            .output()
            .expect("cargo runs")
    }
}

/// A source without its `#[traced]` attributes, line for line.
#[must_use]
pub fn without_attributes(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) =
        ["#[traced(", "#[traced]", "#[traced_runtime::traced"].iter().filter_map(|a| rest.find(a)).min()
    {
        out.push_str(&rest[..start]);
        let mut depth = 0;
        let length = rest[start..].find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            c == ']' && depth == 0
        });
        let end = length.map_or(rest.len(), |length| start + length + 1);
        out.extend(rest[start..end].chars().filter(|&c| c == '\n'));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}
