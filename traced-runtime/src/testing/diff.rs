//! The difference of two texts, line by line.

/// Lines that are compared each with each, at most. Beyond it everything between the first and the last difference is
/// shown as removed and added.
const COMPARED: usize = 2000;

/// What to do to `actual` in words of the expected text: `- ` a line that is expected and missing, `+ ` one that is there
/// and not expected, two blanks before one that both have. `None` when both say the same.
///
/// The indentation that all lines have in common, blank lines at either end, and white space at the end of a line say
/// nothing: an expected text may stand in the program as it reads best.
pub(crate) fn difference(expected: &str, actual: &str) -> Option<String> {
    let (expected, actual) = (meant(expected), meant(actual));
    if expected == actual {
        return None;
    }
    let same = |(a, b): &(&&str, &&str)| a == b;
    let before = expected.iter().zip(&actual).take_while(same).count();
    let (left, right) = (&expected[before..], &actual[before..]);
    let after = left.iter().rev().zip(right.iter().rev()).take_while(same).count();
    let (left, right) = (&left[..left.len() - after], &right[..right.len() - after]);

    let mut lines = Lines::default();
    expected[..before].iter().for_each(|line| lines.push(' ', line));
    if left.len().max(right.len()) <= COMPARED {
        compare(left, right, &mut lines);
    } else {
        left.iter().for_each(|line| lines.push('-', line));
        right.iter().for_each(|line| lines.push('+', line));
    }
    expected[expected.len() - after..].iter().for_each(|line| lines.push(' ', line));
    Some(lines.text)
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn push(&mut self, mark: char, line: &str) {
        self.text.push(mark);
        if !line.is_empty() {
            self.text.push(' ');
            self.text.push_str(line);
        }
        self.text.push('\n');
    }
}

/// The lines without what says nothing.
fn meant(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).skip_while(|line| line.is_empty()).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let indent = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let common = lines.iter().filter(|line| !line.is_empty()).map(indent).min().unwrap_or(0);
    for line in &mut lines {
        *line = line.get(common..).unwrap_or("");
    }
    lines
}

/// Keeps the longest list of lines that both have.
fn compare(left: &[&str], right: &[&str], lines: &mut Lines) {
    // kept[a][b]: how many lines left[a..] and right[b..] can keep.
    let width = right.len() + 1;
    let mut kept = vec![0_u16; (left.len() + 1) * width];
    for a in (0..left.len()).rev() {
        for b in (0..right.len()).rev() {
            kept[a * width + b] = if left[a] == right[b] {
                kept[(a + 1) * width + b + 1] + 1
            } else {
                kept[(a + 1) * width + b].max(kept[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    while a < left.len() || b < right.len() {
        if a < left.len() && b < right.len() && left[a] == right[b] {
            lines.push(' ', left[a]);
            (a, b) = (a + 1, b + 1);
        } else if b == right.len() || (a < left.len() && kept[(a + 1) * width + b] >= kept[a * width + b + 1]) {
            lines.push('-', left[a]);
            a += 1;
        } else {
            lines.push('+', right[b]);
            b += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_and_blank_ends_say_nothing() {
        let expected = "

            checkout
            ├─ load_cart
            └─ pay  attempts=2

        ";
        assert_eq!(difference(expected, "checkout\n├─ load_cart\n└─ pay  attempts=2\n"), None);
        assert_eq!(difference("", "\n  \n"), None);
        assert_eq!(difference("\ta\n\t\tb", "a\n\tb"), None);
        assert_eq!(difference("a\n\n  b", "a  \n\n  b"), None);
    }

    #[test]
    fn lines_are_marked_missing_or_unexpected() {
        let expected = "
            checkout
            ├─ load_cart
            ├─ pay
            └─ mail
        ";
        assert_eq!(
            difference(expected, "checkout\n├─ load_cart\n├─ pay  error: declined\n├─ retry\n└─ mail\n").as_deref(),
            Some("  checkout\n  ├─ load_cart\n- ├─ pay\n+ ├─ pay  error: declined\n+ ├─ retry\n  └─ mail\n")
        );
        assert_eq!(difference("a", "").as_deref(), Some("- a\n"));
        assert_eq!(difference("", "a").as_deref(), Some("+ a\n"));
        assert_eq!(difference("a\n\nb", "a\nb").as_deref(), Some("  a\n-\n  b\n"));
        assert_eq!(difference("  a\n    b", "a\nb").as_deref(), Some("  a\n-   b\n+ b\n"));
    }

    #[test]
    fn lines_that_both_have_are_kept() {
        assert_eq!(difference("a\nb\nc\nd", "b\nx\nd\ne").as_deref(), Some("- a\n  b\n- c\n+ x\n  d\n+ e\n"));
        assert_eq!(difference("a\na", "a\na\na").as_deref(), Some("  a\n  a\n+ a\n"));
    }

    #[test]
    fn large_texts_are_not_compared_each_with_each() {
        let numbers = |from: u32| (from..from + 3000).map(|n| format!("{n}\n")).collect::<String>();
        let text = difference(&numbers(0), &numbers(1)).unwrap_or_default();
        assert_eq!(text.lines().count(), 6000);
        assert!(text.starts_with("- 0\n- 1\n") && text.ends_with("+ 3000\n"));
    }
}
