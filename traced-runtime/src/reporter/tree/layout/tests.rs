use std::borrow::Cow;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::model::endpoint::Endpoint;
use crate::model::id::TraceId;
use crate::model::kind::Outcome;
use crate::reporter::attributes::TagValue;
use crate::reporter::tree::escape::is_unsafe;

const MICRO: u64 = 1_000;

/// A span that runs from `start` to `end`, in microseconds.
fn span(name: &'static str, id: u64, parent: u64, start: u64, end: u64) -> SpanRecord {
    let mut span = SpanRecord::sample(name, 0x4e44_1824_ec2b_6a44_ffdc_9bb9_a645_3df3, id, parent);
    span.start += start * MICRO;
    span.duration = Some((end - start) * MICRO);
    span
}

fn printed(spans: &[SpanRecord], look: &Look) -> String {
    Tree::new(spans).printed(Beside::default(), look)
}

/// The trace of two services that the documentation shows.
fn call() -> Vec<SpanRecord> {
    let service = |mut span: SpanRecord, name: &'static str, kind| {
        span.local = Endpoint::named(name).interned();
        span.kind = kind;
        span
    };
    let mut lookup = span("cache::lookup", 3, 2, 1_900, 2_800);
    lookup.attributes.tag(0, "key", TagValue::Text("user 7"));
    lookup.attributes.annotation(0, "cache miss");
    let mut query = span("db::query_user", 4, 2, 2_900, 41_900);
    query.outcome = Outcome::Error;
    query.attributes.tag(0, "error", TagValue::Text("deadlock found when trying to get lock"));
    vec![
        service(query, "cache-service", Some(Kind::Client)),
        service(lookup, "cache-service", None),
        service(span("cache.Get", 2, 1, 1_600, 46_700), "cache-service", Some(Kind::Server)),
        service(span("callGet", 1, 0, 0, 48_200), "client", Some(Kind::Client)),
    ]
}

#[test]
fn a_trace_of_two_services() {
    let link = "http://localhost:9411/zipkin/traces/4e441824ec2b6a44ffdc9bb9a6453df3";
    let text = Tree::new(&call()).printed(Beside { note: None, link: Some(link) }, &Look::plain(100));
    assert_eq!(
        text,
        "\
trace 4e441824…53df3 · 48.2 ms · 4 spans · 2 services · 1 error
                                                   0             48.2 ms
  callGet               client         C  48.2 ms  █░░░░░░░░░░░░░░░░░░░█
  └─ cache.Get          cache-service  S  45.1 ms  ██░░░░░░░░░░░░░░░░███
     ├─ cache::lookup   cache-service      900 µs  ██                     key=\"user 7\"  @ cache miss
✗    └─ db::query_user  cache-service  C  39.0 ms   ██████████████████
        error: deadlock found when trying to get lock
critical path  db::query_user 39.0 ms 81% · cache.Get 5.2 ms 11% · callGet 3.1 ms 6%
open  http://localhost:9411/zipkin/traces/4e441824ec2b6a44ffdc9bb9a6453df3
"
    );
}

#[test]
fn columns_fit_into_40() {
    assert_eq!(
        printed(&call(), &Look::plain(40)),
        "\
trace 4e441824…53df3 · 48.2 ms · 4 spans
  2 services · 1 error
                              0  48.2 ms
  callGet         C  48.2 ms  █░░░░░░░░█
  └─ cache.Get    S  45.1 ms  █░░░░░░░██
     ├─ cache::…      900 µs  █
✗    └─ db::que…  C  39.0 ms  █████████
        error: deadlock found when tryi…
critical path  db::query_us… 39.0 ms 81%
"
    );
}

