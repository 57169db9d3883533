//! Only here because Cargo asks for it with `links`, which keeps two versions out of one program (see `RATIONALE.md`).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
