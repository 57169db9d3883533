//! A collector that counts: it answers 202 to everything, and looks for nothing but how many spans there are.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem;

static SPANS: AtomicU64 = AtomicU64::new(0);

/// Every span has one, in each of the libraries' JSON.
const MARK: &[u8] = b"\"traceId\"";

/// Listens on a free port, prints it, and serves until its standard input ends; then it prints how many spans came.
pub fn run() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().map_or(0, |address| address.port());
    println!("{port}");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new()).ok();
    println!("{}", SPANS.load(Ordering::Relaxed));
}

fn serve(stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::with_capacity(64 << 10, stream.try_clone().ok()?);
    let mut writer = stream;
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let (mut length, mut is_chunked) = (0, false);
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        loop {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            } else if header.starts_with("expect:") {
                writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
            } else if header.starts_with("transfer-encoding:") {
                is_chunked = header.contains("chunked");
            }
        }
        body.clear();
        if is_chunked {
            loop {
                line.clear();
                reader.read_line(&mut line).ok()?;
                let size = usize::from_str_radix(line.trim(), 16).ok()?;
                let at = body.len();
                body.resize(at + size + 2, 0);
                reader.read_exact(&mut body[at..]).ok()?;
                body.truncate(at + size);
                if size == 0 {
                    break;
                }
            }
        } else {
            body.resize(length, 0);
            reader.read_exact(&mut body).ok()?;
        }
        let spans = memmem::find_iter(&body, MARK).count();
        SPANS.fetch_add(spans as u64, Ordering::Relaxed);
        writer.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}
