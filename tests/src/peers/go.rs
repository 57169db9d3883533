//! Two peers in Go: grpc-go with otgrpc and zipkin-go-opentracing; zipkin-go over HTTP.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Program, Zipkin, peer};

/// The cache service in Go with the libraries of the service that made this style of tracing known: otgrpc with payloads,
/// and zipkin-go-opentracing, which reports by v1 thrift.
///
/// Spans carry `debug` only when their context does: tests pass `--recorder-debug=true` for what that service does.
#[derive(Debug)]
pub struct Go {
    binary: PathBuf,
}

impl Go {
    /// The program; the first use on a machine downloads its modules and builds it (a minute).
    ///
    /// `None` without `go`, or when the build fails; stderr then has a line that says so.
    ///
    /// # Panics
    /// Instead of `None` with `TRACED_REQUIRE_PEERS=1`.
    #[track_caller]
    #[must_use]
    pub fn find() -> Option<&'static Go> {
        static BUILT: OnceLock<Result<Go, String>> = OnceLock::new();
        match BUILT.get_or_init(Go::build) {
            Ok(go) => Some(go),
            Err(reason) => peer::skip(reason),
        }
    }

    fn build() -> Result<Go, String> {
        Ok(Go { binary: build("peers/go", "cacheservice")? })
    }

    /// A server on a free port, to be started by [`Server::start`](super::Server::start); flags may follow.
    #[must_use]
    pub fn server(&self, zipkin: &Zipkin) -> Program {
        self.program("server", zipkin).arg("--listen=127.0.0.1:0")
    }

    /// A client of the server at this address; flags may follow, and then `get KEY`, `store KEY VALUE` or `dump`.
    #[must_use]
    pub fn client(&self, zipkin: &Zipkin, address: &str) -> Program {
        self.program("client", zipkin).arg(format!("--connect={address}"))
    }

    fn program(&self, what: &str, zipkin: &Zipkin) -> Program {
        let zipkin = format!("--zipkin={}/api/v1/spans", zipkin.url());
        Program::at(&self.binary).arg(what).arg(zipkin).arg("--recorder-debug=false")
    }
}

/// HTTP with zipkin-go, the library of today, and its middleware.
#[derive(Debug)]
pub struct ZipkinGo {
    binary: PathBuf,
}

impl ZipkinGo {
    /// The program; the first use on a machine downloads its modules and builds it.
    ///
    /// `None` without `go`, or when the build fails; stderr then has a line that says so.
    ///
    /// # Panics
    /// Instead of `None` with `TRACED_REQUIRE_PEERS=1`.
    #[track_caller]
    #[must_use]
    pub fn find() -> Option<&'static ZipkinGo> {
        static BUILT: OnceLock<Result<ZipkinGo, String>> = OnceLock::new();
        match BUILT.get_or_init(|| Ok(ZipkinGo { binary: build("peers/zipkin-go", "zipkin-go")? })) {
            Ok(zipkin_go) => Some(zipkin_go),
            Err(reason) => peer::skip(reason),
        }
    }

    /// A server with the paths `/users/…`, `/err` and `/redir`, and 404 for all others; flags may follow.
    #[must_use]
    pub fn server(&self, zipkin: &Zipkin) -> Program {
        self.program("server", zipkin)
    }

    /// A client of the server at this address; flags may follow, and then `get PATH`.
    #[must_use]
    pub fn client(&self, zipkin: &Zipkin, address: &str) -> Program {
        self.program("client", zipkin).arg(format!("--connect={address}"))
    }

    fn program(&self, what: &str, zipkin: &Zipkin) -> Program {
        Program::at(&self.binary).arg(what).arg(format!("--zipkin={}", zipkin.spans_url()))
    }
}

/// Builds the module in a folder of this package, if it has not been built yet.
fn build(module: &str, name: &str) -> Result<PathBuf, String> {
    peer::tool("go", "install Go, version 1.18 or later")?;
    peer::build(module, name, include_str!("go.rs"), |partial, file, attempt| {
        let mut go = Command::new("go");
        // Nothing is asked of git, which answers with an error for a checkout of another user.
        go.args(["build", "-mod=readonly", "-modcacherw", "-buildvcs=false", "-o"])
            .arg(partial.join(file))
            .arg(".")
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(module));
        if attempt > 1 {
            go.env("GOMODCACHE", partial.join("modules")).env("GOCACHE", partial.join("cache"));
        }
        peer::run(&mut go)
    })
}
