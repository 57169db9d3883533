//! The proof in small: a crate of our own, before and after.

use std::fs;
use std::path::Path;

use traced_annotate::crates::Listed;
use traced_annotate::{LeftOut, Outcome, Package, Proof, Traced};

#[test]
fn the_fixture_behaves_as_before() -> Result<(), traced_annotate::Error> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixture");
    // Two programs of the same tests must not share a folder, and what an earlier one has built saves time.
    fs::remove_dir_all(folder.join("before")).ok();
    let repository = here.ancestors().nth(2).ok_or("no repository")?;
    // Its only dependencies are those of the workspace, which are there.
    let how = Listed { name: "fixture".to_owned(), arguments: vec!["--offline".to_owned()], ..Listed::default() };
    let fixture = Package::at(here.join("fixture"));
    let proof = Proof::run(&fixture, &how, &Traced::of_repository(repository), &folder.join("build"), &folder)?;

    assert_eq!(proof.differences(), [], "see {}", folder.display());
    assert!(proof.before.compiled && proof.before.messages.is_empty() && proof.before.failed_programs.is_empty());
    assert_eq!(proof.before.count(Outcome::Failed), 0);
    assert_eq!(proof.after.count(Outcome::Passed), 11);
    assert_eq!(proof.after.count(Outcome::Ignored), 1);
    assert!(proof.before.spans.is_empty());
    let left_out: Vec<_> = proof.annotated.left_out.iter().map(|(reason, count)| (*reason, *count)).collect();
    assert_eq!(left_out, [(LeftOut::Const, 2), (LeftOut::MacroDefinition, 1), (LeftOut::NoBody, 2)]);
    // All functions with the attribute ran, but for the ignored test, the default of `Stack` and the parsers' sisters.
    let ran = proof.after.all_spans().functions.len();
    assert_eq!(proof.annotated.functions - ran, 2, "{:#?}", proof.after.all_spans().functions);
    Ok(())
}
