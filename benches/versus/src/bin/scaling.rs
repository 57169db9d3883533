//! How the cost of a span changes with threads, spans in a trace, concurrent tasks and depth: `cargo run --release --bin
//! scaling` measures and draws one plot of each into `docs/images`.
//!
//! Each point is a process of its own (`scaling <dimension> <size>` prints its line), so that no log has the size of an
//! earlier point. Cost is processor time of the threads that make spans; memory is the most that the process had.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, exit};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use traced_runtime::{ReportError, Reporter, SpanRecord, Tracer, traced};
use versus::executor::yield_once;
use versus::machine;
use versus::measure::{median, thread_cpu};

/// Spans of a point; the smallest traces need many to be measured at all.
const SPANS: u32 = 400_000;

/// Spans between two flushes, so that nothing is dropped.
const BURST: u32 = 20_000;

/// Processes per point.
const ROUNDS: usize = 3;

struct Dimension {
    name: &'static str,
    title: &'static str,
    sizes: &'static [u32],
}

const DIMENSIONS: &[Dimension] = &[
    Dimension { name: "threads", title: "threads", sizes: &[1, 2, 4, 16, 64] },
    Dimension { name: "trace", title: "spans in a trace", sizes: &[1, 10, 100, 1_000, 10_000, 100_000] },
    Dimension { name: "tasks", title: "concurrent tasks", sizes: &[1, 10, 100, 1_000, 10_000] },
    Dimension { name: "depth", title: "spans inside each other", sizes: &[1, 10, 100, 1_000] },
];

struct Point {
    size: u32,
    nanos: f64,
    peak_mib: f64,
}

struct Takes;

impl Reporter for Takes {
    fn report(&mut self, batch: &[SpanRecord]) -> Result<(), ReportError> {
        black_box(batch);
        Ok(())
    }
}

#[inline(never)]
#[traced]
fn child(n: u32) -> u32 {
    black_box(n)
}

#[inline(never)]
#[traced]
fn root(children: u32) {
    for n in 0..children {
        child(n);
    }
}

#[inline(never)]
#[traced]
fn nested(depth: u32) -> u32 {
    if depth > 1 { nested(black_box(depth - 1)) + 1 } else { black_box(depth) }
}

#[traced]
async fn task(n: u32) -> u32 {
    yield_once().await;
    black_box(n)
}

