//! tracing's `#[instrument]` with the OpenTelemetry layer, its batch processor, and opentelemetry-zipkin.

use std::hint::black_box;

use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
#[expect(deprecated, reason = "OpenTelemetry points to OTLP; measured is Zipkin JSON")]
use opentelemetry_zipkin::ZipkinExporter;
use tracing::instrument;
use tracing_subscriber::layer::SubscriberExt;

use super::batches::Collector;
use crate::produce::CHILDREN;

#[derive(Debug)]
struct Client(Collector);

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            self.0.send(request.body());
            Ok(Response::builder().status(202).body(Bytes::new())?)
        })
    }
}

#[inline(never)]
#[instrument(skip_all, fields(n = n, kind = kind))]
fn child(n: u32, kind: &'static str) -> u32 {
    black_box(n)
}

#[instrument(skip_all, name = "root")]
pub fn trace() {
    for n in 0..CHILDREN {
        child(n, "cart");
    }
}

pub fn start(collector: &str) -> Box<dyn FnOnce()> {
    #[expect(deprecated, reason = "as above")]
    let exporter = ZipkinExporter::builder()
        .with_http_client(Client(Collector::new(collector)))
        .with_collector_endpoint(collector)
        .build()
        .expect("an exporter");
    let processor = BatchSpanProcessor::builder(exporter).build();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("bench"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).expect("started once");
    Box::new(move || {
        provider.force_flush().ok();
        provider.shutdown().ok();
    })
}
