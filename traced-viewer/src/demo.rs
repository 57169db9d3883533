//! Two services to look at: a shop that calls a store, in one process, with tracers of their own that send over HTTP.
//!
//! What a request would carry from one to the other goes through a channel here. All else is as in programs of a user.

use std::collections::HashMap;
use std::fmt;
use std::future::Future as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::task::{Context as TaskContext, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use traced_runtime::{Endpoint, Kind, Span, Tracer, span, traced};

/// The pause between two traces, once there are some.
const PAUSE: Duration = Duration::from_secs(2);

/// How long spans wait for each other: what is shown is live.
const LINGER: Duration = Duration::from_millis(100);

/// How long the first traces may take to be sent.
const FLUSH: Duration = Duration::from_secs(5);

/// A demo that goes on until it is dropped.
#[derive(Debug)]
pub struct Demo {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Demo {
    /// Records some traces, sends them to a collector, and goes on with one every two seconds. It returns when the first ones
    /// are sent.
    ///
    /// # Errors
    /// The tracers cannot be set up, or no thread can be started: the message says why.
    pub fn start(spans_url: &str) -> Result<Self, String> {
        let tracer = |service, port| {
            let builder = Tracer::builder(service).collector(spans_url).linger(LINGER);
            builder.local_endpoint(Endpoint::new().port(port)).build().map_err(|error| error.to_string())
        };
        let (shop, store) = (tracer("shop", 8080)?, tracer("store", 8081)?);
        let (calls, requests) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        let serving = store.clone();
        let store_thread = thread("demo-store").spawn(move || serve(&serving, &requests));
        let store_thread = store_thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        let shop = Shop { calls, visits: 0 }.with(shop);
        let (ready, first) = mpsc::channel();
        let shop_thread = thread("demo-shop").spawn(move || {
            let (tracer, mut shop) = shop;
            for _ in 0..VISITS.len() * 2 {
                tracer.context().run(|| shop.visit());
            }
            tracer.flush(FLUSH);
            store.flush(FLUSH);
            // Whoever waited may have left.
            ready.send(()).ok();
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                tracer.context().run(|| shop.visit());
            }
            // The store ends with the last one who may call it.
            drop(shop);
            store_thread.join().ok();
            tracer.shutdown(FLUSH);
            store.shutdown(FLUSH);
        });
        let shop_thread = shop_thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        first.recv().ok();
        Ok(Self { stop: Some(stop), thread: Some(shop_thread) })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// What customers do, in turn.
const VISITS: [fn(&Shop); 6] =
    [Shop::buys, Shop::looks_around, Shop::is_out_of_stock, Shop::leaves, Shop::breaks, Shop::buys_much];

struct Shop {
    calls: Sender<Call>,
    visits: usize,
}

/// A request to the store, with its headers.
struct Call {
    item: &'static str,
    headers: HashMap<String, String>,
    reply: Sender<Result<u32, OutOfStock>>,
}

#[derive(Debug)]
struct OutOfStock(&'static str);

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} left", self.0)
    }
}

impl std::error::Error for OutOfStock {}

impl Shop {
    fn with(self, tracer: Tracer) -> (Tracer, Self) {
        (tracer, self)
    }

    fn visit(&mut self) {
        let visit = VISITS[self.visits % VISITS.len()];
        self.visits += 1;
        visit(self);
    }

    fn buys(&self) {
        let _request = self.request("POST /checkout");
        if let Ok(price) = self.reserve("tea") {
            pay(price);
        }
    }

    fn buys_much(&self) {
        let _request = self.request("POST /checkout");
        let sum: u32 = ["tea", "milk", "bread", "tea"].into_iter().filter_map(|item| self.reserve(item).ok()).sum();
        pay(sum);
    }

    /// A query for each item, as happens.
    fn looks_around(&self) {
        let _request = self.request("GET /catalogue");
        for item in 0..24 {
            query("select * from items where id = ?", item);
        }
        let _page = span!("render", "items" = 24);
        work(3);
    }

    fn is_out_of_stock(&self) {
        let request = self.request("POST /checkout");
        if let Err(error) = self.reserve("coffee") {
            request.0.error(&error);
        }
    }

    /// The customer closes the page before the answer is there.
    fn leaves(&self) {
        let _request = self.request("GET /recommendations");
        let mut waiting = pin!(recommend());
        _ = waiting.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
        work(5);
    }

    fn breaks(&self) {
        let _request = self.request("GET /invoice");
        // Contained here as a server contains what its handlers do.
        drop(catch_unwind(AssertUnwindSafe(print_invoice)));
    }

    fn request(&self, name: &str) -> Request {
        let span = Span::start(name);
        span.kind(Kind::Server);
        span.remote(Endpoint::named("browser"));
        span.tag("visit", u64::try_from(self.visits).unwrap_or(0));
        let scope = span.context().attach();
        Request(span, scope)
    }

    #[traced(name = "reserve", tags(item))]
    fn reserve(&self, item: &'static str) -> Result<u32, OutOfStock> {
        let call = Span::client("POST /reserve");
        call.remote(Endpoint::named("store"));
        let mut headers = HashMap::new();
        call.context().inject(&mut headers);
        let (reply, answer) = mpsc::channel();
        let sent = self.calls.send(Call { item, headers, reply });
        work(1);
        let answer = sent.ok().and_then(|()| answer.recv().ok()).unwrap_or(Err(OutOfStock(item)));
        work(1);
        if let Err(error) = &answer {
            call.error(error);
        }
        answer
    }
}

/// A request that is served; the scope ends before the span.
struct Request(Span, #[expect(dead_code, reason = "it is dropped")] traced_runtime::Scope);

/// The store's thread.
fn serve(tracer: &Tracer, requests: &Receiver<Call>) {
    for Call { item, headers, reply } in requests {
        let span = Span::server("POST /reserve", tracer.extract(&headers));
        let scope = span.attach();
        let answer = take(item);
        if let Err(error) = &answer {
            span.error(error);
        }
        drop(scope);
        span.finish();
        // A shop that is gone wants no answer.
        reply.send(answer).ok();
    }
}

#[traced(name = "Stock::take", tags(item))]
fn take(item: &'static str) -> Result<u32, OutOfStock> {
    traced_runtime::annotate("lock taken");
    query("update stock set left = left - 1 where item = ?", item.len());
    if item == "coffee" { Err(OutOfStock(item)) } else { Ok(3) }
}

#[traced(kind = client, remote = "mysql", tags("sql.query" = statement, key))]
fn query(statement: &str, key: usize) {
    work(1 + u64::try_from(key % 3).unwrap_or(0));
}

#[traced(tags(amount))]
fn pay(amount: u32) {
    work(4);
}

#[traced]
async fn recommend() {
    traced_runtime::annotate("model asked");
    std::future::pending::<()>().await;
}

#[traced]
fn print_invoice() {
    work(2);
    // As a panic, but without its message on the terminal.
    resume_unwind(Box::new("no printer"));
}

/// Takes some milliseconds.
fn work(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}