#[test]
fn ascii_is_ascii() {
    let mut spans = call();
    spans[0].attributes.tag(0, "näme", TagValue::Text("日本"));
    spans[0].name = Some(Cow::Borrowed("größe"));
    spans[1].duration = Some(1_500);
    spans[1].outcome = Outcome::Cancelled;
    spans[2].outcome = Outcome::Panicked;
    let text = printed(&spans, &Look::plain(120).in_ascii());
    assert!(text.is_ascii(), "{text}");
    assert_eq!(text, "\
trace 4e441824~53df3 | 48.2 ms | 4 spans | 2 services | 2 errors
                                                    0                     48.2 ms
  callGet                client         C  48.2 ms  #---------------------------#
! `- cache.Get           cache-service  S  45.1 ms  ##-----------------------####  panicked
/    |- cache::lookup    cache-service      1.5 us   #                             cancelled  key=\"user 7\"  @ cache miss
x    `- gr\\u{f6}\\u{df}e  cache-service  C  39.0 ms   #########################     n\\u{e4}me=\\u{65e5}\\u{672c}
        error: deadlock found when trying to get lock
critical path  gr\\u{f6}\\u{df}e 39.0 ms 81% | cache.Get 6.1 ms 13% | callGet 3.1 ms 6% | cache::lookup 1.5 us <1%
");
}

#[test]
fn ends_are_told_apart_by_mark_and_word() {
    let mut spans = vec![span("all", 1, 0, 0, 100)];
    for (id, outcome) in
        (2..).zip([Outcome::Returned, Outcome::Error, Outcome::Panicked, Outcome::Cancelled, Outcome::Unfinished])
    {
        let mut span = span("part", id, 1, id, 90);
        span.outcome = outcome;
        if outcome == Outcome::Unfinished {
            span.duration = None;
        }
        spans.push(span);
    }
    assert_eq!(
        printed(&spans, &Look::plain(60)),
        "\
trace 4e441824…53df3 · 100 µs · 6 spans · 2 errors
                    0                     100 µs
  all       100 µs  ██░░░░░░░░░░░░░░░░░░░░░░░░░░
  ├─ part  88.0 µs  ░░░░░░░░░░░░░░░░░░░░░░░░░░
✗ ├─ part  87.0 µs  ░░░░░░░░░░░░░░░░░░░░░░░░░░    error
! ├─ part  86.0 µs   ░░░░░░░░░░░░░░░░░░░░░░░░░    panicked
⊘ ├─ part  85.0 µs   ░░░░░░░░░░░░░░░░░░░░░░░░░    cancelled
… └─ part        -   ███████████████████████████  unfinished
critical path  part 94.0 µs 94% · all 6.0 µs 6%
"
    );
}

#[test]
fn an_error_is_told_where_it_came_from() {
    let failed = |mut span: SpanRecord, text: &str| {
        span.outcome = Outcome::Error;
        span.attributes.tag(0, "error", TagValue::Text(text));
        span
    };
    let spans = [
        failed(span("a", 1, 0, 0, 100), "declined"),
        failed(span("b", 2, 1, 10, 90), "declined"),
        failed(span("c", 3, 2, 20, 80), "declined"),
        failed(span("d", 4, 1, 90, 100), "out of\nluck\u{1b}[2J"),
    ];
    assert_eq!(
        printed(&spans, &Look::plain(60)),
        "\
trace 4e441824…53df3 · 100 µs · 4 spans · 4 errors
                    0                                 100 µs
✗ a         100 µs  ████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
✗ ├─ b     80.0 µs      ████░░░░░░░░░░░░░░░░░░░░░░░░████
✗ │  └─ c  60.0 µs          ████████████████████████
  │     error: declined
✗ └─ d     10.0 µs                                      ████
     error: out of\\nluck\\u{1b}[2J
critical path  c 60.0 µs 60% · b 20.0 µs 20% · a 10.0 µs 10%
"
    );
}

#[test]
fn one_span_is_one_row() {
    let mut open = span("open", 1, 0, 0, 0);
    open.trace = TraceId::new(0x463a_c35c_9f64_13ad).unwrap_or(open.trace);
    open.duration = None;
    open.outcome = Outcome::Unfinished;
    let tree = Tree::new([&open]);
    let beside = Beside { note: Some("incomplete: its root did not end"), link: None };
    assert_eq!(
        tree.printed(beside, &Look::plain(60)),
        "trace 463ac35c9f6413ad · 0 ns · 1 span\n  incomplete: its root did not end\n… open  -  unfinished\n"
    );
    assert_eq!(Tree::new([]).printed(beside, &Look::plain(60)), "");
}

#[test]
fn repeats_are_one_row_with_one_bar() {
    let mut spans = vec![span("import", 1, 0, 0, 1_000)];
    spans.extend((10..58).map(|id| span("db::query", id, 1, id * 10, id * 10 + 5)));
    assert_eq!(
        printed(&spans, &Look::plain(60)),
        "\
trace 4e441824…53df3 · 1.0 ms · 49 spans
                            0                         1.0 ms
  import            1.0 ms  ████████████████████████████████
  └─ db::query ×48  240 µs     ████████████████
critical path  import 760 µs 76% · db::query 240 µs 24%
"
    );
}

#[test]
fn wide_characters_are_aligned() {
    let mut spans =
        vec![span("日本語", 1, 0, 0, 100), span("e\u{301}\u{200b}", 2, 1, 0, 50), span("plain", 3, 1, 50, 100)];
    spans[0].attributes.tag(0, "鍵", TagValue::Text("値"));
    assert_eq!(
        printed(&spans, &Look::plain(60)),
        "\
trace 4e441824…53df3 · 100 µs · 3 spans
                         0                     100 µs
  日本語         100 µs  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░  鍵=値
  ├─ e\u{301}\\u{200b}  50.0 µs  ██████████████
  └─ plain      50.0 µs                ██████████████
critical path  e\u{301}\\u{200b} 50.0 µs 50% · plain 50.0 µs 50%
"
    );
}

#[test]
fn colours_change_nothing_but_colours() {
    let plain = printed(&call(), &Look::plain(90));
    let painted = printed(&call(), &Look::plain(90).with_colours());
    let mut bare = String::new();
    let mut rest = painted.as_str();
    while let Some((before, code)) = rest.split_once("\u{1b}[") {
        bare.push_str(before);
        rest = code.split_once('m').map_or("", |(_, after)| after);
    }
    bare.push_str(rest);
    assert_eq!(bare, plain);
    assert!(painted.contains("\u{1b}[1;38;5;160m✗\u{1b}[0m"), "{painted:?}");
}

#[test]
fn depth_and_numbers_are_bounded() {
    let deep: Vec<SpanRecord> = (1..=100_000).map(|id| span("deep", id, id - 1, id, 300_000 - id)).collect();
    let text = printed(&deep, &Look::plain(100));
    assert!(text.lines().all(|line| width(line) <= 100), "{text}");
    assert!(text.contains("\n  … 99,800 more spans\n"), "{text}");
    assert_eq!(text.lines().count(), 2 + ROWS + 2);

    let mut wide = vec![span("all", 1, 0, 0, 1_000_000)];
    for id in 2..20_000 {
        let mut child = span("child", id, 1, id, id + 10);
        if id % 2 == 0 {
            child.outcome = Outcome::Error;
        }
        wide.push(child);
    }
    let text = printed(&wide, &Look::plain(100));
    assert!(text.contains("\n  … 19,799 more spans, 9,899 errors\n"), "{text}");
}

#[test]
fn what_failed_is_shown_however_many_there_are() {
    let mut spans = vec![span("all", 1, 0, 0, 1_000_000)];
    for id in 2..2_000 {
        spans.push(span(if id % 2 == 0 { "even" } else { "odd" }, id, 1, id, id + 10));
    }
    let mut failed = span("deep", 3_001, 3_000, 2_500, 2_510);
    failed.outcome = Outcome::Error;
    failed.attributes.tag(0, "error", TagValue::Text("too late"));
    spans.extend([span("last", 3_000, 1, 2_500, 2_520), failed]);
    let text = printed(&spans, &Look::plain(60));
    let end: Vec<_> = text.lines().skip(2 + ROWS - 2).take(4).collect();
    assert!(end[0].starts_with("  └─ last ") && end[1].starts_with("✗    └─ deep "), "{text}");
    assert_eq!(end[2..], ["        error: too late", "  … 1,801 more spans"]);
}

#[test]
fn texts_are_bounded() {
    let mut large = span("", 1, 0, 0, 1);
    large.name = Some(Cow::Owned("n\u{301}".repeat(100_000)));
    for key in 0..1_000 {
        large.attributes.tag(0, &key.to_string(), TagValue::Text(&"v".repeat(1_000)));
        large.attributes.annotation(0, &"a".repeat(1_000));
    }
    large.attributes.tag(0, "error", TagValue::Text(&"\u{1}".repeat(100_000)));
    let text = printed(&[large], &Look::plain(200));
    assert!(text.len() < 4_000, "{}", text.len());
}

/// Whatever the spans and however wide the terminal: no line is wider, nothing reaches it but text, every span is in a
/// row or counted, and no row ends in spaces.
#[test]
fn every_tree_fits_and_is_whole() {
    let names = [
        "a",
        "db::query_user",
        "日本語の名前がとても長い",
        "\u{1b}[2J\u{7}",
        "x\u{202e}y",
        "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
        "🚀🚀",
    ];
    for seed in 0..2_000 {
        let mut random = SmallRng::seed_from_u64(seed);
        let ids = random.random_range(1..30);
        let spans: Vec<SpanRecord> = (0..random.random_range(1..30))
            .map(|_| {
                let start = random.random_range(0..100);
                let mut span = span("", random.random_range(1..=ids), random.random_range(0..=ids), start, start + 40);
                let name = names[random.random_range(0..names.len())].repeat(random.random_range(1..4));
                let most = 1 << random.random_range(0..60);
                span.duration = Some(random.random_range(0..most));
                span.name = Some(Cow::Owned(name.clone()));
                span.shared = random.random_bool(0.2);
                if random.random_bool(0.3) {
                    span.local = Endpoint::named(names[random.random_range(0..names.len())]).interned();
                }
                span.kind = [None, Some(Kind::Client), Some(Kind::Consumer)][random.random_range(0..3)];
                if random.random_bool(0.3) {
                    span.attributes.tag(0, &name, TagValue::Text(&name.repeat(10)));
                    span.attributes.annotation(0, &name);
                }
                if random.random_bool(0.2) {
                    span.attributes.tag(0, "error", TagValue::Text(&name.repeat(10)));
                }
                span.outcome = [Outcome::Returned, Outcome::Cancelled, Outcome::Unfinished][random.random_range(0..3)];
                if span.outcome == Outcome::Unfinished {
                    span.duration = None;
                }
                span
            })
            .collect();
        let columns = random.random_range(40..=200);
        let mut look = Look::plain(columns);
        if random.random_bool(0.3) {
            look = look.in_ascii();
        }
        let tree = Tree::new(&spans);
        let text =
            tree.printed(Beside { note: Some("incomplete: too many spans wait for their roots"), link: None }, &look);
        for line in text.lines() {
            assert!(width(line) <= columns, "seed {seed}: {line:?} is wider than {columns} in\n{text}");
            assert!(!line.ends_with(' ') && !line.contains(is_unsafe), "seed {seed}: {line:?}");
        }
        let drawing = Drawing::new(&tree, &look);
        let (lines, left_out) = drawing.as_ref().map(Drawing::lines).unwrap_or_default();
        let shown = lines.iter().map(|line| line.row.0.len()).sum::<usize>() + left_out.len();
        assert_eq!(shown, spans.len(), "seed {seed}");
        let root = drawing.as_ref().map_or(0, |drawing| drawing.times[drawing.root].length());
        let path = drawing.map_or(0, |drawing| drawing.path.iter().map(|section| section.when.length()).sum());
        assert_eq!(path, root, "seed {seed}");
    }
}
