//! The public surface as its users write it: each block compiles and does what it says.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::error::Error;
use std::fmt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use traced_runtime::{
    Context, DropReason, Endpoint, InContext, Kind, ReportError, Reporter, Sampler, Span, SpanRecord, Tally, Tracer,
    span, testing, traced,
};

#[derive(Debug)]
struct DbError;

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gone")
    }
}

impl Error for DbError {}

#[derive(Debug)]
struct Filter;

struct Key(u64);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key-{}", self.0)
    }
}

#[traced(name = "db.query", kind = client, remote = "mysql",
         tags("db.table" = table, attempt, "db.key" = %key, ?filter))]
async fn query(table: &str, attempt: u32, key: Key, filter: Filter) -> Result<u32, DbError> {
    tokio::task::yield_now().await;
    if attempt > 1 { Err(DbError) } else { Ok(1) }
}

#[traced(err(Debug), ret)]
fn parse(line: &str) -> Result<u8, std::num::ParseIntError> {
    line.parse()
}

#[traced(root)]
async fn nightly_job() {}

#[traced(require_parent)]
fn helper() {}

#[traced(parent = ctx)]
fn from_queue(ctx: &Context) {
    helper();
}

struct Cart(u64);

#[traced(tags("component" = "cart"))]
impl Cart {
    async fn add(&mut self, item: u64) {
        self.0 += item;
    }

    fn total(&self) -> u64 {
        if self.is_empty() { 0 } else { self.0 }
    }

    #[traced(skip)]
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

#[tokio::test]
async fn a_function() {
    let tracer = testing::Tracer::new();
    let work = async {
        query("users", 2, Key(7), Filter).await.unwrap_err();
        parse("7").unwrap();
        parse("x").unwrap_err();
        nightly_job().await;
        let context = Context::current();
        assert!(context.is_none());
        helper();
        from_queue(&context);
        let mut cart = Cart(0);
        cart.add(3).await;
        assert_eq!(cart.total(), 3);
    };
    tracer.run_async(work).await;
    tracer.assert_tree(
        r#"
        db.query  [client]  db.table=users  attempt=2  db.key=key-7  filter=Filter  error: gone
        parse  return=7
        parse  error: ParseIntError { kind: InvalidDigit }
        nightly_job
        from_queue
        └─ helper
        Cart::add  component=cart
        Cart::total  component=cart
        "#,
    );
}

#[traced]
fn render(rows: &[u8], id: u64) -> String {
    traced_runtime::tag("user.id", id);
    traced_runtime::annotate("cache miss");
    traced_runtime::error(&DbError);
    traced_runtime::remote("mysql");
    let request = Context::current();
    let _step = span!("render", "rows" = rows.len(), "first" = ?rows.first(), "cheap" = true);
    request.tag("deep", format_args!("{}-{}", 1, 2));
    Context::current().to_string()
}

#[test]
fn inside() {
    let tracer = testing::Tracer::new();
    let line = tracer.run(|| render(&[1, 2], 7));
    tracer.assert_tree(
        r#"
        render  user.id=7  deep=1-2  @ cache miss  error: gone
        └─ render  rows=2  first=Some(1)  cheap=true
        "#,
    );
    let spans = tracer.spans();
    let inner = spans.iter().find(|span| span.tag("rows").is_some()).unwrap();
    assert_eq!(line, format!("{}-{}", inner.trace_id(), inner.id()));
    let outer = spans.iter().find(|span| span.tag("deep").is_some()).unwrap();
    assert_eq!(outer.remote_endpoint().unwrap().service_name(), Some("mysql"));
    assert_eq!(Context::current().to_string(), "-");
}

#[traced]
async fn work() {
    tokio::task::yield_now().await;
}

#[traced]
fn price(item: &u32) -> u32 {
    *item
}

#[traced]
async fn across_threads_and_tasks() {
    let mut set = tokio::task::JoinSet::new();
    set.spawn(work().in_current_context());
    set.join_next().await.unwrap().unwrap();
    tokio::spawn(work()).await.unwrap();
    async { price(&1) }.in_span(Span::start("render")).await;
    thread::spawn(Context::current().wrap(|| price(&2))).join().unwrap();
    let context = Context::current();
    thread::scope(|scope| {
        scope.spawn(|| context.run(|| price(&3)));
    });
    let (queue, jobs) = mpsc::channel();
    queue.send((5, Span::start("job"))).unwrap();
    let worker = thread::spawn(move || {
        let (job, span) = jobs.recv().unwrap();
        {
            let _scope = span.attach();
            price(&job);
        }
        span.tag("rows", 3);
        span.name("job.import");
        span.kind(Kind::Consumer);
        span.remote(Endpoint::named("kafka"));
        span.error(&DbError);
        span.annotate("retry");
        assert!(span.context().span_id().is_some());
        span.finish();
    });
    worker.join().unwrap();
    Span::start("forgotten").abandon();
    let _scope = Context::current().attach();
}

#[tokio::test]
async fn threads_and_tasks() {
    let tracer = testing::Tracer::new();
    tracer.run_async(across_threads_and_tasks()).await;
    tracer.assert_tree(
        r#"
        across_threads_and_tasks
        ├─ work
        ├─ work
        ├─ render
        │  └─ price
        ├─ price
        ├─ price
        └─ job.import  [consumer]  rows=3  @ retry  error: gone
           └─ price
        "#,
    );
}

struct Count(mpsc::Sender<String>);

impl Reporter for Count {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        for span in batch {
            self.0.send(format!("{} {:?}", span.name(), span.kind())).map_err(ReportError::retry)?;
        }
        Ok(())
    }
}

/// Every setting, and a tracer that is not installed.
#[test]
fn an_application() {
    let (reported, names) = mpsc::channel();
    let tracing = Tracer::builder("user-service")
        .reporter(Count(reported))
        .sampler(Sampler::ratio(1.0))
        .local_endpoint(Endpoint::new().port(8080))
        .log_bytes(8 << 20)
        .queue_bytes(4 << 20)
        .batch_bytes(512 << 10)
        .linger(Duration::from_millis(500))
        .shutdown_deadline(Duration::from_secs(3))
        .summary(false)
        .on_notice(|notice| eprintln!("{notice}"))
        .build()
        .unwrap();
    assert_eq!(tracing.local_endpoint().port_number(), Some(8080));
    assert!(tracing.local_endpoint().ip_addr().is_some());
    tracing.context().run(|| parse("1")).unwrap();
    let tally: Tally = tracing.flush(Duration::from_secs(10));
    assert_eq!((tally.recorded(), tally.sent(), tally.queued(), tally.dropped()), (1, 1, 0, 0));
    assert_eq!(tally.dropped_by(DropReason::Unreachable), 0);
    assert_eq!(names.recv().unwrap(), "parse None");
    assert_eq!(tracing.open_spans().len(), 0);
    tracing.set_sampler(Sampler::never());
    tracing.context().run(|| parse("1")).unwrap();
    assert_eq!(tracing.stats().tally().recorded(), 1);
    let tally = tracing.shutdown(Duration::from_secs(10));
    assert!(tally.is_conserved());
    assert_eq!(tally.to_string(), "sent 1 span in 1 batch, 0 dropped");
}
