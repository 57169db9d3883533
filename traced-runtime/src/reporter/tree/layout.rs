//! The tree as the terminal shows it: rows in columns, and lines above and below them.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use crate::model::kind::Kind;
use crate::model::numbers::{Count, Number};
use crate::reporter::record::SpanRecord;
use crate::reporter::tree::Tree;
use crate::reporter::tree::critical::{self, Interval, Section};
use crate::reporter::tree::escape::Quotes;
use crate::reporter::tree::fold::{Row, Shapes};
use crate::reporter::tree::look::{Colour, Look};
use crate::reporter::tree::tags::{Limits, failed};
use crate::reporter::tree::time::Time;
use crate::reporter::tree::width::{cut, width};

/// Rows of one tree. The spans of the rest of them are a number in its last row.
const ROWS: usize = 200;

/// Tags and annotations of one span. The rest of them are an ellipsis.
const PIECES: usize = 20;

/// Columns before each row, for the mark of a span that did not simply return.
const MARGIN: usize = 2;

/// Columns between two columns.
const GAP: usize = 2;

/// The narrowest bar. The widest is what is left, up to [`BAR_MOST`].
const BAR_LEAST: usize = 10;
const BAR_MOST: usize = 80;

/// The narrowest column of tags: in less there are none.
const DETAILS_LEAST: usize = 8;

/// The widest name of a service.
const SERVICE_MOST: usize = 20;

/// Columns that a name gets before there is one for services.
const NAME_LEAST: usize = 20;

/// Columns of one level.
const LEVEL: usize = 3;

/// What is drawn beside the tree itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside<'a> {
    /// Why the tree is not all of the trace.
    pub(crate) note: Option<&'a str>,
    /// Where the trace can be seen.
    pub(crate) link: Option<&'a str>,
}

/// One row before it is known how wide the columns are.
struct Line {
    row: Row,
    /// The branches before the name, and those before what stands below it.
    branches: String,
    below: String,
    name: String,
    service: String,
    duration: String,
    details: String,
}

/// One row, and where it stands in the tree.
struct Place {
    row: Row,
    level: usize,
    /// The place above it.
    parent: Option<usize>,
    /// Whether it is the last of its siblings.
    is_last: bool,
}

/// How wide the columns are; 0: there is no such column.
struct Columns {
    name: usize,
    service: usize,
    kind: usize,
    duration: usize,
    bar: usize,
    details: usize,
}

/// A tree, and what has to be known of all of it to draw a part.
struct Drawing<'a> {
    tree: &'a Tree<'a>,
    look: &'a Look,
    /// From the first start to the last end.
    whole: Interval,
    times: Vec<Interval>,
    /// The root of the critical path.
    root: usize,
    /// In order of spans.
    path: Vec<Section>,
}

impl Tree<'_> {
    /// The tree as the terminal shows it; see [`print_trees`](crate::Builder::print_trees) for how it looks.
    ///
    /// Its size is bounded: by [`ROWS`] and by the width of the terminal.
    pub(crate) fn printed(&self, beside: Beside<'_>, look: &Look) -> String {
        let mut text = String::new();
        if let Some(drawing) = Drawing::new(self, look) {
            drawing.draw(beside, &mut text);
        }
        text
    }
}

impl<'a> Drawing<'a> {
    /// `None` for a tree without spans.
    fn new(tree: &'a Tree<'a>, look: &'a Look) -> Option<Self> {
        let end = |span: &SpanRecord| span.start.saturating_add(span.duration.unwrap_or(0));
        let whole = Interval {
            start: tree.spans.iter().map(|span| span.start).min()?,
            end: tree.spans.iter().map(|span| end(span)).max()?,
        };
        // What has not ended goes on to the end.
        let of =
            |span: &&SpanRecord| Interval { start: span.start, end: span.duration.map_or(whole.end, |_| end(span)) };
        let times: Vec<_> = tree.spans.iter().map(of).collect();
        let longest = |a: &usize, b: &usize| times[*a].length().cmp(&times[*b].length()).then(b.cmp(a));
        let root = tree.roots.iter().copied().max_by(longest)?;
        let mut path = critical::path(root, &times, &tree.children);
        path.sort_by_key(|section| section.span);
        Some(Self { tree, look, whole, times, root, path })
    }

