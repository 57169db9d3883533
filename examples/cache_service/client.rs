//! The client's process.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tonic::Status;
use tonic::transport::Endpoint;
use tower::ServiceBuilder;
use traced_runtime::{Builder, Context, traced};
use traced_tower::grpc::Client;

use crate::arguments::{Call, Style};
use crate::grpc1::cache_service_client::CacheServiceClient;
use crate::grpc1::{DumpReq, GetReq, StoreReq};
use crate::{Result, layer, log, tracer};

type Channel = traced_tower::Service<tonic::transport::Channel, Client>;

#[traced(name = "callGet")]
async fn call_get(client: &mut CacheServiceClient<Channel>, key: String) -> std::result::Result<Vec<u8>, Status> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    log(format_args!("get {key:?}"));
    Ok(client.get(GetReq { key }).await?.into_inner().value)
}

/// Makes one call, and says where its trace is.
pub(crate) async fn call(connect: String, style: Style, call: Call) -> Result<()> {
    let tracing = tracer("cache service client")?;
    // Of each call the layer makes a span: its trace is the one to look at.
    let made = Arc::new(OnceLock::<Context>::new());
    let remember = Arc::clone(&made);
    let traced = layer(traced_tower::grpc::client(), style)?.tags(move |_, span| {
        remember.get_or_init(|| span.context());
    });
    let channel = Endpoint::from_shared(connect.clone())?
        .connect()
        .await
        .map_err(|error| format!("cannot connect to {connect}: {error}"))?;
    let mut client = CacheServiceClient::new(ServiceBuilder::new().layer(traced).service(channel));
    let result = ask(&mut client, call).await;
    let made = made.get().cloned().unwrap_or_default();
    if let Err(error) = &result {
        made.run(|| log(format_args!("{error}")));
    }
    drop(tracing);
    if let Some(trace) = made.trace_id() {
        println!("trace {trace}: {}/zipkin/traces/{trace}", zipkin());
    }
    result
}

async fn ask(client: &mut CacheServiceClient<Channel>, call: Call) -> Result<()> {
    match call {
        Call::Get { key } => println!("{key}: {:?}", call_get(client, key.clone()).await?),
        Call::Store { key, value } => drop(client.store(StoreReq { key, value }).await?),
        Call::Dump => {
            let mut items = client.dump(DumpReq {}).await?.into_inner();
            while let Some(item) = items.message().await? {
                println!("{}: {:?}", item.key, item.val);
            }
        }
    }
    Ok(())
}

/// Where Zipkin's pages are: where its collector is.
fn zipkin() -> String {
    let endpoint = std::env::var("OTEL_EXPORTER_ZIPKIN_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
    let endpoint = endpoint.as_deref().unwrap_or(Builder::COLLECTOR);
    endpoint.strip_suffix("/api/v2/spans").unwrap_or(endpoint).to_owned()
}
