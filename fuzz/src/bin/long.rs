//! Runs one target with inputs made at random, for a time or a number of inputs.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use traced_fuzz::mutate::{Random, mutate};
use traced_fuzz::{TARGETS, Target};

const USAGE: &str = "usage: long --target headers|json|spool (--seconds N | --inputs N | --file PATH) [--seed N]";

/// Inputs that found their way into the pool of those that others are made of.
const POOL: usize = 1 << 10;

struct Options {
    target: &'static Target,
    seconds: Option<u64>,
    inputs: u64,
    file: Option<String>,
    seed: u64,
}

fn options() -> Result<Options, String> {
    let mut options = (None, None, None, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--target" => {
                let target = TARGETS.iter().find(|target| target.name == value);
                options.0 = Some(target.ok_or(format!("no target {value}"))?);
            }
            "--seconds" => options.1 = Some(number()?),
            "--inputs" => options.2 = Some(number()?),
            "--file" => options.3 = Some(value),
            "--seed" => options.4 = Some(number()?),
            _ => return Err(format!("no option {name}")),
        }
    }
    let (Some(target), seconds, inputs, file, seed) = options else { return Err("no target".to_owned()) };
    if seconds.is_none() && inputs.is_none() && file.is_none() {
        return Err("no end: give seconds or inputs".to_owned());
    }
    Ok(Options { target, seconds, inputs: inputs.unwrap_or(u64::MAX), file, seed: seed.unwrap_or(1) })
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let target = options.target;
    if let Some(path) = options.file {
        let input = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        (target.run)(&input);
        println!("{path}: nothing is wrong with it");
        return ExitCode::SUCCESS;
    }
    let seeds = (target.seeds)();
    let mut pool = seeds.clone();
    let mut random = Random(options.seed);
    let start = Instant::now();
    let end = options.seconds.map(|seconds| start + Duration::from_secs(seconds));
    let mut runs = 0;
    while runs < options.inputs && (runs % 64 != 0 || end.is_none_or(|end| Instant::now() < end)) {
        let mut input = pool[random.below(pool.len())].clone();
        if runs >= seeds.len() as u64 {
            mutate(&mut input, &mut random, &seeds, target.words);
        }
        runs += 1;
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
            let mut hash = DefaultHasher::new();
            input.hash(&mut hash);
            let path = format!("crashes/{}-{:016x}", target.name, hash.finish());
            std::fs::create_dir_all("crashes").and_then(|()| std::fs::write(&path, &input)).expect("cannot keep the input");
            eprintln!("input {runs} of seed {} fails; it is in {path}:\n{:?}", options.seed, String::from_utf8_lossy(&input));
            return ExitCode::FAILURE;
        }
        // Changes of changes go further; now and then one takes the place of another.
        if random.below(16) == 0 {
            if pool.len() < POOL {
                pool.push(input);
            } else {
                let at = seeds.len() + random.below(pool.len() - seeds.len());
                pool[at] = input;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{}: {runs} inputs in {seconds:.1} s from seed {}, nothing failed", target.name, options.seed);
    ExitCode::SUCCESS
}