/// So many tasks, each polled in turn until all are done.
#[traced]
fn tasks(count: u32) {
    let mut context = Context::from_waker(Waker::noop());
    let mut tasks: Vec<Option<Pin<Box<dyn Future<Output = u32>>>>> =
        (0..count).map(|n| Some(Box::pin(task(n)) as Pin<Box<dyn Future<Output = u32>>>)).collect();
    while tasks.iter().any(Option::is_some) {
        for task in &mut tasks {
            if task.as_mut().is_some_and(|task| matches!(task.as_mut().poll(&mut context), Poll::Ready(_))) {
                *task = None;
            }
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => drive(),
        [dimension, size] => match (DIMENSIONS.iter().find(|known| known.name == dimension), size.parse()) {
            (Some(dimension), Ok(size)) => measure(dimension, size),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ! {
    eprintln!("usage: scaling");
    exit(2);
}

/// Prints nanoseconds per span and the most memory in KiB.
fn measure(dimension: &Dimension, size: u32) {
    let installed = Tracer::builder("bench").reporter(Takes).queue_bytes(1 << 30).summary(false).install();
    let installed = installed.expect("the settings are in order");
    let (threads, per_trace): (u32, u32) = match dimension.name {
        "threads" => (size, 101),
        "tasks" => (1, size + 1),
        _ => (1, size),
    };
    let trace: fn(u32) = match dimension.name {
        "tasks" => |spans| tasks(spans - 1),
        "depth" => |spans| _ = nested(spans),
        _ => |spans| root(spans - 1),
    };
    let traces = (SPANS / threads / per_trace).max(1);
    let at_once = (BURST / threads / per_trace).max(1);
    let tracer: Tracer = installed.clone();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let tracer = tracer.clone();
            std::thread::spawn(move || {
                let mut spent = Duration::ZERO;
                let mut made = 0;
                while made < traces {
                    let before = thread_cpu();
                    for _ in 0..at_once {
                        trace(per_trace);
                    }
                    spent += thread_cpu() - before;
                    made += at_once;
                    tracer.flush(Duration::from_secs(10));
                }
                (spent, u64::from(made) * u64::from(per_trace))
            })
        })
        .collect();
    let (mut spent, mut spans) = (Duration::ZERO, 0);
    for worker in workers {
        let (more, made) = worker.join().expect("no panic");
        spent += more;
        spans += made;
    }
    let tally = installed.shutdown(Duration::from_secs(10));
    assert!(tally.is_conserved(), "{tally}");
    eprintln!("{} {size}: {} of {spans} spans arrived", dimension.name, tally.sent());
    println!("{:.2} {}", spent.as_nanos() as f64 / spans as f64, machine::peak_kib());
}

fn drive() {
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
    std::fs::create_dir_all(&images).expect("docs/images can be made");
    println!("{}: {}.", machine::today(), machine::describe());
    for dimension in DIMENSIONS {
        let points: Vec<Point> = dimension.sizes.iter().map(|&size| point(dimension, size)).collect();
        println!("\n| {} | ns per span | peak memory, MiB |\n|--:|--:|--:|", dimension.title);
        for Point { size, nanos, peak_mib } in &points {
            println!("| {size} | {nanos:.1} | {peak_mib:.1} |");
        }
        let file = images.join(format!("scaling-{}.svg", dimension.name));
        std::fs::write(&file, plot(dimension, &points)).expect("a plot can be written");
    }
}

fn point(dimension: &Dimension, size: u32) -> Point {
    let this = std::env::current_exe().expect("the program's own path");
    let (mut nanos, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let output = Command::new(&this).args([dimension.name, &size.to_string()]).output().expect("it runs");
        let line = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [nano, peak] = numbers[..] else {
            eprintln!("{} {size} failed: {output:?}", dimension.name);
            exit(1);
        };
        nanos.push(nano);
        peaks.push(peak / 1024.0);
    }
    Point { size, nanos: median(&mut nanos), peak_mib: median(&mut peaks) }
}

/// Cost and memory over the logarithm of the size, each from zero up.
fn plot(dimension: &Dimension, points: &[Point]) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 300.0;
    const LEFT: f64 = 60.0;
    const TOP: f64 = 30.0;
    const BOTTOM: f64 = 50.0;
    let last = points.last().map_or(1.0, |point| f64::from(point.size).log10()).max(1.0);
    let x = |size: u32| LEFT + (WIDTH - 2.0 * LEFT) * f64::from(size).log10() / last;
    let top = |of: fn(&Point) -> f64| (points.iter().map(of).fold(0.0, f64::max) * 1.2 / 10.0).ceil() * 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    let (floor, right) = (HEIGHT - BOTTOM, WIDTH - LEFT);
    let series: [(&str, &str, fn(&Point) -> f64); 2] =
        [("#0b61a4", "ns per span", |point| point.nanos), ("#a4470b", "peak memory, MiB", |point| point.peak_mib)];
    for (side, (colour, title, of)) in series.into_iter().enumerate() {
        let top = top(of);
        let y = |value: f64| floor - (floor - TOP) * value / top;
        let (at, anchor, label) = if side == 0 { (LEFT, "end", LEFT - 6.0) } else { (right, "start", right + 6.0) };
        let _ = writeln!(svg, "<line x1=\"{at}\" y1=\"{TOP}\" x2=\"{at}\" y2=\"{floor}\" stroke=\"{colour}\"/>");
        for step in 0..=4 {
            let value = top * f64::from(step) / 4.0;
            let _ = writeln!(
                svg,
                "<text x=\"{label}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{value}</text>",
                y(value) + 4.0
            );
        }
        let title_anchor = if side == 0 { "start" } else { "end" };
        let title_at = if side == 0 { 8.0 } else { WIDTH - 8.0 };
        let _ = writeln!(
            svg,
            "<text x=\"{title_at}\" y=\"18\" text-anchor=\"{title_anchor}\" fill=\"{colour}\">{title}</text>"
        );
        let line: Vec<String> =
            points.iter().map(|point| format!("{:.1},{:.1}", x(point.size), y(of(point)))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        for point in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                x(point.size),
                y(of(point))
            );
        }
    }
    let _ = writeln!(svg, "<line x1=\"{LEFT}\" y1=\"{floor}\" x2=\"{right}\" y2=\"{floor}\" stroke=\"#444\"/>");
    for point in points {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(point.size),
            floor + 18.0,
            point.size
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n</svg>",
        WIDTH / 2.0,
        floor + 38.0,
        dimension.title
    );
    svg
}