    fn draw(&self, beside: Beside<'_>, text: &mut String) {
        self.look.push_pieces(text, self.headline(beside.note));
        let (lines, left_out) = self.lines();
        let columns = self.columns(&lines);
        if columns.bar > 0 {
            self.push_scale(text, &columns);
        }
        let shown: HashSet<usize> = lines.iter().filter_map(|line| line.row.0.first().copied()).collect();
        for line in &lines {
            self.push_row(text, line, &columns);
            self.push_error(text, line, &shown);
        }
        self.push_left_out(text, &left_out);
        self.push_path(text);
        if let Some(link) = beside.link {
            writeln!(text, "open  {link}").ok();
        }
    }

    /// `trace 4e441824…53df3 · 48.2 ms · 5 spans · 2 services · 1 error`
    fn headline(&self, note: Option<&str>) -> Vec<(Colour, String)> {
        let spans = &self.tree.spans;
        let trace = self.short_id();
        let mut pieces = vec![
            (Colour::Heading, format!("trace {trace}")),
            (Colour::Plain, self.time(Some(self.whole.length()))),
            (Colour::Plain, Count(spans.len() as u64, "span").to_string()),
        ];
        let services = self.services().len() as u64;
        if services > 1 {
            pieces.push((Colour::Plain, Count(services, "service").to_string()));
        }
        let errors = spans.iter().filter(|span| failed(span)).count() as u64;
        if errors > 0 {
            pieces.push((Colour::Error, Count(errors, "error").to_string()));
        }
        pieces.extend(note.map(|note| (Colour::Plain, note.to_owned())));
        pieces
    }

    /// First and last digits of the trace's id: enough to find it in a log.
    fn short_id(&self) -> String {
        let id = self.tree.spans.first().map(|span| span.trace.to_string()).unwrap_or_default();
        match (id.get(..8), id.get(id.len().saturating_sub(5)..)) {
            (Some(first), Some(last)) if id.len() > 16 => format!("{first}{}{last}", self.look.glyphs.dots),
            _ => id,
        }
    }

    fn services(&self) -> HashSet<&str> {
        self.tree.spans.iter().filter_map(|span| span.local.service_name()).collect()
    }

    /// The rows to show, and the spans of those to leave out.
    fn lines(&self) -> (Vec<Line>, Vec<usize>) {
        let glyphs = self.look.glyphs;
        let several = self.services().len() > 1;
        let levels = self.look.columns() / (4 * LEVEL);
        let places = self.places();
        let kept = self.kept(&places);
        let (mut lines, mut left_out) = (Vec::new(), Vec::new());
        // Whether each span on the way from the root is the last of its siblings.
        let mut way: Vec<bool> = Vec::new();
        for (Place { row, level, is_last, .. }, kept) in places.into_iter().zip(kept) {
            if !kept {
                left_out.extend_from_slice(&row.0);
                continue;
            }
            way.truncate(level);
            way.push(is_last);
            let (mut branches, mut below) = (String::new(), String::new());
            if level > levels {
                write!(branches, "{}{level}", glyphs.dots).ok();
                let columns = (LEVEL * levels).saturating_sub(LEVEL + width(&branches));
                branches.extend(std::iter::repeat_n(' ', columns));
                below.extend(std::iter::repeat_n(' ', width(&branches)));
            } else if level > 0 {
                way[1..level]
                    .iter()
                    .for_each(|last| branches.push_str(if *last { glyphs.below } else { glyphs.beside }));
                below.push_str(&branches);
            }
            if level > 0 {
                branches.push_str(if is_last { glyphs.last } else { glyphs.middle });
                below.push_str(if is_last { glyphs.below } else { glyphs.beside });
            }
            lines.extend(self.line(row, branches, below, several));
        }
        (lines, left_out)
    }

    /// All rows from the top down.
    fn places(&self) -> Vec<Place> {
        let shapes = Shapes::of(self.tree);
        let reversed = |rows: Vec<Row>, level: usize, parent: Option<usize>| {
            let places = rows.into_iter().rev().enumerate();
            places.map(move |(place, row)| Place { row, level, parent, is_last: place == 0 })
        };
        let mut places = Vec::new();
        let mut stack: Vec<Place> = reversed(shapes.roots(self.tree), 0, None).collect();
        while let Some(place) = stack.pop() {
            stack.extend(reversed(shapes.children(self.tree, &place.row), place.level + 1, Some(places.len())));
            places.push(place);
        }
        places
    }

