//! One trace over tasks, threads and channels. Functions stay as they are; what starts a thread of its own says so once.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;
use traced_runtime::{Context, InContext, Span, traced};

#[traced]
async fn fetch(page: u32) -> u32 {
    traced_runtime::tag("page", page);
    sleep(Duration::from_millis(5)).await;
    page
}

#[traced]
async fn fetch_all() -> u32 {
    // A traced function stays in its trace wherever it is spawned.
    let mut pages = JoinSet::new();
    for page in 1..=3 {
        pages.spawn(fetch(page));
    }
    pages.join_all().await.iter().sum()
}

#[traced]
async fn spawned() {
    // What is no traced function itself takes the context along.
    let task = async { step("in a task") }.in_current_context();
    if let Err(error) = tokio::spawn(task).await {
        println!("the task failed: {error}");
    }
}

#[traced]
async fn joined() {
    tokio::join!(left(), right());
}

#[traced]
async fn left() {
    sleep(Duration::from_millis(2)).await;
}

#[traced]
async fn right() {
    sleep(Duration::from_millis(1)).await;
}

#[traced]
async fn first_of_two() {
    tokio::select! {
        () = quick() => {}
        // Dropped half-way: its span says `cancelled`, which is no error.
        () = slow() => {}
    }
}

#[traced]
async fn quick() {
    sleep(Duration::from_millis(10)).await;
}

#[traced]
async fn slow() {
    sleep(Duration::from_secs(3600)).await;
}

#[traced]
async fn blocking() {
    let work = Context::current().wrap(|| step("on a blocking thread"));
    if let Err(error) = spawn_blocking(work).await {
        println!("the work failed: {error}");
    }
}

#[traced]
async fn panics() {
    let Err(error) = tokio::spawn(careless(None)).await else { return };
    println!("the task failed: {}", if error.is_panic() { "it panicked" } else { "it was cancelled" });
}

#[traced]
#[expect(clippy::unwrap_used, reason = "the mistake that this is about")]
async fn careless(answer: Option<u32>) -> u32 {
    answer.unwrap()
}

#[traced]
fn threads() {
    let own = thread::spawn(Context::current().wrap(|| step("on a thread")));

    // Threads of a scope, rayon and the like take closures that are called often: `run` instead of `wrap`.
    let context = Context::current();
    thread::scope(|scope| {
        for name in ["on a scoped thread", "on another"] {
            let context = &context;
            scope.spawn(move || context.run(|| step(name)));
        }
    });
    if own.join().is_err() {
        println!("the thread panicked");
    }
}

/// A job waits in a queue together with its span, and is done on another thread.
#[traced]
fn queued() {
    let (queue, jobs) = mpsc::channel::<(u32, Span)>();
    let worker = thread::spawn(move || {
        for (rows, span) in jobs {
            span.tag("rows", rows);
            let _scope = span.attach();
            step("in the job");
        }
    });
    for rows in [10, 20] {
        // It goes nowhere only when the worker is gone.
        queue.send((rows, Span::start("job"))).ok();
    }
    drop(queue);
    if worker.join().is_err() {
        println!("the worker panicked");
    }
}

#[traced(name = "step", tags("what" = what))]
fn step(what: &str) {
    thread::sleep(Duration::from_millis(1));
}

#[traced]
async fn fan_out() {
    let pages = fetch_all().await;
    println!("{pages} pages");
    spawned().await;
    joined().await;
    first_of_two().await;
    blocking().await;
    panics().await;
    threads();
    queued();
}

#[tokio::main]
async fn main() {
    let _tracing = traced_runtime::init("fan_out");
    fan_out().await;
}
