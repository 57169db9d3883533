//! The server's process.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use traced_runtime::traced;

use crate::arguments::{Ending, Style};
use crate::grpc1::cache_service_server::{CacheService, CacheServiceServer};
use crate::grpc1::{DumpItem, DumpReq, GetReq, GetResp, StoreReq, StoreResp};
use crate::{Result, layer, log, tracer};

struct Cache {
    values: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Cache {
    #[traced(name = "db query user")]
    async fn query(&self, key: &str) -> Vec<u8> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.values.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
    }
}

#[tonic::async_trait]
impl CacheService for Cache {
    async fn get(&self, request: Request<GetReq>) -> std::result::Result<Response<GetResp>, Status> {
        let key = request.into_inner().key;
        log(format_args!("get {key:?}"));
        Ok(Response::new(GetResp { value: self.query(&key).await }))
    }

    async fn store(&self, request: Request<StoreReq>) -> std::result::Result<Response<StoreResp>, Status> {
        let StoreReq { key, value } = request.into_inner();
        log(format_args!("store {key:?}: {value:?}"));
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(key, value);
        Ok(Response::new(StoreResp {}))
    }

    type DumpStream = Pin<Box<dyn Stream<Item = std::result::Result<DumpItem, Status>> + Send>>;

    async fn dump(&self, _: Request<DumpReq>) -> std::result::Result<Response<Self::DumpStream>, Status> {
        log(format_args!("dump"));
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let items = tokio_stream::iter(values).map(|(key, val)| Ok(DumpItem { key, val }));
        Ok(Response::new(Box::pin(items)))
    }
}

/// Serves until it is told to end.
pub(crate) async fn serve(listen: &str, style: Style, ending: Ending) -> Result<()> {
    let _tracing = tracer("cache server")?;
    let values = [("123", vec![123]), ("231", vec![231])].map(|(key, value)| (key.to_owned(), value));
    let cache = Cache { values: Mutex::new(values.into()) };
    let listener = TcpListener::bind(listen).await.map_err(|error| format!("cannot listen at {listen}: {error}"))?;
    println!("{}", listener.local_addr()?);
    Server::builder()
        .layer(layer(traced_tower::grpc::server(), style)?)
        .add_service(CacheServiceServer::new(cache))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), told_to_end(ending))
        .await?;
    Ok(())
}

async fn told_to_end(ending: Ending) {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => _ = signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    let eof = async {
        match ending {
            Ending::Eof => drop(tokio::io::stdin().read_to_end(&mut Vec::new()).await),
            Ending::Signal => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        () = eof => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
