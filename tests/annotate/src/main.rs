//! `traced-annotate FOLDER` annotates the package in a folder; `prove [CRATE…]` proves crates of the list with their own
//! tests; `report` prints what the proofs have found.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use traced_annotate::crates::{self, Listed};
use traced_annotate::{Error, Package, Proof, Traced, report};

const USAGE: &str = "usage: traced-annotate FOLDER | prove [CRATE…] | report [CRATE…]";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((word, names)) if word == "prove" => prove(names),
        Some((word, names)) if word == "report" => print_report(names),
        Some((folder, [])) => annotate(folder),
        _ => Err(USAGE.into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("traced-annotate: {error}");
        ExitCode::FAILURE
    })
}

fn annotate(folder: &str) -> Result<ExitCode, Error> {
    let annotated = Package::at(folder).annotate(&Traced::of_repository(&repository()), &[])?;
    println!("annotated: {}", annotated.functions);
    for (reason, count) in annotated.left_out {
        println!("left out: {count} {reason}");
    }
    for file in annotated.unread {
        println!("not read: {file}");
    }
    Ok(ExitCode::SUCCESS)
}

fn prove(names: &[String]) -> Result<ExitCode, Error> {
    let crates = chosen(names)?;
    let traced = Traced::of_repository(&repository());
    let packages = crates::fetch(&crates, &folder().join("fetch"))?;
    let mut code = ExitCode::SUCCESS;
    for (listed, package) in crates.iter().zip(packages) {
        eprintln!("{} {}", listed.name, listed.version);
        let proof = Proof::run(&package, listed, &traced, &folder().join("build"), &folder_of(listed))?;
        let differences = proof.differences();
        for difference in &differences {
            match difference.reason(&listed.name) {
                Some(reason) => eprintln!("  {difference}: {reason}"),
                None => {
                    eprintln!("  {difference}");
                    code = ExitCode::FAILURE;
                }
            }
        }
        let tests = proof.after.tests.len();
        let spans = proof.after.all_spans().recorded;
        eprintln!("  {} functions, {tests} tests, {spans} spans", proof.annotated.functions);
    }
    Ok(code)
}

fn print_report(names: &[String]) -> Result<ExitCode, Error> {
    let mut proofs = Vec::new();
    for listed in chosen(names)? {
        let proof = Proof::read(&listed, &folder_of(&listed))?;
        proofs.push((listed, proof));
    }
    print!("{}", report::markdown(&proofs));
    Ok(ExitCode::SUCCESS)
}

fn chosen(names: &[String]) -> Result<Vec<Listed>, Error> {
    let crates = crates::listed();
    if let Some(name) = names.iter().find(|name| crates.iter().all(|listed| listed.name != **name)) {
        return Err(format!("`{name}` is not in crates.txt").into());
    }
    Ok(crates.into_iter().filter(|listed| names.is_empty() || names.contains(&listed.name)).collect())
}

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

fn folder() -> PathBuf {
    repository().join("target/prove")
}

fn folder_of(listed: &Listed) -> PathBuf {
    folder().join(format!("{}-{}", listed.name, listed.version))
}
