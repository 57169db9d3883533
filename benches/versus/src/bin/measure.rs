//! Measures the time that one scenario takes one contestant. See `versus::measure`.

fn main() {
    versus::measure::main(|| 0);
}
