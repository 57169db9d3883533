use traced_runtime::traced;

#[traced(nmae = "x")]
fn unknown() {}

#[traced(kind = "client")]
fn quoted_kind() {}

#[traced(kind = internal)]
fn no_such_kind() {}

#[traced("load")]
fn bare_string() {}

#[traced(skip_all)]
fn skip_all() {}

#[traced(skip(password))]
fn skip_some(password: &str) {
    drop(password);
}

#[traced(fields(id = 1))]
fn fields() {}

#[traced(level = "debug")]
fn level() {}

#[traced(tags(user.id = 1))]
fn dotted() {}

#[traced(tags(id = 1, id = 2))]
fn repeated_tag() {}

#[traced(name = "a", name = "b")]
fn repeated() {}

#[traced(name("a"))]
fn parentheses() {}

#[traced(root, require_parent)]
fn contradiction() {}

#[traced(err(Display))]
fn error_form() -> Result<(), String> {
    Ok(())
}

#[traced(root = true)]
fn flag() {}

#[traced(skip)]
fn skipped_alone() {}

#[traced(kind = client root)]
fn comma() {}

fn main() {
    // Each function is still there: nothing else is reported.
    unknown();
    quoted_kind();
    no_such_kind();
    bare_string();
    skip_all();
    skip_some("");
    fields();
    level();
    dotted();
    repeated_tag();
    repeated();
    parentheses();
    contradiction();
    let _ = error_form();
    flag();
    skipped_alone();
    comma();
}
