//! Counts instructions per span: `cargo run --release --bin instructions -- [contestant…]`, one line for each scenario. Needs
//! valgrind. Without names: the floors and traced.

use versus::contestants;
use versus::instructions::per_span;
use versus::programs;
use versus::scenario::Scenario;

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        names = ["F1", "F4", "traced"].map(str::to_owned).to_vec();
    }
    let folder = programs::build(&["measure"]);
    for name in &names {
        let Some(entry) = contestants::named(name) else {
            eprintln!("no contestant is called {name}");
            std::process::exit(2);
        };
        for scenario in Scenario::ALL {
            if let Some(count) = per_span(&folder.join("measure"), entry, scenario) {
                println!("{name} {} {count:.1}", scenario.name());
            }
        }
    }
}
