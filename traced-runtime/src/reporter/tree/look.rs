//! How the terminal's tree looks: how wide, in which characters, in which colours.

use std::io::IsTerminal as _;

use crate::model::kind::Outcome;
use crate::reporter::tree::escape::Shown;

/// Columns of a tree that is not written to a terminal.
const COLUMNS: usize = 100;

/// The narrowest and the widest tree. In a narrower terminal its lines wrap; a wider one is not filled.
const COLUMNS_LEAST: usize = 40;
const COLUMNS_MOST: usize = 200;

/// How the terminal's tree looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    columns: usize,
    /// Columns that the environment asks for, whatever the terminal has.
    wanted: Option<usize>,
    pub(super) glyphs: &'static Glyphs,
    has_colours: bool,
}

impl Look {
    /// What the environment asks for, and standard error is.
    ///
    /// `COLUMNS`: the width. `NO_COLOR` (not empty): no colours; else `CLICOLOR_FORCE` (neither empty nor `0`): colours; else
    /// they are there in a terminal, unless `CLICOLOR` is `0` or `TERM` is `dumb`. `TRACED_TREE=ascii`, or a locale
    /// (`LC_ALL`, `LC_CTYPE`, `LANG`) that is not UTF-8: nothing but ASCII.
    pub(crate) fn of_stderr() -> Self {
        Self::of(&|name| std::env::var(name).ok(), std::io::stderr().is_terminal())
    }

    fn of(variable: &dyn Fn(&str) -> Option<String>, is_terminal: bool) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let is = |name, text: &str| set(name).is_some_and(|value| value == text);
        let has_colours = if set("NO_COLOR").is_some() {
            false
        } else if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
            true
        } else {
            is_terminal && !is("CLICOLOR", "0") && !is("TERM", "dumb")
        };
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let is_utf8 = |locale: String| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        };
        let asks_for_ascii = set("TRACED_TREE").is_some_and(|value| value.trim().eq_ignore_ascii_case("ascii"));
        // Without any locale the terminals of today are taken to be UTF-8.
        let ascii = asks_for_ascii || !locale.is_none_or(is_utf8);
        let wanted = set("COLUMNS").and_then(|value| value.trim().parse().ok()).filter(|columns| *columns > 0);
        let look = Self { columns: COLUMNS, wanted, glyphs: if ascii { &ASCII } else { &UNICODE }, has_colours };
        look.in_columns(None)
    }

    /// The same for a terminal that has so many columns now.
    pub(crate) fn in_columns(mut self, terminal: Option<usize>) -> Self {
        self.columns = self.wanted.or(terminal).unwrap_or(COLUMNS).clamp(COLUMNS_LEAST, COLUMNS_MOST);
        self
    }

    pub(super) const fn columns(&self) -> usize {
        self.columns
    }

    /// Appends a text in a colour.
    pub(super) fn paint(&self, line: &mut String, colour: Colour, text: &str) {
        match colour.code().filter(|_| self.has_colours && !text.is_empty()) {
            Some(code) => {
                line.push_str("\u{1b}[");
                line.push_str(&code);
                line.push('m');
                line.push_str(text);
                line.push_str("\u{1b}[0m");
            }
            None => line.push_str(text),
        }
    }

    #[cfg(test)]
    pub(crate) fn plain(columns: usize) -> Self {
        Self { columns, wanted: Some(columns), glyphs: &UNICODE, has_colours: false }
    }

    #[cfg(test)]
    pub(crate) fn with_colours(mut self) -> Self {
        self.has_colours = true;
        self
    }

    #[cfg(test)]
    pub(crate) fn in_ascii(mut self) -> Self {
        self.glyphs = &ASCII;
        self
    }
}

/// The characters that a tree is drawn with.
#[derive(Debug)]
pub(super) struct Glyphs {
    /// Before a span with a sibling below, and before the last one.
    pub(super) middle: &'static str,
    pub(super) last: &'static str,
    /// The same, in the lines below that span.
    pub(super) beside: &'static str,
    pub(super) below: &'static str,
    /// Bars on the critical path and off it.
    pub(super) critical: &'static str,
    pub(super) other: &'static str,
    pub(super) dots: &'static str,
    pub(super) point: &'static str,
    pub(super) times: &'static str,
    pub(super) error: &'static str,
    pub(super) cancelled: &'static str,
    pub(super) unfinished: &'static str,
    pub(super) shown: Shown,
}

const UNICODE: Glyphs = Glyphs {
    middle: "├─ ",
    last: "└─ ",
    beside: "│  ",
    below: "   ",
    critical: "█",
    other: "░",
    dots: "…",
    point: "·",
    times: "×",
    error: "✗",
    cancelled: "⊘",
    unfinished: "…",
    shown: Shown::Visible,
};

const ASCII: Glyphs = Glyphs {
    middle: "|- ",
    last: "`- ",
    beside: "|  ",
    below: "   ",
    critical: "#",
    other: "-",
    dots: "~",
    point: "|",
    times: "x",
    error: "x",
    cancelled: "/",
    unfinished: ".",
    shown: Shown::Ascii,
};

impl Glyphs {
    /// The mark in the margin of a span that did not simply return.
    pub(super) const fn mark(&self, outcome: Outcome, failed: bool) -> Option<(&'static str, Colour)> {
        match outcome {
            Outcome::Panicked => Some(("!", Colour::Error)),
            Outcome::Cancelled => Some((self.cancelled, Colour::Quiet)),
            Outcome::Unfinished => Some((self.unfinished, Colour::Quiet)),
            Outcome::Returned | Outcome::Error if failed => Some((self.error, Colour::Error)),
            Outcome::Returned | Outcome::Error => None,
        }
    }
}

