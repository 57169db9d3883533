//! Prints trees as its argument says: `services`, a client and a server in one process; `threads`, many at once beside the
//! program's own lines; `large`, one trace of 20,000 spans; `late`, a span that ends after its root.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use traced_runtime::{Kind, Span, Tracer, annotate, span, tag, traced};

const DEADLINE: Duration = Duration::from_secs(20);

/// Threads, and traces of each.
const THREADS: usize = 16;
const TRACES: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let how = env::args().nth(1).unwrap_or_default();
    let tracing = Tracer::builder("client").print_trees().shutdown_deadline(DEADLINE).install()?;
    match how.as_str() {
        "services" => services(&tracing)?,
        "threads" => threads(),
        "large" => large(),
        "late" => {
            let root = Span::start("root");
            let task = Span::child_of(&root, "task");
            root.finish();
            tracing.flush(DEADLINE);
            task.finish();
        }
        _ => return Err("which trees?".into()),
    }
    Ok(())
}

/// The server's part is whole long before the client's, and belongs below it.
fn services(client: &Tracer) -> Result<(), Box<dyn Error>> {
    let server = Tracer::builder("server").print_trees().build()?;
    let call = Span::start("call");
    let request = Span::child_of(&call, "request");
    request.kind(Kind::Client);
    let mut headers = HashMap::<String, String>::new();
    request.context().inject(&mut headers);
    let handling = server.clone();
    thread::spawn(move || {
        let handle = Span::server("handle", handling.extract(&headers));
        let _scope = handle.attach();
        let _query = span!("query", "table" = "users");
    })
    .join()
    .map_err(|_| "the server panicked")?;
    server.flush(DEADLINE);
    client.flush(DEADLINE);
    eprintln!("the server is done");
    request.finish();
    call.finish();
    server.shutdown(DEADLINE);
    Ok(())
}

#[traced(name = "job \u{1b}[2J\u{7}")]
fn job(number: usize) {
    tag("number", number);
    annotate("one\ntwo\r\u{9b}3m");
    let _part = span!("part");
    let _inner = span!("inner");
}

fn threads() {
    let start = Arc::new(Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let start = start.clone();
            thread::spawn(move || {
                start.wait();
                for number in 0..TRACES {
                    job(number);
                    eprintln!("thread {thread} did job {number}");
                }
            })
        })
        .collect();
    for thread in threads {
        if thread.join().is_err() {
            eprintln!("a thread panicked");
        }
    }
}

fn large() {
    let _all = span!("all");
    for number in 0..10_000_usize {
        let _item = span!("item", "number" = number);
        let _step = if number % 2 == 0 { span!("even") } else { span!("odd") };
    }
}
