//! JSON, value by value: what Zipkin's parser takes is taken, with errors that say what Zipkin's do.
//!
//! That parser (gson, in its mode "legacy strict") takes a little more than JSON: words in capitals, control characters in
//! strings, two escapes of its own, halves of surrogate pairs. serde_json takes none of these, and one such text would cost
//! a whole batch. Columns count UTF-16 units and stand behind what the parser has looked at.

use std::borrow::Cow;
use std::fmt;

use super::text;
use crate::span::Span;
use crate::steps::steps;

/// A text that is read once, from its beginning.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    /// Behind what was looked at.
    at: usize,
    /// What was looked at and not taken.
    next: Option<Token>,
    /// The lists and objects around, outermost first.
    around: Vec<Scope>,
}

/// How a value begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Object,
    List,
    /// Its quote was read.
    String,
    Boolean(bool),
    Null,
    /// A number of 64 bits, which was read.
    Long(i64),
    /// Another number of so many bytes, which was not read.
    Number(usize),
}

/// Where in a list or an object the reader is.
#[derive(Debug)]
enum Scope {
    List(usize),
    /// Where the field's name begins, behind its quote; none before the first field.
    Object(Option<usize>),
}

const MALFORMED: &str = "Malformed";

const TROUBLESHOOTING: &str = "See https://github.com/google/gson/blob/main/Troubleshooting.md#";

/// Spans of one request. A packed body may hold a million tiny ones, which would take far more memory than their bytes.
const LIST_SPANS: usize = 200_000;

/// Bytes of a number. Zipkin's parser has a buffer of that size.
const NUMBER_BYTES: usize = 1024;

/// Decodes a list; `each` takes an element and adds its spans.
pub(super) fn list(
    body: &[u8],
    mut each: impl FnMut(&mut Reader<'_>, &mut Vec<Span>) -> Result<(), String>,
) -> Result<Vec<Span>, String> {
    let text = text(body);
    let mut spans = Vec::new();
    let mut reader = Reader { text: &text, at: 0, next: None, around: Vec::new() };
    // What follows the list is not looked at.
    let within = |reader: &mut Reader<'_>| {
        if spans.len() >= LIST_SPANS {
            return Err(format!("More than {LIST_SPANS} spans in one request: send them in parts"));
        }
        each(reader, &mut spans)
    };
    reader.elements(within).map_err(|error| format!("{error} reading List<Span> from json"))?;
    Ok(spans)
}

impl<'a> Reader<'a> {
    /// Takes a list; `each` takes one element.
    pub(super) fn elements(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        if self.peek()? != Token::List {
            return Err(MALFORMED.to_owned());
        }
        self.next = None;
        self.around.push(Scope::List(0));
        for index in 0.. {
            match (self.significant()?, index) {
                (b']', _) => break,
                (b',', 1..) => {}
                (_, 0) => self.at -= 1,
                _ => return Err(MALFORMED.to_owned()),
            }
            each(self)?;
            if let Some(Scope::List(place)) = self.around.last_mut() {
                *place = index + 1;
            }
        }
        self.around.pop();
        Ok(())
    }

    /// Takes an object; `each` gets a field's name and takes its value.
    pub(super) fn fields(&mut self, mut each: impl FnMut(&str, &mut Self) -> Result<(), String>) -> Result<(), String> {
        if self.peek()? != Token::Object {
            return Err(MALFORMED.to_owned());
        }
        self.next = None;
        self.around.push(Scope::Object(None));
        for index in 0.. {
            let quote = match (self.significant()?, index) {
                (b'}', _) => break,
                (b',', 1..) => self.significant()?,
                (first, 0) => first,
                _ => return Err(MALFORMED.to_owned()),
            };
            if let Some(scope) = self.around.last_mut() {
                *scope = Scope::Object(Some(self.at));
            }
            let name = self.name(quote)?;
            each(&name, self)?;
        }
        self.around.pop();
        Ok(())
    }

