//! The program's own texts, made harmless for a terminal.

/// Whether a text stands in quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    None,
    Double,
}

impl Quotes {
    /// What a text needs to be seen as one.
    pub(super) fn for_text(text: &str) -> Self {
        let strange = |c: char| c.is_whitespace() || c == '"' || c == '=' || is_unsafe(c);
        if text.is_empty() || text.contains(strange) { Self::Double } else { Self::None }
    }
}

/// Which characters are shown as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// All that do nothing to a terminal.
    #[cfg(any(test, feature = "testing"))]
    Harmless,
    /// Of these, all that take columns: the others cannot be told from nothing.
    #[cfg(feature = "tree")]
    Visible,
    /// ASCII alone.
    #[cfg(feature = "tree")]
    Ascii,
}

impl Shown {
    fn shows(self, c: char) -> bool {
        match self {
            #[cfg(any(test, feature = "testing"))]
            Self::Harmless => !is_unsafe(c),
            #[cfg(feature = "tree")]
            Self::Visible => !is_unsafe(c) && !is_invisible(c),
            #[cfg(feature = "tree")]
            Self::Ascii => matches!(c, ' '..='~'),
        }
    }
}

/// Appends at most `limit` characters of a text, with those escaped that are not to be shown; says whether that was all.
pub(super) fn push(line: &mut String, text: &str, quotes: Quotes, shown: Shown, limit: usize) -> bool {
    let quoted = quotes == Quotes::Double;
    if quoted {
        line.push('"');
    }
    let mut rest = text.chars();
    for c in rest.by_ref().take(limit) {
        if !shown.shows(c) || (quoted && matches!(c, '"' | '\\')) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    if quoted {
        line.push('"');
    }
    rest.next().is_none()
}

/// Control characters, ends of lines, and those that turn the direction of writing.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Those that take no column and are not drawn onto another character.
#[cfg(feature = "tree")]
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}
