//! Every log line says which trace it is of, also those of functions that never heard of tracing.

use std::io::Write as _;
use std::time::Duration;

use log::{LevelFilter, info, warn};
use traced_runtime::{Context, traced};

#[traced]
async fn handle(request: u32) {
    info!("request {request} begins");
    let stock = tokio::spawn(look_up(request)).await.unwrap_or_default();
    if stock == 0 {
        warn!("request {request} finds nothing");
    }
    info!("request {request} ends");
}

#[traced]
async fn look_up(request: u32) -> u32 {
    query(request).await
}

/// Not a traced function; nor does a library that logs need to be one.
async fn query(request: u32) -> u32 {
    info!("request {request} asks the database");
    tokio::time::sleep(Duration::from_millis(5)).await;
    info!("request {request} has its answer");
    request % 2
}

#[tokio::main]
async fn main() {
    let _tracing = traced_runtime::init("logging");
    env_logger::Builder::new()
        .filter_level(LevelFilter::Info)
        .format(|out, record| writeln!(out, "{} [{}] {}", record.level(), Context::current(), record.args()))
        .init();

    info!("no trace here");
    tokio::join!(handle(1), handle(2));
}
