//! What a table has to say about where it was made.

use std::fs;
use std::process::Command;

/// Processor, cores, kernel's clock, compiler, and what else keeps the machine busy, in one line.
pub fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| "unknown processor".to_owned());
    let family = field("cpu family").map(|family| format!(", family {family}")).unwrap_or_default();
    let virtualized = if cpuinfo.contains(" hypervisor") { ", virtual" } else { "" };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let clock = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let clock = clock.as_deref().map_or("unknown", str::trim);
    let kernel = output("uname", &["-sr"]);
    let compiler = output("rustc", &["--version"]);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    format!(
        "{model}{family}{virtualized}, {cores} cores, {kernel}, clock source {clock}, {compiler}, load average {load}"
    )
}

/// The day, in UTC.
pub fn today() -> String {
    output("date", &["-u", "+%Y-%m-%d"])
}

/// The most memory that this process had, in KiB.
pub fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn output(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(_) => format!("unknown {program}"),
    }
}

/// The version of a crate that this was built with.
pub fn version_of(name: &str) -> Option<&'static str> {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let package = LOCK.split("[[package]]").find(|package| package.contains(&format!("\nname = \"{name}\"\n")))?;
    package.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}
