//! Does a program feel what its collector does? `latency` measures requests of ten spans each, 1,000 a second, in processes of
//! their own, with collectors that take everything, that are not there, and that hang; it prints a table.
//!
//! ```sh
//! cargo run --release --bin latency              # 5 rounds of 10 s for each
//! cargo run --release --bin latency -- 3 4       # 3 rounds of 4 s
//! ```

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use traced_runtime::{Tracer, traced};

/// What stands at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    /// No tracer at all.
    None,
    /// A collector that takes everything.
    Healthy,
    /// Nobody: connections are refused.
    Dead,
    /// Nobody, and a spool.
    DeadSpool,
    /// A collector that takes connections and answers nothing.
    Hanging,
}

const BACKENDS: [(&str, Backend, &str); 5] = [
    ("none", Backend::None, "no tracer installed"),
    ("healthy", Backend::Healthy, "collector healthy"),
    ("dead", Backend::Dead, "collector dead"),
    ("dead-spool", Backend::DeadSpool, "collector dead, with a spool"),
    ("hanging", Backend::Hanging, "collector hanging"),
];

/// Requests per second; each has ten spans.
const RATE: u32 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [command, name, url, seconds] if command == "measure" => {
            let (_, backend, _) = BACKENDS.iter().find(|(other, ..)| other == name).ok_or("no such backend")?;
            measure(*backend, url, seconds.parse()?)
        }
        [] => run(5, 10),
        [rounds, seconds] => run(rounds.parse()?, seconds.parse()?),
        _ => Err("usage: latency [ROUNDS SECONDS]".into()),
    }
}

/// The figures of one process, in nanoseconds.
type Row = [u64; 4];

fn run(rounds: usize, seconds: u64) -> Result<(), Box<dyn Error>> {
    let healthy = collector(true)?;
    let hanging = collector(false)?;
    let dead = format!("http://{}/", TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    let mut rows: Vec<Vec<Row>> = vec![Vec::new(); BACKENDS.len()];
    for _ in 0..rounds {
        for ((name, backend, _), rows) in BACKENDS.iter().zip(&mut rows) {
            let url = match backend {
                Backend::Healthy => &healthy,
                Backend::Hanging => &hanging,
                _ => &dead,
            };
            let output = Command::new(std::env::current_exe()?)
                .args(["measure", name, url, &seconds.to_string()])
                .output()?;
            let text = String::from_utf8(output.stdout)?;
            let figures: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
            rows.push(figures.try_into().map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?);
        }
    }
    println!("Microseconds for a request of ten spans, {RATE} a second: median of {rounds} processes of {seconds} s (min–max).\n");
    println!("| | p50 | p99 | p99.9 | longest |\n|---|--:|--:|--:|--:|");
    for ((.., label), rows) in BACKENDS.iter().zip(&rows) {
        print!("| {label} |");
        for column in 0..4 {
            let mut values: Vec<f64> = rows.iter().map(|row| row[column] as f64 / 1_000.0).collect();
            values.sort_by(f64::total_cmp);
            print!(" {:.1} ({:.1}–{:.1}) |", values[values.len() / 2], values[0], values[values.len() - 1]);
        }
        println!();
    }
    Ok(())
}

#[traced]
fn step(number: u64) -> u64 {
    // Some work, so that a request is one.
    (0..200).fold(number, |sum, value| black_box(sum.wrapping_mul(31) ^ value))
}

#[traced(tags(number))]
fn request(number: u64) -> u64 {
    (0..9).fold(number, |sum, part| sum ^ step(part))
}

fn measure(backend: Backend, url: &str, seconds: u64) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let builder = Tracer::builder("latency").collector(url).summary(false).shutdown_deadline(Duration::ZERO).on_notice(|_| ());
    let _tracing = match backend {
        Backend::None => None,
        Backend::DeadSpool => Some(builder.spool(folder.path()).install()?),
        _ => Some(builder.install()?),
    };
    let pause = Duration::from_secs(1) / RATE;
    let mut times = Vec::new();
    let (start, mut next) = (Instant::now(), Instant::now());
    // The first second is for the outage to begin, and the caches.
    let warm = start + Duration::from_secs(1);
    while start.elapsed() < Duration::from_secs(seconds + 1) {
        let before = Instant::now();
        black_box(request(black_box(1)));
        if before > warm {
            times.push(u64::try_from(before.elapsed().as_nanos())?);
        }
        next += pause;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{} {} {} {}", at(0.5), at(0.99), at(0.999), at(1.0));
    Ok(())
}

/// A server that takes every request and answers it, or does not; returns its URL.
fn collector(answers: bool) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, answers));
        }
    });
    Ok(url)
}

fn serve(stream: TcpStream, answers: bool) -> std::io::Result<()> {
    if !answers {
        // Until the client goes.
        return BufReader::new(stream).read_to_end(&mut Vec::new()).map(drop);
    }
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
            if line == "\r\n" {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        reader.get_mut().write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
    }
}
