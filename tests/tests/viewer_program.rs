//! The viewer as its users start it: programs that meet, the demo, the command line. Each is a process of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use traced_tests::{Collector, Program, eventually};
use ureq::Agent;

const SOON: Duration = Duration::from_secs(60);

fn get(url: &str) -> (u16, String) {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(SOON)).build().into();
    let mut answer = agent.get(url).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

fn json(url: &str) -> Value {
    let (status, text) = get(url);
    assert_eq!(status, 200, "{url}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// A port that nothing listens on.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The program `meets`, which ends when its input does.
struct Meets {
    child: Child,
    input: Option<ChildStdin>,
    /// Its first line of output.
    line: String,
}

impl Meets {
    fn start(service: &str, port: u16, more: &[(&str, &str)]) -> Self {
        let path = Program::path_of_example("traced-tests", "meets");
        let mut command = Command::new(path);
        command.arg(service).env("TRACED_VIEWER_PORT", port.to_string()).envs(more.iter().copied());
        for variable in ["OTEL_EXPORTER_ZIPKIN_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_SDK_DISABLED"] {
            if !more.iter().any(|(name, _)| *name == variable) {
                command.env_remove(variable);
            }
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { input: child.stdin.take(), child, line: line.trim_end().to_owned() }
    }

    /// Ends it; returns what it wrote to standard error.
    fn end(mut self) -> String {
        drop(self.input.take());
        let mut text = String::new();
        for line in BufReader::new(self.child.stderr.take().unwrap()).lines() {
            text.push_str(&line.unwrap());
            text.push('\n');
        }
        assert!(self.child.wait().unwrap().success(), "{text}");
        text
    }
}

impl Drop for Meets {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_second_program_finds_the_viewer_of_the_first() {
    let port = free_port();
    let ui = format!("http://localhost:{port}/zipkin/");
    let first = Meets::start("first", port, &[]);
    assert_eq!(first.line, format!("sent 2 to {ui}"));
    let second = Meets::start("second", port, &[]);
    assert_eq!(second.line, format!("sent 2 to {ui}"));
    assert_eq!(json(&format!("http://localhost:{port}/api/v2/services")), json!(["first", "second"]));
    let config = json(&format!("{ui}config.json"));
    assert_eq!((&config["embedded"], &config["demo"]), (&json!(true), &json!(false)));
    // What the program that the viewer runs in has open.
    let open = json(&format!("{ui}api/private/open"));
    let [outer, inner] = &open.as_array().unwrap()[..] else { unreachable!("{open}") };
    assert_eq!(
        (&outer["name"], &outer["serviceName"], &outer["parentId"]),
        (&json!("waiting"), &json!("first"), &Value::Null)
    );
    assert_eq!(
        (&inner["name"], &inner["parentId"], &inner["traceId"]),
        (&json!("deeper"), &outer["id"], &outer["traceId"])
    );
    assert!(
        outer["age"].as_u64() > inner["age"].as_u64() && outer["timestamp"].as_u64() <= inner["timestamp"].as_u64(),
        "{open}"
    );
    let text = second.end();
    assert!(text.starts_with(&format!("traced: traces at {ui}, by another traced-viewer that was there\n")), "{text}");
    assert!(text.ends_with("traced: sent 4 spans in 2 batches, 0 dropped\n"), "{text}");
    let text = first.end();
    assert!(text.starts_with(&format!("traced: traces at {ui} while this program runs\n")), "{text}");
    // It ended with its program.
    drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
}

#[test]
fn programs_that_start_together_meet_all_the_same() {
    let port = free_port();
    let names = ["a", "b", "c", "d"];
    let programs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = names.map(|name| scope.spawn(move || Meets::start(name, port, &[]))).into();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for program in &programs {
        assert_eq!(program.line, format!("sent 2 to http://localhost:{port}/zipkin/"));
    }
    assert_eq!(json(&format!("http://localhost:{port}/api/v2/services")), json!(names));
}

#[test]
fn a_stranger_at_the_port_makes_the_viewer_take_another_and_say_so() {
    // It takes connections and answers that nothing is there.
    let stranger = Collector::start();
    stranger.answer(traced_tests::Answer::status(404));
    let port = stranger.address().port();
    let program = Meets::start("alone", port, &[]);
    let ui = program.line.strip_prefix("sent 2 to ").unwrap().to_owned();
    assert!(ui.starts_with("http://localhost:") && !ui.contains(&format!(":{port}/")), "{ui}");
    assert_eq!(json(&ui.replace("/zipkin/", "/api/v2/services")), json!(["alone"]));
    let text = program.end();
    assert!(text.contains(&format!("; port {port} is taken by something that takes no spans\n")), "{text}");
}

#[test]
fn a_collector_that_was_there_gets_the_spans() {
    let collector = Collector::start();
    let port = collector.address().port();
    let program = Meets::start("guest", port, &[("OTEL_SERVICE_NAME", "renamed")]);
    assert_eq!(program.line, format!("sent 2 to http://localhost:{port}/zipkin/"));
    assert!(
        program
            .end()
            .starts_with(&format!("traced: traces at http://localhost:{port}/zipkin/, by a Zipkin that was there\n"))
    );
    let services: Vec<_> =
        collector.accepted_spans().iter().map(|span| span["localEndpoint"]["serviceName"].clone()).collect();
    assert_eq!(services, ["renamed"; 4]);
}

#[test]
fn an_endpoint_in_the_environment_switches_the_search_off() {
    let (collector, port) = (Collector::start(), free_port());
    let program = Meets::start("told", port, &[("OTEL_EXPORTER_ZIPKIN_ENDPOINT", &collector.url())]);
    assert_eq!(program.line, "sent 2 to none");
    assert_eq!(collector.wait_for_spans(2).len(), 2);
    // Nothing asked before, and nothing listens.
    assert_eq!(collector.received().len(), 1);
    drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
    assert_eq!(program.end(), "traced: sent 4 spans in 2 batches, 0 dropped\n");
}

fn viewer() -> Program {
    Program::binary("traced-viewer", "traced-viewer")
}

#[test]
fn the_demo_shows_two_services_and_everything_that_can_happen() {
    let mut demo = viewer().arg("--demo").arg("--listen").arg("127.0.0.1:0").start();
    let ui = demo.line("traces of the demo at ", SOON);
    let api = ui.replace("/zipkin/", "/api/v2/");
    // The first traces are there before the line.
    assert_eq!(json(&format!("{api}services")), json!(["shop", "store"]));
    let traces = json(&format!("{api}traces?limit=100"));
    let spans = || traces.as_array().unwrap().iter().flat_map(|trace| trace.as_array().unwrap());
    let errors: Vec<_> = spans().filter_map(|span| span["tags"]["error"].as_str()).collect();
    assert!(errors.contains(&"no coffee left") && errors.contains(&"panicked"), "{errors:?}");
    assert!(spans().any(|span| span["name"] == "recommend"));
    let shared = spans().find(|span| span["shared"] == true).unwrap();
    assert!(spans().any(|span| span["id"] == shared["id"]
        && span["kind"] == "CLIENT"
        && span["localEndpoint"]["serviceName"] == "shop"));
    let links = json(&format!("{api}dependencies?endTs=9999999999999&lookback=9999999999999"));
    let pairs: Vec<_> =
        links.as_array().unwrap().iter().map(|link| (link["parent"].clone(), link["child"].clone())).collect();
    assert!(
        pairs.contains(&("shop".into(), "store".into())) && pairs.contains(&("store".into(), "mysql".into())),
        "{pairs:?}"
    );
    // And it goes on.
    let count = |ui: &str| json(&format!("{ui}api/private/traces?limit=1000")).as_array().unwrap().len();
    let before = count(&ui);
    eventually("another trace", SOON, || (count(&ui) > before).then_some(()));
    assert_eq!(json(&format!("{ui}config.json"))["demo"], true);
    // Each trace in each format.
    let id = shared["traceId"].as_str().unwrap();
    for (format, begin) in
        [("chrome", "{\"displayTimeUnit\""), ("folded", "shop: "), ("zipkin", "[{\"traceId\""), ("html", "<!")]
    {
        let (status, text) = get(&format!("{ui}api/private/export/{id}?format={format}"));
        assert!(status == 200 && text.starts_with(begin), "{format}: {status} {text}");
    }
    // A second viewer on its port says who is there.
    let address = ui.replace("http://localhost:", "127.0.0.1:").replace("/zipkin/", "");
    let second = viewer().arg("--listen").arg(&address).run(SOON);
    assert_eq!(second.status.code(), Some(1));
    let text = format!(
        "traced-viewer: another traced-viewer is at {address} already: open http://{address}/zipkin/, or give another port with --listen\n"
    );
    assert_eq!(second.stderr, text);
}

#[test]
fn export_reads_a_list_of_spans_or_of_traces_and_says_what_is_wrong() {
    let span = json!({"traceId": "1", "id": "1", "name": "a", "timestamp": 1_000_000, "duration": 5, "localEndpoint": {"serviceName": "s"}});
    let export = |format: &str, input: &str| {
        let path = Program::path_of_binary("traced-viewer", "traced-viewer");
        let mut child = Command::new(path)
            .args(["export", "--format", format])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that knows from its arguments that it has nothing to do may have ended.
        if let Err(error) = child.stdin.take().unwrap().write_all(input.as_bytes()) {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for input in [json!([span]), json!([[span]])] {
        assert_eq!(export("folded", &input.to_string()), (Some(0), "s: a 5\n".to_owned(), String::new()));
        let (_, text, _) = export("zipkin", &input.to_string());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()[0]["traceId"], "0000000000000001");
    }
    let (status, _, error) = export("chrome", r#"[{"traceId":"1"}]"#);
    assert_eq!(
        (status, &*error),
        (Some(1), "traced-viewer: cannot read spans: Missing : id reading List<Span> from json\n")
    );
    assert_eq!(export("svg", "[]").0, Some(2));
}
