//! The first trace: `cargo run --example quickstart`. With a Zipkin at localhost:9411 it is there, too.

use std::{error::Error, io, time::Duration};
use traced_runtime::{Tracer, traced};

#[traced(tags(user))]
async fn checkout(user: &str) -> Result<(), io::Error> {
    let prices = load_cart(user).await;
    pay(total(&prices)).await
}

#[traced(kind = client, remote = "mysql")]
async fn load_cart(user: &str) -> Vec<u64> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    traced_runtime::annotate("cache miss");
    vec![30, 12, user.len() as u64]
}

#[traced(tags("items" = prices.len()))]
fn total(prices: &[u64]) -> u64 {
    prices.iter().sum()
}

#[traced(tags(amount))]
async fn pay(amount: u64) -> Result<(), io::Error> {
    Err(io::Error::other(format!("no money: {amount} is too much")))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _tracing = Tracer::builder("quickstart").print_trees().install()?;
    if let Err(error) = checkout("ann").await {
        println!("not paid: {error}");
    }
    Ok(())
}
