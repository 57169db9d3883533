//! The programs that measure, each a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// Builds them, because `cargo run` has built the calling one only. Gives the folder they are in.
pub fn build(names: &[&str]) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let this = std::env::current_exe().unwrap_or_default();
    let folder = this.parent().map(Path::to_owned).unwrap_or_default();
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--quiet"]);
    for name in names {
        build.args(["--bin", name]);
    }
    if !cfg!(feature = "peers") {
        build.arg("--no-default-features");
    }
    // Beside this one, wherever that was built.
    build.arg("--target-dir").arg(folder.parent().unwrap_or(&folder)).arg("--manifest-path").arg(manifest);
    if !build.status().is_ok_and(|status| status.success()) {
        eprintln!("the programs that measure could not be built");
        exit(1);
    }
    folder
}
