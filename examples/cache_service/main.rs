//! A cache as a service, in one trace with its client: `cargo run --example cache_service`.
//!
//! ```text
//! cache_service                        starts a server and a client of it, each a process of its own
//! cache_service server [--listen 127.0.0.1:5051] [--otgrpc]
//! cache_service client [--connect http://127.0.0.1:5051] [--otgrpc] get KEY | store KEY VALUE | dump
//! ```
//!
//! The server prints its address first; with port 0 it chooses one. `--otgrpc` gives spans the names, tags and payloads
//! that Go's otgrpc gives them. Spans go to the Zipkin at `OTEL_EXPORTER_ZIPKIN_ENDPOINT`, or at localhost:9411; without
//! one everything else works all the same.

mod arguments;
mod client;
mod server;

/// The code and the descriptors made of `cache.proto`.
mod grpc1 {
    #![allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated")]
    tonic::include_proto!("grpc1");
    pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cache.bin"));
}

use std::error::Error;
use std::process::{ExitCode, Stdio};

use arguments::{Command, Style};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process;
use traced_runtime::{Installed, Tracer};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cache_service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    match arguments::read(std::env::args().skip(1))? {
        Command::Both => both().await,
        Command::Server { listen, style, ending } => server::serve(&listen, style, ending).await,
        Command::Client { connect, style, call } => client::call(connect, style, call).await,
    }
}

/// Starts a server, asks it by a client, and ends both.
async fn both() -> Result<()> {
    let this = std::env::current_exe()?;
    let program = |arguments: &[&str]| {
        let mut program = process::Command::new(&this);
        // One name for two services would make them one.
        program.args(arguments).env_remove("OTEL_SERVICE_NAME").kill_on_drop(true);
        program
    };
    let mut server = program(&["server", "--listen", "127.0.0.1:0", "--until-eof"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(server.stdout.take().ok_or("the server has no output")?).lines();
    let address = lines.next_line().await?.ok_or("the server ended before it listened")?;
    let client = program(&["client", "--connect", &format!("http://{address}"), "get", "231"]).status().await?;
    // The end of its input tells the server to end, and so to send what it has recorded.
    drop(server.stdin.take());
    let server = server.wait().await?;
    if client.success() && server.success() {
        Ok(())
    } else {
        Err(format!("client: {client}, server: {server}").into())
    }
}

fn tracer(service: &str) -> Result<Installed> {
    Ok(Tracer::builder(service).install()?)
}

/// What the layers of both sides have in common where names and tags are otgrpc's.
fn layer<R: traced_tower::grpc::Role>(layer: traced_tower::Layer<R>, style: Style) -> Result<traced_tower::Layer<R>> {
    Ok(match style {
        Style::Brave => layer,
        Style::Otgrpc => layer.otgrpc().payloads(traced_tower::grpc::Payloads::described(grpc1::DESCRIPTORS)?),
    })
}

/// A line of the log, with the trace that it belongs to.
fn log(text: std::fmt::Arguments<'_>) {
    eprintln!("[{}] {text}", traced_runtime::Context::current());
}
