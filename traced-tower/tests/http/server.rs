//! A server of axum's on a port of its own, and the wait for the spans of what it does elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use traced_runtime::SpanRecord;
use traced_runtime::testing::Tracer;
use traced_tests::Checked;

/// How long what is to happen may take.
pub(crate) const SOON: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(2);

/// A server; dropping it ends it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A tracer of the service with this name.
pub(crate) fn tracer(service: &str) -> Checked {
    Checked::with(Tracer::options().service(service))
}

/// The spans of `tracer`, once there are so many: those of a server end when it has done with a connection's part, which no
/// client sees.
pub(crate) async fn ended(tracer: &Checked, spans: usize) -> Vec<SpanRecord> {
    let all = async {
        while tracer.spans().len() < spans {
            tokio::time::sleep(PAUSE).await;
        }
    };
    if tokio::time::timeout(SOON, all).await.is_err() {
        panic!("{spans} spans have not ended within {SOON:?}:\n{}", tracer.tree());
    }
    let found = tracer.spans();
    assert_eq!(found.len(), spans, "{}", tracer.tree());
    found
}
