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

#[traced]
#[track_caller]
fn tracked(early: bool) -> std::pin::Pin<Box<dyn Future<Output = u8>>> {
    if early {
        return Box::pin(async { return 1 });
    }
    Box::pin(async { return 2 })
}

#[traced]
enum Enum {}

#[traced]
macro_rules! rules {
    () => {};
}

fn main() {
    let _ = (constant(), NUMBER);
    Struct.method();
    Struct.other();
    drop(tracked(true));
    rules!();
    let _: Option<Enum> = None;
}
