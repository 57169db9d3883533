//! Connections: as many as may be, for as long as they get on.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::{Viewer, places};

/// The pause after an accept that failed: there may be no file descriptor for one more.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 << 10;

/// What one connection too many gets.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 71\r\nretry-after: 1\r\nconnection: close\r\n\r\n\
    the viewer has as many connections as it takes; close some and try again";

/// Accepts connections until it is dropped.
pub(super) async fn accept(listener: TcpListener, viewer: Arc<Viewer>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("traced-viewer: cannot serve: {error}");
            return;
        }
    };
    let places = places(viewer.options.limits.connections);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            // If it does not fit into the empty buffer of a new connection, nobody waits for it.
            drop(stream.try_write(TOO_MANY));
            continue;
        };
        let viewer = viewer.clone();
        tokio::spawn(async move {
            serve(stream, viewer).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, viewer: Arc<Viewer>) {
    stream.set_nodelay(true).ok();
    let limits = &viewer.options.limits;
    let (head_time, stall_time) = (limits.head_time, limits.stall_time);
    let service = service_fn(move |request| {
        let viewer = viewer.clone();
        async move { Ok::<_, Infallible>(viewer.route(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_time).max_buf_size(HEAD_BYTES);
    // A client that breaks off, or does not speak HTTP, harms only itself.
    drop(http.serve_connection(Stalling::new(stream, stall_time), service).await);
}

/// A stream that fails when the other side has read nothing for too long.
struct Stalling {
    stream: TokioIo<TcpStream>,
    time: Duration,
    /// When it fails, while it waits for the other side.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Stalling {
    fn new(stream: TcpStream, time: Duration) -> Self {
        Self { stream: TokioIo::new(stream), time, stalled: None }
    }

    fn watch<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let time = self.time;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + time)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Read for Stalling {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Stalling {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(shut, cx)
    }
}
