//! The tree in the terminal, of programs as processes.

use std::time::Duration;

use traced_tests::{Answer, Collector, Output, Program};

const SOON: Duration = Duration::from_secs(60);

/// The program `trees`, in an environment that says nothing about the terminal.
fn trees(how: &str, url: &str) -> Program {
    quiet(Program::example_of("traced-tests", "trees").arg(how), url)
}

fn quiet(program: Program, url: &str) -> Program {
    let program = program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", url).env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
    ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "TRACED_TREE"]
        .into_iter()
        .fold(program, |program, name| program.env(name, ""))
}

fn quickstart(url: &str) -> Program {
    quiet(Program::example("quickstart"), url)
}

/// The words of each line of standard error that are neither times nor bars.
fn words(output: &Output) -> Vec<String> {
    let is_word = |word: &&str| {
        !["ns", "µs", "ms", "s"].contains(word) && !word.starts_with(|c: char| c.is_ascii_digit() || "█░".contains(c))
    };
    output.stderr.lines().map(|line| line.split_whitespace().filter(is_word).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_client_and_a_server_in_one_process_are_one_tree() {
    let collector = Collector::start();
    let output = trees("services", &collector.url()).run(SOON).success();
    let words = words(&output);
    assert_eq!(words[0], "the server is done", "{}", output.stderr);
    assert!(words[1].ends_with(" · spans · services"), "{}", output.stderr);
    assert_eq!(
        words[2..7],
        ["", "call client", "└─ request client C", "└─ handle server S", "└─ query server table=users"],
        "{}",
        output.stderr
    );
    assert_eq!(output.stderr.matches("trace ").count(), 1, "{}", output.stderr);
    // Both tracers' batches are accepted; the trace is linked once.
    let links = output.stderr.lines().filter(|line| line.starts_with("open  http")).count();
    assert!((1..=2).contains(&links), "{}", output.stderr);
}

#[test]
fn a_span_that_ends_after_its_root_is_a_late_tree() {
    let collector = Collector::start();
    let output = trees("late", &collector.url()).run(SOON).success();
    let heads: Vec<_> = output.stderr.lines().filter(|line| line.starts_with("trace ")).collect();
    assert_eq!(heads.len(), 2, "{}", output.stderr);
    assert!(heads[0].ends_with(" · 1 span") && heads[1].ends_with(" · 1 span · late"), "{}", output.stderr);
}

/// Sixteen threads trace and print at once. What is on standard error are the program's lines, whole trees, and sums of what
/// was too much; together they have every trace, and nothing that does something to a terminal.
#[test]
fn sixteen_threads_leave_whole_trees_and_whole_lines() {
    let collector = Collector::start();
    let output = trees("threads", &collector.url()).run(SOON).success();
    let text = &output.stderr;
    assert!(!text.contains(|c: char| c != '\n' && c.is_control()), "{text:?}");
    let (mut own, mut whole, mut summed, mut links) = (0, 0, 0, 0);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("thread ") {
            assert!(line.contains(" did job "), "{line}");
            own += 1;
        } else if line.starts_with("trace ") {
            assert!(line.ends_with(" · 3 spans"), "{line}");
            let mut next = || lines.next().unwrap_or_default();
            let scale = next();
            assert!(scale.trim_start().starts_with("0 "), "{scale}\n{text}");
            let row = next();
            assert!(
                row.starts_with(r"  job \u{1b}[2J\u{7}  ") && row.contains(r"@ one\ntwo\r\u{9b}3m"),
                "{row}\n{text}"
            );
            assert!(next().starts_with("  └─ part ") && next().starts_with("     └─ inner "), "{text}");
            assert!(next().starts_with("critical path  "), "{text}");
            whole += 1;
        } else if let Some((number, rest)) = line.split_once(" more trace") {
            let traces: usize = number.replace(',', "").parse().unwrap_or_default();
            assert!(rest.ends_with(" spans"), "{line}");
            let row = lines.next().unwrap_or_default();
            assert!(row.starts_with(r"  job \u{1b}[2J\u{7}  ×"), "{row}\n{text}");
            summed += traces;
        } else if line.starts_with("open  http://") {
            links += 1;
        } else {
            assert!(line.starts_with("traced: sent 2,400 spans"), "{line}\n{text}");
        }
    }
    assert_eq!((own, whole + summed), (800, 800), "{text}");
    assert!(whole >= 10, "{text}");
    assert_eq!(links, whole, "{text}");
}

#[test]
fn a_trace_of_20_000_spans_is_a_page_and_a_number() {
    let collector = Collector::start();
    let output = trees("large", &collector.url()).run(SOON).success();
    let text = &output.stderr;
    assert!(text.contains(" · 20,001 spans\n"), "{text}");
    assert!(text.contains("\n  … 19,801 more spans\n"), "{text}");
    assert!(text.lines().count() < 210 && text.len() < 50_000, "{text}");
}

/// Jaeger takes Zipkin's spans on a port that answers 400 to all else, and shows traces elsewhere.
#[test]
fn a_collector_without_a_page_for_the_trace_gets_no_link() {
    for (status, link) in [(400, false), (404, false), (302, false), (503, false), (200, true)] {
        let collector = Collector::start();
        collector.answer_others(Answer::status(status));
        let url = collector.url().replace("http://", "http://user:secret@");
        let output = quickstart(&url).run(SOON).success();
        assert!(output.stderr.contains("traced: sent 4 spans in 1 batch, 0 dropped"), "{}", output.stderr);
        assert_eq!(output.stderr.contains("open  http"), link, "{status}: {}", output.stderr);
        // It is asked as spans are sent: where the link leads, and not traced.
        let received = collector.received();
        let asked: Vec<_> = received.iter().filter(|request| request.method != "POST").collect();
        let trace = collector.accepted_spans()[0]["traceId"].clone();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].path, format!("/zipkin/traces/{}", trace.as_str().unwrap_or_default()));
        assert_eq!((asked[0].method.as_str(), asked[0].header("b3")), ("GET", Some("0")));
        assert_eq!(asked[0].header("authorization"), received[0].header("authorization"));
    }
}