    /// Which rows are shown: all, if there are not too many. Else up to half of them go to what failed, with all above it, and
    /// the rest to those that stand first.
    fn kept(&self, places: &[Place]) -> Vec<bool> {
        let mut kept = vec![places.len() <= ROWS; places.len()];
        if places.len() <= ROWS {
            return kept;
        }
        let mut count = 0;
        let has_failed = |place: &Place| place.row.0.iter().any(|at| failed(self.tree.spans[*at]));
        for at in (0..places.len()).filter(|at| has_failed(&places[*at])) {
            let above = std::iter::successors(Some(at), |at| places[*at].parent);
            let new: Vec<usize> = above.take_while(|at| !kept[*at]).take(ROWS).collect();
            if count + new.len() <= ROWS / 2 {
                count += new.len();
                new.into_iter().for_each(|at| kept[at] = true);
            }
        }
        for kept in kept.iter_mut().filter(|kept| !**kept).take(ROWS - count) {
            *kept = true;
        }
        kept
    }

    fn line(&self, row: Row, branches: String, below: String, several_services: bool) -> Option<Line> {
        let span = self.tree.spans[*row.0.first()?];
        let limits = self.limits();
        let mut name = String::new();
        limits.push(&mut name, &span.name(), Quotes::None);
        let mut service = String::new();
        if several_services {
            limits.push(&mut service, span.local.service_name().unwrap_or_default(), Quotes::None);
            cut(&mut service, SERVICE_MOST, self.look.glyphs.dots);
        }
        let mut details = String::new();
        let nanos = if row.0.len() == 1 {
            limits.push_outcome(&mut details, span);
            limits.push_attributes(&mut details, span);
            span.duration
        } else {
            Some(row.0.iter().filter_map(|at| self.tree.spans[*at].duration).fold(0, u64::saturating_add))
        };
        let details = details.trim_start().to_owned();
        Some(Line { row, branches, below, name, service, duration: self.time(nanos), details })
    }

    fn limits(&self) -> Limits {
        // A character that is escaped takes up to ten columns, one that is not may take none.
        let glyphs = self.look.glyphs;
        Limits { shown: glyphs.shown, text: 4 * self.look.columns(), pieces: PIECES, dots: glyphs.dots }
    }

    fn columns(&self, lines: &[Line]) -> Columns {
        let most = |of: &dyn Fn(&Line) -> usize| lines.iter().map(of).max().unwrap_or(0);
        let name_wanted = most(&|line| width(&line.branches) + width(&line.name) + width(&self.repeats(line)));
        let details_wanted = most(&|line| width(&line.details));
        let duration = most(&|line| width(&line.duration));
        let mut service = most(&|line| width(&line.service));
        let has_kind = lines.iter().any(|line| self.kind(line).is_some());
        let kind = usize::from(has_kind);
        let beside = |columns: usize| if columns == 0 { 0 } else { GAP + columns };

        let bar_least = if lines.len() > 1 && self.whole.length() > 0 { BAR_LEAST } else { 0 };
        let rest = self.look.columns().saturating_sub(MARGIN + beside(kind) + beside(duration));
        let room = rest.saturating_sub(beside(bar_least));
        if room.saturating_sub(beside(service)) < name_wanted.min(NAME_LEAST) {
            service = 0;
        }
        // Names may push the bars aside, but not out.
        let name = name_wanted.min((self.look.columns() / 2).max(NAME_LEAST)).min(room - beside(service).min(room));
        let rest = rest.saturating_sub(name + beside(service));
        if bar_least == 0 {
            return Columns { name, service, kind, duration, bar: 0, details: rest.saturating_sub(GAP) };
        }
        let room = rest.saturating_sub(GAP + BAR_LEAST.max(rest * 2 / 5) + GAP);
        let details = if room < DETAILS_LEAST { 0 } else { details_wanted.min(room) };
        let bar = rest.saturating_sub(GAP + beside(details)).min(BAR_MOST);
        Columns { name, service, kind, duration, bar, details }
    }

    /// The two ends of the time that the bars stand for.
    fn push_scale(&self, text: &mut String, columns: &Columns) {
        let end = self.time(Some(self.whole.length()));
        if width(&end) >= columns.bar {
            return;
        }
        let before = MARGIN + columns.name + GAP + columns.duration + GAP;
        let before =
            before + [columns.service, columns.kind].iter().filter(|it| **it > 0).map(|it| GAP + it).sum::<usize>();
        let between = columns.bar.saturating_sub(1);
        self.look.paint(text, Colour::Quiet, &format!("{}0{end:>between$}", " ".repeat(before)));
        text.push('\n');
    }

