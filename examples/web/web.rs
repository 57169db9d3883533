//! A shop asks another service for prices over HTTP: names by route, errors, a redirect, a download that streams.
//!
//! `cargo run --example web` prints what each service recorded. With a Zipkin at localhost:9411 the traces are whole there.
//! Both services are in this program, each with a tracer of its own; what joins their spans are the headers.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use futures_util::stream;
use reqwest::{Client, Method, Request, Url};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};
use traced_runtime::{Context, InContext, Sampling, Span, Tracer, traced};

#[traced(kind = client, remote = "postgres", tags(item))]
async fn query(item: u32) -> Option<u32> {
    tokio::time::sleep(Duration::from_millis(2)).await;
    (item < 100).then_some(item * 3)
}

async fn price(Path(item): Path<u32>) -> Result<String, StatusCode> {
    query(item).await.map(|price| price.to_string()).ok_or(StatusCode::NOT_FOUND)
}

async fn moved(Path(item): Path<u32>) -> Redirect {
    Redirect::permanent(&format!("/prices/{item}"))
}

/// Each line is made when the one before is sent; its query belongs to the request's span all the same.
async fn all_prices() -> Body {
    Body::from_stream(stream::unfold(1, |item| async move {
        let price = query(item).await.filter(|_| item <= 3)?;
        Some((Ok::<_, Infallible>(format!("{item}: {price}\n")), item + 1))
    }))
}

fn prices(tracer: &Tracer) -> Router {
    let layer = traced_tower::http::server().tracer(tracer).sampler(|request| match request.uri.path() {
        "/health" => Sampling::Unsampled,
        _ => Sampling::Deferred,
    });
    // After the routes: a layer is around those that are there.
    Router::new()
        .route("/prices", get(all_prices))
        .route("/prices/{item}", get(price))
        .route("/old/{item}", get(moved))
        .route("/health", get(|| async { "fine" }))
        .layer(layer)
}

async fn fetch(url: Url) -> Result<(), reqwest::Error> {
    let client = traced_tower::reqwest::client().remote("prices").layer(Client::new());
    let response = client.oneshot(Request::new(Method::GET, url)).await?;
    let (status, url) = (response.status(), response.url().clone());
    println!("[{}] {status} from {}: {:?}", Context::current(), url.path(), response.text().await?);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tracing = Tracer::builder("shop").print_trees().install()?;
    let prices_tracer = Tracer::builder("prices").print_trees().build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = Url::parse(&format!("http://{}", listener.local_addr()?))?;
    let serving = tokio::spawn(axum::serve(listener, prices(&prices_tracer)).into_future());

    for path in ["/prices/7", "/prices/700", "/old/7", "/prices", "/nowhere"] {
        let span = Span::start("look up");
        let trace = span.context().trace_id();
        fetch(server.join(path)?).in_span(span).await?;
        if let Some(trace) = trace {
            println!("  http://localhost:9411/zipkin/traces/{trace}");
        }
    }
    // A load balancer asks, too, in no trace: the server's sampler leaves it out.
    println!("health: {}", reqwest::get(server.join("/health")?).await?.text().await?);

    serving.abort();
    prices_tracer.shutdown(Duration::from_secs(1));
    drop(tracing);
    Ok(())
}