/// What colours say. They are of the 256 that terminals share, so that they look alike on dark and on light ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// As the terminal writes.
    Plain,
    Heading,
    /// Lines, scales and what is beside the point.
    Quiet,
    Error,
    /// One of [`HUES`].
    Service(u8),
}

/// Hues for services: none is red, and all can be read on black and on white.
const HUES: [u8; 12] = [32, 29, 64, 136, 133, 62, 98, 130, 30, 67, 132, 94];

const QUIET: u8 = 243;
const ERROR: u8 = 160;

impl Colour {
    /// A service's hue: the same in every process.
    pub(super) fn of_service(name: &str) -> Self {
        // FNV-1a, 32 bits.
        let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self::Service(HUES[hash as usize % HUES.len()])
    }

    fn code(self) -> Option<String> {
        match self {
            Self::Plain => None,
            Self::Heading => Some("1".to_owned()),
            Self::Quiet => Some(format!("38;5;{QUIET}")),
            Self::Error => Some(format!("1;38;5;{ERROR}")),
            Self::Service(hue) => Some(format!("38;5;{hue}")),
        }
    }
}

/// Columns of the terminal that is standard error.
#[cfg(unix)]
#[expect(unsafe_code, reason = "there is no safe way to ask a terminal for its size")]
pub(crate) fn terminal_columns() -> Option<usize> {
    let mut size = std::mem::MaybeUninit::<libc::winsize>::uninit();
    // SAFETY: the request writes a `winsize` to the pointer and returns 0, or fails.
    let size = unsafe {
        let asked = libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr());
        (asked == 0).then(|| size.assume_init())
    };
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Nobody is asked: `COLUMNS` tells.
#[cfg(not(unix))]
pub(crate) fn terminal_columns() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(variables: &[(&str, &str)], is_terminal: bool) -> Look {
        let of = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        Look::of(&of, is_terminal)
    }

    #[test]
    fn colours_are_there_in_a_terminal_or_by_force() {
        let colours =
            |variables: &[(&str, &str)]| [look(variables, false), look(variables, true)].map(|look| look.has_colours);
        assert_eq!(colours(&[]), [false, true]);
        assert_eq!(colours(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]), [false, false]);
        assert_eq!(colours(&[("NO_COLOR", ""), ("CLICOLOR_FORCE", "1")]), [true, true]);
        assert_eq!(colours(&[("CLICOLOR_FORCE", "0")]), [false, true]);
        assert_eq!(colours(&[("CLICOLOR", "0")]), [false, false]);
        assert_eq!(colours(&[("CLICOLOR", "0"), ("CLICOLOR_FORCE", "1")]), [true, true]);
        assert_eq!(colours(&[("TERM", "dumb")]), [false, false]);
    }

    #[test]
    fn a_width_is_that_of_the_environment_the_terminal_or_100() {
        let columns = |text, terminal| look(&[("COLUMNS", text)], true).in_columns(terminal).columns();
        assert_eq!(columns("", None), 100);
        assert_eq!(columns("", Some(80)), 80);
        assert_eq!(columns("60", Some(80)), 60);
        assert_eq!(columns("many", Some(80)), 80);
        assert_eq!(columns("0", Some(80)), 80);
        assert_eq!((columns("1", None), columns("", Some(1))), (40, 40));
        assert_eq!((columns("9999", None), columns("", Some(9999))), (200, 200));
    }

    #[test]
    fn a_locale_without_utf_8_gets_ascii() {
        let ascii = |variables: &[(&str, &str)]| look(variables, true).glyphs.shown == Shown::Ascii;
        assert!(!ascii(&[]));
        for utf8 in ["C.UTF-8", "en_US.UTF-8", "de_DE.utf8"] {
            assert!(!ascii(&[("LANG", utf8)]));
        }
        for other in ["C", "POSIX", "de_DE.ISO-8859-1"] {
            assert!(ascii(&[("LANG", other)]));
        }
        assert!(ascii(&[("LANG", "en_US.UTF-8"), ("LC_CTYPE", "C")]));
        assert!(!ascii(&[("LANG", "C"), ("LC_CTYPE", "C"), ("LC_ALL", "C.UTF-8")]));
        assert!(!ascii(&[("LANG", "C.UTF-8"), ("LC_ALL", "")]));
        assert!(ascii(&[("TRACED_TREE", "ASCII"), ("LANG", "C.UTF-8")]));
        assert!(!ascii(&[("TRACED_TREE", "1"), ("LANG", "C.UTF-8")]));
    }

    /// Relative luminance of one of the 256 colours, as the Web Content Accessibility Guidelines define it.
    fn luminance(colour: u8) -> f64 {
        let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
        let channels = match colour {
            16..=231 => {
                let colour = colour - 16;
                [level(colour / 36), level(colour / 6 % 6), level(colour % 6)]
            }
            _ => [8 + 10 * (colour - 232); 3],
        };
        let linear = |channel: u8| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = channels.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    #[test]
    fn every_colour_can_be_read_on_black_and_on_white() {
        for colour in HUES.into_iter().chain([QUIET, ERROR]) {
            let luminance = luminance(colour);
            let (on_white, on_black) = (1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05);
            assert!(on_white >= 3.0 && on_black >= 3.0, "{colour}: {on_white:.1} on white, {on_black:.1} on black");
        }
    }

    #[test]
    fn a_service_has_one_hue() {
        assert_eq!(Colour::of_service("client"), Colour::of_service("client"));
        let hues: std::collections::HashSet<_> =
            (0..1000).map(|number| format!("{:?}", Colour::of_service(&format!("service-{number}")))).collect();
        assert_eq!(hues.len(), HUES.len());
    }
}
