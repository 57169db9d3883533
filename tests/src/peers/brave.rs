//! The Java peer: Brave over gRPC and HTTP.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Program, Zipkin, peer};

/// Servers and clients in Java that are traced by Brave: the cache service over gRPC, and a few routes over HTTP.
#[derive(Debug)]
pub struct Brave {
    /// With `lib` and `peer.jar`.
    folder: PathBuf,
    /// Classes as they are in memory, which halves the start of a program.
    archive: Option<PathBuf>,
}

impl Brave {
    /// The program; the first use on a machine downloads its libraries (19 MB) and compiles it.
    ///
    /// `None` without a Java development kit or `mvn`, or when the build fails; stderr then has a line that says so.
    ///
    /// # Panics
    /// Instead of `None` with `TRACED_REQUIRE_PEERS=1`.
    #[track_caller]
    #[must_use]
    pub fn find() -> Option<&'static Brave> {
        static BUILT: OnceLock<Result<Brave, String>> = OnceLock::new();
        match BUILT.get_or_init(Brave::build) {
            Ok(brave) => Some(brave),
            Err(reason) => peer::skip(reason),
        }
    }

    fn build() -> Result<Brave, String> {
        for tool in ["java", "javac", "jar"] {
            peer::tool(tool, "install a Java development kit, version 17 or later")?;
        }
        peer::tool("mvn", "install Apache Maven, which fetches Brave")?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/java");
        let folder = peer::build("peers/java", "brave", include_str!("brave.rs"), |partial, file, attempt| {
            let libraries = partial.join(file).join("lib");
            let mut mvn = Command::new("mvn");
            mvn.args(["-B", "-q", "-C", "dependency:copy-dependencies", "-f"])
                .arg(sources.join("pom.xml"))
                .arg(format!("-DoutputDirectory={}", libraries.display()));
            if attempt > 1 {
                mvn.arg(format!("-Dmaven.repo.local={}", partial.join("repository").display()));
            }
            peer::run(&mut mvn)?;
            let files = fs::read_dir(&sources).map_err(|error| error.to_string())?;
            let files = files.flatten().map(|entry| entry.path());
            let java = files.filter(|path| path.extension().is_some_and(|extension| extension == "java"));
            let classes = partial.join("classes");
            let mut javac = Command::new("javac");
            javac
                .args(["-nowarn", "-encoding", "UTF-8", "-cp"])
                .arg(libraries.join("*"))
                .arg("-d")
                .arg(&classes)
                .args(java);
            peer::run(&mut javac)?;
            let jar = partial.join(file).join("peer.jar");
            peer::run(Command::new("jar").arg("cf").arg(jar).arg("-C").arg(classes).arg("."))
        })?;
        let archive = peer::keep(&folder.with_extension("jsa"), Path::exists, |partial, _| {
            // A call that nobody answers loads what calls need.
            let archive = partial.join(folder.with_extension("jsa").file_name().unwrap_or_default());
            let mut java = Command::new("java");
            java.arg(format!("-XX:ArchiveClassesAtExit={}", archive.display())).args(Brave::java(&folder)).args([
                "grpc-client",
                "--connect=127.0.0.1:1",
                "--zipkin=http://127.0.0.1:1",
                "get",
                "123",
            ]);
            peer::run(&mut java)
        });
        Ok(Brave { folder, archive: archive.ok() })
    }

    /// What follows `java` in any case.
    fn java(folder: &Path) -> Vec<String> {
        // A program of a second: what starts fast is best.
        let options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m", "-cp"];
        let path = ["peer.jar", "lib/*"].map(|path| folder.join(path).display().to_string()).join(":");
        options.into_iter().map(str::to_owned).chain([path, "Peer".to_owned()]).collect()
    }

    /// A server of the cache service on a free port, to be started by [`Server::start`](super::Server::start); flags may
    /// follow.
    #[must_use]
    pub fn grpc_server(&self, zipkin: &Zipkin) -> Program {
        self.program("grpc-server", zipkin)
    }

    /// A client of the cache service at this address; flags may follow, and then `get KEY`, `store KEY VALUE` or `dump`.
    #[must_use]
    pub fn grpc_client(&self, zipkin: &Zipkin, address: &str) -> Program {
        self.program("grpc-client", zipkin).arg(format!("--connect={address}"))
    }

    /// A server with the routes `/users/{id}`, `/err` and `/redir`, a path `/boom` that throws, and 404 for all others.
    #[must_use]
    pub fn http_server(&self, zipkin: &Zipkin) -> Program {
        self.program("http-server", zipkin)
    }

    /// A client of the HTTP server at this address; flags may follow, and then `get PATH`.
    #[must_use]
    pub fn http_client(&self, zipkin: &Zipkin, address: &str) -> Program {
        self.program("http-client", zipkin).arg(format!("--connect={address}"))
    }

    fn program(&self, what: &str, zipkin: &Zipkin) -> Program {
        let archive = self.archive.iter().map(|archive| format!("-XX:SharedArchiveFile={}", archive.display()));
        let java = archive.chain(Brave::java(&self.folder)).fold(Program::at(Path::new("java")), Program::arg);
        java.arg(what).arg(format!("--zipkin={}", zipkin.spans_url()))
    }
}
