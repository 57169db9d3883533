//! This library, with default settings.

use std::hint::black_box;
use std::time::Duration;

use traced_runtime::{Tracer, traced};

use crate::produce::CHILDREN;

#[inline(never)]
#[traced(tags(n, kind))]
fn child(n: u32, kind: &'static str) -> u32 {
    black_box(n)
}

#[traced(name = "root")]
pub fn trace() {
    for n in 0..CHILDREN {
        child(n, "cart");
    }
}

pub fn start(collector: &str) -> Box<dyn FnOnce()> {
    let installed = Tracer::builder("bench").collector(collector).summary(false).install();
    let installed = installed.expect("the settings are in order");
    Box::new(move || {
        let tally = installed.shutdown(Duration::from_secs(10));
        eprintln!("traced: {tally}");
    })
}
