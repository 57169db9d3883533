use traced_runtime::traced;

#[derive(Clone)]
struct Opaque;

#[traced(tags(opaque))]
fn no_value(opaque: Opaque) {
    drop(opaque);
}

#[traced(tags(key = %opaque))]
async fn no_display(opaque: Opaque) {
    drop(opaque);
}

#[traced(ret)]
fn no_debug() -> Opaque {
    Opaque
}

#[traced(err(Debug))]
fn no_result() -> u32 {
    1
}

#[traced(parent = 1)]
fn no_parent() {}

fn main() {
    drop(no_display(Opaque));
    no_value(Opaque);
    drop(no_debug());
    no_result();
    no_parent();
}