/// The question holds up the spans for a moment at most.
#[test]
fn a_collector_that_does_not_answer_the_question_gets_no_link_and_all_spans() {
    for answer in [Answer::silence(), Answer::close(), Answer::raw("no HTTP")] {
        let collector = Collector::start();
        collector.answer_others(answer);
        let output = quickstart(&collector.url()).run(SOON).success();
        assert!(output.stderr.contains("traced: sent 4 spans in 1 batch, 0 dropped"), "{}", output.stderr);
        assert!(!output.stderr.contains("open  http"), "{}", output.stderr);
    }
}

#[test]
fn the_link_is_there_where_the_spans_were_accepted() {
    let collector = Collector::start();
    let output = quickstart(&collector.url()).run(SOON).success();
    let trace = collector.accepted_spans()[0]["traceId"].as_str().unwrap_or_default().to_owned();
    let at = collector.url().replace("/api/v2/spans", "/zipkin/traces/");
    let last: Vec<_> = output.stderr.lines().rev().take(3).collect();
    assert_eq!(last[0], "traced: sent 4 spans in 1 batch, 0 dropped");
    assert_eq!(last[1], format!("open  {at}{trace}"));
    assert!(last[2].starts_with("critical path  load_cart "), "{}", output.stderr);

    collector.answer(Answer::status(400));
    let output = quickstart(&collector.url()).run(SOON).success();
    assert!(output.stderr.contains("critical path") && !output.stderr.contains("open  "), "{}", output.stderr);
}

#[test]
fn the_environment_says_how_it_looks() {
    let collector = Collector::start();
    let run = |variables: &[(&str, &str)]| {
        let program =
            variables.iter().fold(quickstart(&collector.url()), |program, (name, value)| program.env(name, value));
        program.run(SOON).success().stderr
    };
    let widest = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("open ") && !line.starts_with("traced: "));
        lines.map(|line| line.chars().count()).max().unwrap_or(0)
    };
    let plain = run(&[]);
    assert!(!plain.contains('\u{1b}') && (90..=100).contains(&widest(&plain)), "{plain}");
    for columns in [40, 60, 132, 200] {
        let text = run(&[("COLUMNS", &columns.to_string())]);
        assert!(widest(&text) <= columns, "{columns}:\n{text}");
        assert!(text.contains("✗ └─ pay"), "{text}");
    }
    let coloured = run(&[("CLICOLOR_FORCE", "1")]);
    assert!(coloured.contains("\u{1b}[1;38;5;160m✗\u{1b}[0m"), "{coloured:?}");
    assert!(!run(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\u{1b}'));
    for ascii in [[("TRACED_TREE", "ascii")], [("LC_ALL", "C")]] {
        let text = run(&ascii);
        assert!(text.is_ascii() && text.contains("x `- pay"), "{text}");
    }
}
