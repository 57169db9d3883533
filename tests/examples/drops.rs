//! A program in which tracing ends where its argument says. Its collector is that of the environment; nothing is sent before
//! the end.
#![expect(clippy::panic, clippy::unwrap_used, reason = "one of the ways to end, and what goes wrong is a failed test")]

use std::time::Duration;

use traced_runtime::{InContext, Installed, Tracer, traced};

const DEADLINE: Duration = Duration::from_secs(20);

#[traced]
async fn request() {
    tokio::task::yield_now().await;
    step();
}

#[traced]
fn step() {}

fn install() -> Installed {
    let builder = Tracer::builder("drops").linger(Duration::from_secs(3600)).shutdown_deadline(DEADLINE);
    builder.install().unwrap()
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("no runtime") => {
            let _tracing = install();
            futures::executor::block_on(request());
        }
        Some("around a runtime") => {
            let _tracing = install();
            tokio::runtime::Runtime::new().unwrap().block_on(async { tokio::spawn(request()).await.unwrap() });
        }
        Some("inside block_on, current thread") => current_thread().block_on(async {
            let tracing = install();
            request().await;
            drop(tracing);
        }),
        Some("inside block_on, many threads") => tokio::runtime::Runtime::new().unwrap().block_on(async {
            let tracing = install();
            tokio::spawn(request()).await.unwrap();
            drop(tracing);
        }),
        Some("inside a task") => tokio::runtime::Runtime::new().unwrap().block_on(async {
            let tracing = install();
            let task = async move {
                request().await;
                drop(tracing);
            };
            tokio::spawn(task).await.unwrap();
        }),
        // Tasks that are pending are cancelled, which ends their spans.
        Some("after a runtime that has tasks") => {
            let tracing = install();
            let runtime = current_thread();
            runtime.block_on(async {
                tokio::spawn(
                    async { std::future::pending::<()>().await }.in_span(traced_runtime::Span::start("request")),
                );
                request().await;
            });
            drop(runtime);
            drop(tracing);
        }
        Some("in a panic hook") => {
            std::mem::forget(install());
            std::panic::set_hook(Box::new(|_| {
                step();
                println!("{}", Tracer::installed().unwrap().shutdown(DEADLINE));
                std::process::exit(3);
            }));
            futures::executor::block_on(request());
            panic!("as told");
        }
        Some("while panicking") => {
            let _tracing = install();
            futures::executor::block_on(request());
            panic!("as told");
        }
        Some("on another thread") => {
            let tracing = install();
            futures::executor::block_on(request());
            std::thread::spawn(move || drop(tracing)).join().unwrap();
        }
        other => panic!("no scenario {other:?}"),
    }
}
