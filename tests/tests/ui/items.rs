use traced_runtime::traced;

#[traced]
const fn constant() -> u8 {
    1
}

#[traced]
pub struct Struct;

#[traced]
const NUMBER: u8 = 1;

#[traced]
use std::fmt::Debug;

trait Trait {
    #[traced]
    fn without_body(&self) -> impl Debug;
}

#[traced(name = "same")]
impl Struct {
    #[traced(skip)]
    fn method(&self) {}
}

#[traced]
impl Struct {
    #[traced(nope)]
    fn other(&self) {}
}

fn main() {
    let _ = (constant(), NUMBER);
    Struct.method();
    Struct.other();
}
