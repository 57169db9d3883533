//! A collector behind TLS: a real rustls server, whose authority the system trusts, or does not.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use traced_tests::{Output, Program};

const SOON: Duration = Duration::from_secs(60);

/// A certificate authority.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    /// A server of this authority for a name: its port, and the head of each request that it got.
    fn server(&self, name: &str) -> (u16, Receiver<String>) {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, heads) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = BufReader::new(StreamOwned::new(connection, stream));
                // A client that does not trust us goes away.
                while let Ok(head) = serve(&mut stream) {
                    tell.send(head).ok();
                }
            }
        });
        (port, heads)
    }
}

/// Answers one request, and returns its head.
fn serve(stream: &mut BufReader<StreamOwned<ServerConnection, std::net::TcpStream>>) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)])?;
    stream.get_mut().write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
    Ok(head)
}

/// Runs a program that sends one span there, on a system that trusts what is in this file.
fn program(url: &str, roots: &Path) -> Output {
    let program = Program::example_of("traced-tests", "ends").arg("return");
    // Where OpenSSL, and so most of a Linux system, looks; `SSL_CERT_DIR` would add to it.
    let program = program.env("SSL_CERT_FILE", roots.display()).env("SSL_CERT_DIR", "/nonexistent");
    program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", url).env("ENDS_DEADLINE_MS", 3_000).run(SOON)
}

#[test]
fn the_systems_roots_decide_whom_spans_are_sent_to() {
    let (trusted, other) = (Authority::new("ours"), Authority::new("other"));
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, &trusted.pem).unwrap();

    let (port, heads) = trusted.server("localhost");
    let output = program(&format!("https://us3r:s3cret@localhost:{port}/api/v2/spans"), &roots).success();
    assert!(output.stdout.starts_with("sent 1 span"), "{}{}", output.stdout, output.stderr);
    let head = heads.recv_timeout(SOON).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("post /api/v2/spans http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: basic "), "{head}");

    for (what, (port, heads)) in
        [("unknown authority", other.server("localhost")), ("another name", trusted.server("zipkin.example"))]
    {
        let output = program(&format!("https://us3r:s3cret@localhost:{port}/api/v2/spans"), &roots);
        let told = format!("no secure connection to https://localhost:{port}/api/v2/spans: ");
        assert!(output.stderr.contains(&told), "{what}: {}", output.stderr);
        assert!(output.stderr.contains("of an authority that this machine trusts"), "{what}: {}", output.stderr);
        assert!(!output.stderr.contains("s3cret"), "{}", output.stderr);
        assert!(output.stderr.contains("dropped (2 unreachable)"), "{what}: {}", output.stderr);
        assert!(heads.try_recv().is_err(), "{what}: nothing was sent, credentials least of all");
    }
}