    fn push_row(&self, text: &mut String, line: &Line, columns: &Columns) {
        let Some(span) = line.row.0.first().map(|at| self.tree.spans[*at]) else { return };
        let look = self.look;
        let hue = Colour::of_service(span.local.service_name().unwrap_or_default());
        let mut row = Cells { look, text: String::new(), owed: 0 };
        match look.glyphs.mark(span.outcome, failed(span)) {
            Some((mark, colour)) => row.push(colour, mark, MARGIN),
            None => row.skip(MARGIN),
        }
        let repeats = self.repeats(line);
        let mut name = line.name.clone();
        let branches = width(&line.branches);
        cut(&mut name, columns.name.saturating_sub(branches + width(&repeats)), look.glyphs.dots);
        row.push(Colour::Quiet, &line.branches, branches);
        let named = width(&name);
        row.push(hue, &name, named);
        row.push(Colour::Plain, &repeats, columns.name.saturating_sub(branches + named));
        if columns.service > 0 {
            row.skip(GAP);
            row.push(hue, &line.service, columns.service);
        }
        if columns.kind > 0 {
            row.skip(GAP);
            row.push(Colour::Quiet, self.kind(line).unwrap_or_default(), columns.kind);
        }
        row.skip(GAP + columns.duration.saturating_sub(width(&line.duration)));
        row.push(Colour::Plain, &line.duration, width(&line.duration));
        if columns.bar > 0 {
            row.skip(GAP);
            self.push_bar(&mut row, &line.row, hue, columns.bar);
        }
        if columns.details > 0 {
            let mut details = line.details.clone();
            cut(&mut details, columns.details, look.glyphs.dots);
            row.skip(GAP);
            row.push(Colour::Quiet, &details, 0);
        }
        text.push_str(&row.text);
        text.push('\n');
    }

    /// ` ×48`
    fn repeats(&self, line: &Line) -> String {
        match line.row.0.len() {
            0 | 1 => String::new(),
            count => format!(" {}{}", self.look.glyphs.times, Number(count as u64)),
        }
    }

