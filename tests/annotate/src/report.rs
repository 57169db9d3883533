//! All proofs as text: the tables of `docs/proof.md`.

use std::fmt::Write as _;

use crate::crates::Listed;
use crate::{LeftOut, Outcome, Proof};

/// The tables, in Markdown.
#[must_use]
pub fn markdown(proofs: &[(Listed, Proof)]) -> String {
    let mut out = String::new();
    functions(&mut out, proofs)
        .and_then(|()| tests(&mut out, proofs))
        .and_then(|()| differences(&mut out, proofs))
        .ok();
    out
}

fn functions(out: &mut String, proofs: &[(Listed, Proof)]) -> std::fmt::Result {
    out.push_str("## Functions\n\n| crate | for | files | annotated |");
    for reason in LeftOut::ALL {
        write!(out, " {reason} |")?;
    }
    out.push_str("\n|---|---|--:|--:|");
    out.push_str(&"--:|".repeat(LeftOut::ALL.len()));
    out.push('\n');
    let mut total = vec![0; LeftOut::ALL.len() + 2];
    for (listed, Proof { annotated, .. }) in proofs {
        let left_out = LeftOut::ALL.map(|reason| annotated.left_out.get(&reason).copied().unwrap_or(0));
        let numbers = [annotated.files, annotated.functions].into_iter().chain(left_out);
        write!(out, "| {} {} | {} |", listed.name, listed.version, listed.what)?;
        for (number, total) in numbers.zip(&mut total) {
            *total += number;
            write!(out, " {number} |")?;
        }
        out.push('\n');
    }
    out.push_str("| all | |");
    for number in total {
        write!(out, " {number} |")?;
    }
    out.push('\n');
    for (listed, proof) in proofs {
        for file in &proof.annotated.unread {
            write!(out, "\n{}: not read: {file}\n", listed.name)?;
        }
    }
    Ok(())
}

fn tests(out: &mut String, proofs: &[(Listed, Proof)]) -> std::fmt::Result {
    out.push_str("\n## Tests\n\n| crate | passed before | after | failed before | after | ignored before | after |");
    out.push_str(" seconds before | after | spans | lost | functions that ran |\n|---|");
    out.push_str(&"--:|".repeat(11));
    out.push('\n');
    for (listed, Proof { before, after, .. }) in proofs {
        let spans = after.all_spans();
        write!(out, "| {} |", listed.name)?;
        for outcome in [Outcome::Passed, Outcome::Failed, Outcome::Ignored] {
            write!(out, " {} | {} |", before.count(outcome), after.count(outcome))?;
        }
        write!(out, " {:.1} | {:.1} |", before.seconds, after.seconds)?;
        writeln!(out, " {} | {} | {} |", spans.recorded, spans.lost, spans.functions.len())?;
    }
    Ok(())
}

fn differences(out: &mut String, proofs: &[(Listed, Proof)]) -> std::fmt::Result {
    out.push_str("\n## Differences\n\n");
    let mut none = true;
    for (listed, proof) in proofs {
        for difference in proof.differences() {
            none = false;
            match difference.reason(&listed.name) {
                Some(reason) => writeln!(out, "- {}: {difference}. Right: it {reason}.", listed.name)?,
                None => writeln!(out, "- {}: {difference}", listed.name)?,
            }
        }
        for test in &proof.after.passed_alone {
            writeln!(
                out,
                "- {}: {}: {}: failed among the others and passed alone.",
                listed.name, test.program, test.name
            )?;
        }
    }
    if none {
        out.push_str("None.\n");
    }
    Ok(())
}