    /// Takes a string; numbers count as their text.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, String> {
        match self.peek()? {
            Token::String => self.taken().rest_of_string(),
            Token::Long(number) => {
                self.next = None;
                Ok(number.to_string().into())
            }
            Token::Number(length) => Ok(self.taken().number_text(length).into()),
            _ => Err(self.expected("a string")),
        }
    }

    /// Takes a whole number of 64 bits, in a string if need be.
    pub(super) fn long(&mut self) -> Result<i64, String> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "as Java compares them")]
        let whole = |number: f64| (number as i64 as f64 == number).then_some(number as i64);
        self.number("a long", whole)
    }

    /// Takes a whole number of 32 bits, in a string if need be.
    pub(super) fn int(&mut self) -> Result<i32, String> {
        #[expect(clippy::cast_possible_truncation, reason = "compared at once")]
        let whole = |number: f64| (f64::from(number as i32) == number).then_some(number as i32);
        self.number("an int", whole)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, String> {
        match self.peek()? {
            Token::Boolean(value) => {
                self.next = None;
                Ok(value)
            }
            _ => Err(self.expected("a boolean")),
        }
    }

    /// Takes a value of any kind and depth.
    pub(super) fn skip(&mut self) -> Result<(), String> {
        // Which of the values that are open within it are objects. There may be too many for the stack.
        let mut open: Vec<bool> = Vec::new();
        loop {
            let token = self.peek()?;
            self.next = None;
            let opened = matches!(token, Token::Object | Token::List);
            match token {
                Token::Object | Token::List => open.push(token == Token::Object),
                Token::String => drop(self.rest_of_string()?),
                Token::Number(length) => self.at += length,
                Token::Boolean(_) | Token::Null | Token::Long(_) => {}
            }
            if !self.next_within(&mut open, opened)? {
                return Ok(());
            }
        }
    }

    /// Takes what lies between two values; `false` where all that was open has ended.
    fn next_within(&mut self, open: &mut Vec<bool>, mut opened: bool) -> Result<bool, String> {
        while let Some(in_object) = open.last().copied() {
            let mut byte = self.significant()?;
            if byte == if in_object { b'}' } else { b']' } {
                open.pop();
                opened = false;
                continue;
            }
            match (in_object, opened) {
                (_, false) if byte != b',' => return Err(MALFORMED.to_owned()),
                (true, false) => byte = self.significant()?,
                (false, true) => self.at -= 1,
                (true, true) | (false, false) => {}
            }
            if in_object {
                self.name(byte)?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Takes a field's name, of which the quote was read, and the colon.
    fn name(&mut self, quote: u8) -> Result<Cow<'a, str>, String> {
        if quote != b'"' {
            return Err(MALFORMED.to_owned());
        }
        let name = self.rest_of_string()?;
        match self.significant()? {
            b':' => Ok(name),
            _ => Err(MALFORMED.to_owned()),
        }
    }

    pub(super) fn is_null(&mut self) -> Result<bool, String> {
        self.peek().map(|token| token == Token::Null)
    }

    pub(super) fn is_string(&mut self) -> Result<bool, String> {
        self.peek().map(|token| token == Token::String)
    }

    pub(super) fn is_boolean(&mut self) -> Result<bool, String> {
        self.peek().map(|token| matches!(token, Token::Boolean(_)))
    }

    /// Where the reader is, from the whole.
    pub(super) fn path(&self) -> String {
        let mut path = "$".to_owned();
        for scope in &self.around {
            path.push_str(&match scope {
                Scope::List(index) => format!("[{index}]"),
                Scope::Object(None) => ".".to_owned(),
                Scope::Object(Some(begin)) => {
                    let mut name = Reader { text: self.text, at: *begin, next: None, around: Vec::new() };
                    format!(".{}", name.rest_of_string().unwrap_or_default())
                }
            });
        }
        path
    }

    fn taken(&mut self) -> &mut Self {
        self.next = None;
        self
    }

    fn number<T: std::str::FromStr + TryFrom<i64>>(
        &mut self,
        what: &str,
        whole: impl Fn(f64) -> Option<T>,
    ) -> Result<T, String> {
        let text: Cow<'_, str> = match self.peek()? {
            Token::Long(number) => {
                self.next = None;
                return T::try_from(number).map_err(|_| self.was(what, &number.to_string()));
            }
            Token::String => self.taken().rest_of_string()?,
            Token::Number(length) => self.taken().number_text(length).into(),
            _ => return Err(self.expected(what)),
        };
        if let Ok(number) = text.parse() {
            return Ok(number);
        }
        whole(double(&text)?).ok_or_else(|| self.was(what, &text))
    }

    fn number_text(&mut self, length: usize) -> &'a str {
        let begin = self.at;
        self.at += length;
        steps(length);
        self.text.get(begin..self.at).unwrap_or_default()
    }

    /// Looks at a value's beginning.
    fn peek(&mut self) -> Result<Token, String> {
        if let Some(token) = self.next {
            return Ok(token);
        }
        let first = self.significant()?;
        let token = match first {
            b'{' => Token::Object,
            b'[' => Token::List,
            b'"' => Token::String,
            b't' | b'T' => self.word("true", Token::Boolean(true))?,
            b'f' | b'F' => self.word("false", Token::Boolean(false))?,
            b'n' | b'N' => self.word("null", Token::Null)?,
            _ => {
                self.at -= 1;
                self.numeral()?
            }
        };
        self.next = Some(token);
        Ok(token)
    }

    /// A word whose first letter was read.
    fn word(&mut self, word: &str, token: Token) -> Result<Token, String> {
        let begin = self.at - 1;
        let end = begin + word.len();
        let same = self.text.as_bytes().get(begin..end).is_some_and(|it| it.eq_ignore_ascii_case(word.as_bytes()));
        if !same || !self.ends_at(end) {
            return Err(MALFORMED.to_owned());
        }
        self.at = end;
        Ok(token)
    }

    fn numeral(&mut self) -> Result<Token, String> {
        let bytes = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        let begin = usize::from(bytes.first() == Some(&b'-'));
        let whole = digits(begin);
        let mut length = begin + whole;
        let mut fits = whole > 0 && (whole == 1 || bytes.get(begin) != Some(&b'0'));
        let mut is_whole = true;
        if bytes.get(length) == Some(&b'.') {
            is_whole = false;
            let fraction = digits(length + 1);
            fits &= fraction > 0;
            length += 1 + fraction;
        }
        if let Some(b'e' | b'E') = bytes.get(length) {
            is_whole = false;
            length += 1 + usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
            let exponent = digits(length);
            fits &= exponent > 0;
            length += exponent;
        }
        if !fits || length >= NUMBER_BYTES || !self.ends_at(self.at + length) {
            return Err(MALFORMED.to_owned());
        }
        let text = self.text.get(self.at..self.at + length).unwrap_or_default();
        Ok(match text.parse() {
            Ok(number) if is_whole && text != "-0" => {
                self.at += length;
                Token::Long(number)
            }
            _ => Token::Number(length),
        })
    }

    /// Whether a word or number may end before this byte.
    fn ends_at(&self, at: usize) -> bool {
        let next = self.text.as_bytes().get(at);
        next.is_none_or(|byte| b"{}[]:, \t\x0c\r\n".contains(byte))
    }

    /// Takes white space and the byte behind it.
    fn significant(&mut self) -> Result<u8, String> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        self.at += space;
        steps(space + 1);
        let Some(byte) = rest.get(space) else {
            return Err(format!("End of input at {} path {}", self.place(), self.path()));
        };
        self.at += 1;
        Ok(*byte)
    }

    /// Takes a string whose first quote was read. Borrowed where nothing is escaped.
    fn rest_of_string(&mut self) -> Result<Cow<'a, str>, String> {
        let mut unescaped: Option<String> = None;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(end) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\')) else {
                return Err(MALFORMED.to_owned());
            };
            let (run, stop) = rest.split_at(end);
            self.at += end + 1;
            steps(end + 1);
            if stop.starts_with('"') {
                return Ok(match unescaped {
                    None => Cow::Borrowed(run),
                    Some(text) => Cow::Owned(text + run),
                });
            }
            let text = unescaped.get_or_insert_default();
            text.push_str(run);
            text.push(self.escape()?);
        }
    }

    /// Takes what follows a backslash.
    fn escape(&mut self) -> Result<char, String> {
        let byte = self.text.as_bytes().get(self.at).copied();
        self.at += 1;
        Ok(match byte {
            Some(b'u') => return self.unicode_escape(),
            Some(b't') => '\t',
            Some(b'b') => '\u{8}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b'f') => '\u{c}',
            // A line feed and an apostrophe are gson's own.
            Some(byte @ (b'\n' | b'\'' | b'"' | b'\\' | b'/')) => char::from(byte),
            _ => return Err(MALFORMED.to_owned()),
        })
    }

    /// Takes four digits, and those of the other half of a pair. A half alone becomes `?`, as Zipkin writes it.
    fn unicode_escape(&mut self) -> Result<char, String> {
        let unit = self.text.get(self.at..).and_then(hex4).ok_or(MALFORMED)?;
        self.at += 4;
        if let Some(whole) = char::from_u32(unit) {
            return Ok(whole);
        }
        let other = self.text.get(self.at..).and_then(|rest| rest.strip_prefix("\\u")).and_then(hex4);
        let (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) = (unit, other) else { return Ok('?') };
        self.at += 6;
        Ok(char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)).unwrap_or('?'))
    }

    fn expected(&self, what: &str) -> String {
        let token = match self.next {
            Some(Token::Object) => "BEGIN_OBJECT",
            Some(Token::List) => "BEGIN_ARRAY",
            Some(Token::String) => "STRING",
            Some(Token::Boolean(_)) => "BOOLEAN",
            Some(Token::Null) => "NULL",
            Some(Token::Long(_) | Token::Number(_)) | None => "NUMBER",
        };
        let help = if token == "NULL" { "adapter-not-null-safe" } else { "unexpected-json-structure" };
        format!("{}\n{TROUBLESHOOTING}{help}", self.was(what, token))
    }

    fn was(&self, what: &str, it: &str) -> String {
        format!("Expected {what} but was {it} at {} path {}", self.place(), self.path())
    }

    fn place(&self) -> Place {
        Place::of(self.text.get(..self.at).unwrap_or(self.text))
    }
}

/// Four hexadecimal digits at the beginning of a text.
fn hex4(text: &str) -> Option<u32> {
    let digits = text.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// A floating-point number as Java reads it in decimal: with white space around it, and `d` or `f` behind it.
fn double(text: &str) -> Result<f64, String> {
    let trimmed = text.trim_matches(|char| char <= ' ');
    if trimmed.is_empty() {
        return Err("empty String".to_owned());
    }
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Ok(f64::NAN);
    }
    let number = trimmed.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(trimmed);
    let unfinished = unsigned.split(|char: char| !(char.is_ascii_digit() || char == '.')).next();
    if unfinished.is_some_and(|digits| digits.bytes().filter(|byte| *byte == b'.').count() > 1) {
        return Err("multiple points".to_owned());
    }
    let decimal = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    let parsed = number.bytes().all(decimal).then(|| number.parse().ok()).flatten();
    parsed.ok_or_else(|| format!("For input string: \"{trimmed}\""))
}

/// Where a parser stands, counted from one.
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// Behind this text.
    fn of(before: &str) -> Self {
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().encode_utf16().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}
