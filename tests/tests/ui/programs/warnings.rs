// Code with warnings under a right attribute: they are compared with those without the attribute.
#![warn(unused, clippy::all)]
use traced_runtime::traced;

#[traced]
fn argument(argument: u32) -> Result<(), String> {
    Ok(())
}

#[traced]
async fn argument_async(argument: u32, mut other: u32) {
    drop(other);
}

#[traced]
async fn pattern((left, mut right): (u32, u32), _: u32) -> u32 {
    right
}

#[traced]
fn mutable(mut text: String) -> Result<String, String> {
    Ok(text)
}

#[traced]
async fn assigned(mut text: String) {
    text = String::new();
}

#[traced]
fn unreachable() -> Result<(), String> {
    return Ok(());
    drop(1);
}

#[traced]
async fn unreachable_async() -> u32 {
    panic!();
    1
}

#[traced]
async fn must_use() {
    "1".parse::<u32>();
}

#[traced]
async fn braces(x: u32) -> u32 {
    let y = { x };
    (y)
}

#[traced]
async fn dead() {}

#[traced]
#[must_use]
async fn awaited() -> u32 {
    1
}

#[traced]
#[deprecated]
async fn old() {}

struct Kept;

impl Kept {
    #[traced]
    async fn method(self, other: u32) {}

    #[traced]
    async fn never_called(&self) {}
}

fn main() {
    argument(1);
    argument_async(1, 2);
    pattern((1, 2), 3);
    mutable(String::new());
    assigned(String::new());
    unreachable();
    unreachable_async();
    must_use();
    braces(1);
    old();
    Kept.method(1);
    let _ = async { awaited().await; };
}