    fn kind(&self, line: &Line) -> Option<&'static str> {
        let span = self.tree.spans[*line.row.0.first()?];
        Some(match span.kind()? {
            Kind::Client => "C",
            Kind::Server => "S",
            Kind::Producer => "P",
            Kind::Consumer => "K",
        })
    }

    /// When the row's spans ran, and when they were on the critical path.
    fn push_bar(&self, cells: &mut Cells<'_>, row: &Row, hue: Colour, columns: usize) {
        let mut bar = vec![' '; columns];
        for at in &row.0 {
            self.fill(&mut bar, self.times[*at], '-');
        }
        for at in &row.0 {
            let first = self.path.partition_point(|section| section.span < *at);
            for section in self.path[first..].iter().take_while(|section| section.span == *at) {
                self.fill(&mut bar, section.when, '#');
            }
        }
        for run in bar.chunk_by(|a, b| a == b) {
            let glyph = match run.first() {
                Some('#') => self.look.glyphs.critical,
                Some('-') => self.look.glyphs.other,
                _ => {
                    cells.skip(run.len());
                    continue;
                }
            };
            cells.push(hue, &glyph.repeat(run.len()), run.len());
        }
    }

    /// Fills the part of a bar that stands for an interval: each column that it touches, and one at least.
    fn fill(&self, bar: &mut [char], when: Interval, with: char) {
        let whole = u128::from(self.whole.length().max(1));
        let place = |time: u64| u128::from(time.saturating_sub(self.whole.start)) * bar.len() as u128;
        let last = bar.len().saturating_sub(1);
        let first = usize::try_from(place(when.start) / whole).unwrap_or(last).min(last);
        let end = usize::try_from(place(when.end).div_ceil(whole)).unwrap_or(last).clamp(first + 1, last + 1);
        bar[first..end].fill(with);
    }

    /// The error's text below its row, unless a child below has the same one: it came from there.
    fn push_error(&self, text: &mut String, line: &Line, shown: &HashSet<usize>) {
        let [at] = line.row.0[..] else { return };
        let error = |at: usize| self.tree.spans[at].tag("error").map(|error| error.to_string());
        let Some(own) = error(at) else { return };
        let mut below = self.tree.children[at].iter().filter(|child| shown.contains(child));
        if below.any(|child| error(*child).as_ref() == Some(&own)) {
            return;
        }
        let mut message = String::from("error: ");
        self.limits().push(&mut message, &own, Quotes::None);
        cut(&mut message, self.look.columns().saturating_sub(MARGIN + width(&line.below)), self.look.glyphs.dots);
        text.extend(std::iter::repeat_n(' ', MARGIN));
        self.look.paint(text, Colour::Quiet, &line.below);
        self.look.paint(text, Colour::Error, &message);
        text.push('\n');
    }

    /// `… 1,234 more spans, 2 of them with errors`
    fn push_left_out(&self, text: &mut String, left_out: &[usize]) {
        if left_out.is_empty() {
            return;
        }
        let errors = left_out.iter().filter(|at| failed(self.tree.spans[**at])).count() as u64;
        let plural = if left_out.len() == 1 { "" } else { "s" };
        write!(text, "  {} {} more span{plural}", self.look.glyphs.dots, Number(left_out.len() as u64)).ok();
        if errors > 0 {
            text.push_str(", ");
            self.look.paint(text, Colour::Error, &Count(errors, "error").to_string());
        }
        text.push('\n');
    }

    /// `critical path  db::query_user 39.0 ms 81% · cache.Get 6.1 ms 13%`: who held everything up, as far as the line goes.
    fn push_path(&self, text: &mut String) {
        let whole = self.times[self.root].length();
        if whole == 0 || self.tree.spans.len() == 1 {
            return;
        }
        let mut of_name: HashMap<_, u64> = HashMap::new();
        for section in &self.path {
            *of_name.entry(self.tree.spans[section.span].name()).or_default() += section.when.length();
        }
        let mut names: Vec<_> = of_name.into_iter().collect();
        names.sort_by(|(name, time), (other, others)| others.cmp(time).then_with(|| name.cmp(other)));

        let label = "critical path  ";
        let separator = format!(" {} ", self.look.glyphs.point);
        let columns = self.look.columns();
        self.look.paint(text, Colour::Heading, label.trim_end());
        text.push_str("  ");
        let mut used = label.len();
        for (place, (name, time)) in names.iter().enumerate() {
            let percent = (u128::from(*time) * 100 + u128::from(whole) / 2) / u128::from(whole);
            let percent = if percent == 0 { "<1".to_owned() } else { percent.to_string() };
            let value = format!(" {} {percent}%", self.time(Some(*time)));
            let mut piece = String::new();
            self.limits().push(&mut piece, name, Quotes::None);
            if place == 0 {
                cut(&mut piece, columns.saturating_sub(used + width(&value)), self.look.glyphs.dots);
            } else {
                piece.insert_str(0, &separator);
            }
            piece.push_str(&value);
            used += width(&piece);
            if place > 0 && used > columns {
                break;
            }
            text.push_str(&piece);
        }
        text.push('\n');
    }

    fn time(&self, nanos: Option<u64>) -> String {
        self.look.time(nanos.map(Duration::from_nanos))
    }
}

impl Look {
    /// Pieces behind each other, in as many lines as they need.
    pub(super) fn push_pieces(&self, text: &mut String, pieces: Vec<(Colour, String)>) {
        let glyphs = self.glyphs;
        let mut used = 0;
        for (colour, mut piece) in pieces {
            cut(&mut piece, self.columns().saturating_sub(MARGIN), glyphs.dots);
            let wide = width(&piece);
            if used == 0 {
                used = wide;
            } else if used + 3 + wide <= self.columns() {
                write!(text, " {} ", glyphs.point).ok();
                used += 3 + wide;
            } else {
                text.push_str("\n  ");
                used = MARGIN + wide;
            }
            self.paint(text, colour, &piece);
        }
        text.push('\n');
    }

    /// A time, or a hyphen.
    pub(super) fn time(&self, time: Option<Duration>) -> String {
        let text = time.map_or_else(|| "-".to_owned(), |time| Time(time).to_string());
        if self.glyphs.critical.is_ascii() { text.replace('µ', "u") } else { text }
    }
}

/// A row, filled from the left. Spaces are written when something follows them: there are none at its end.
struct Cells<'a> {
    look: &'a Look,
    text: String,
    /// Spaces to write before the next text.
    owed: usize,
}

impl Cells<'_> {
    fn skip(&mut self, columns: usize) {
        self.owed += columns;
    }

    /// Appends a text that fits, and spaces up to so many columns.
    fn push(&mut self, colour: Colour, text: &str, columns: usize) {
        if !text.is_empty() {
            self.text.extend(std::iter::repeat_n(' ', std::mem::take(&mut self.owed)));
            self.look.paint(&mut self.text, colour, text);
        }
        self.owed += columns.saturating_sub(width(text));
    }
}

#[cfg(test)]
mod tests;
