//! A program in development, as its author writes it: for the tests of how two of them meet. The argument is its service.

use traced_runtime::{Span, span, traced};

fn main() {
    let service = std::env::args().nth(1).unwrap_or_else(|| "first".to_owned());
    let tracing = traced_viewer::init(service);
    // Open until the end.
    let _waiting = tracing.context().run(|| {
        let outer = Span::start("waiting");
        let inner = Span::child_of(&outer, "deeper");
        (outer, inner)
    });
    tracing.context().run(work);
    let tally = tracing.flush(std::time::Duration::from_secs(20));
    let ui = tracing.collector().map_or("none", |collector| collector.ui_url());
    println!("sent {} to {ui}", tally.sent());
    // Until whoever started it has seen enough: then standard input ends.
    std::io::stdin().lines().for_each(drop);
}

#[traced]
fn work() {
    let _part = span!("part");
}
