// Wrong code under a right attribute: the compiler's errors are compared with those without the attribute.
use traced_runtime::traced;

#[traced]
fn wrong_type() -> u32 {
    "text"
}

#[traced]
fn wrong_result() -> Result<u32, String> {
    "text"
}

#[traced]
async fn wrong_async() -> u32 {
    "text"
}

#[traced]
async fn wrong_return(early: bool) -> u32 {
    if early {
        return "text";
    }
    1
}

#[traced]
async fn missing_tail() -> u32 {
    1;
}

#[traced]
fn missing_tail_result() -> Result<u32, String> {
    Ok(1);
}

#[traced]
async fn missing_await() -> u32 {
    right()
}

async fn right() -> u32 {
    1
}

#[traced]
async fn question_mark() {
    "1".parse::<u32>()?;
}

#[traced]
fn question_mark_sync() {
    "1".parse::<u32>()?;
}

#[traced]
async fn unknown_name() -> Result<u32, String> {
    Ok(missing)
}

#[traced]
fn unused(argument: u32) -> Result<(), String> {
    Ok(())
}

#[traced]
async fn unused_async(argument: u32, mut other: u32) {}

#[traced]
async fn returns_early() -> Result<(), String> {
    return Err(1);
}

#[traced]
async fn not_send() -> u8 {
    let shared = std::rc::Rc::new(1);
    right().await;
    *shared
}

fn needs_send(_: impl Send) {}

fn sends() {
    needs_send(not_send());
}

#[traced]
async fn wrong_branches(early: bool) -> Result<u32, String> {
    if early { Ok(1) } else { Err(2) }
}

#[traced]
async fn wrong_argument(number: u32) -> u32 {
    wrong_argument("1").await
}

#[traced]
fn no_such_method(number: u32) -> Result<u32, String> {
    number.missing()
}

#[traced]
fn lifetimes(first: &str, second: &str) -> Result<&str, String> {
    Ok(first)
}

#[traced]
async fn wrong_generic<T>(value: T) -> String {
    value.to_string()
}

#[traced]
fn missing_match_arm(value: Option<u8>) -> Result<u8, String> {
    match value {
        Some(value) => Ok(value),
    }
}

#[traced]
fn wrong_error(text: &str) -> Result<u32, String> {
    Ok(text.parse::<u32>()?)
}

#[traced]
async fn break_outside() -> u8 {
    break;
}

#[traced]
fn no_value() -> Result<u32, String> {
    if true {
        Ok(1)
    }
}

#[traced]
async fn no_value_async() -> u32 {}

#[traced]
fn await_outside() -> Result<u32, String> {
    right().await
}

#[traced]
fn unknown_type(argument: Missing) -> Result<u32, String> {
    Ok(1)
}

fn main() {}

#[traced]
fn wrong_future_value(text: &str) -> impl Future<Output = u32> {
    async move { text.len() }
}

#[traced]
fn wrong_future_error(text: &str) -> impl Future<Output = Result<u32, String>> {
    async move {
        text.parse::<u32>()
    }
}

#[traced]
fn wrong_future_question_mark(text: &str) -> impl Future<Output = Result<u32, String>> {
    async move {
        let number = text.parse::<u32>()?;
        Ok(number)
    }
}

#[traced]
fn no_future() -> impl Future<Output = u32> {
    7
}
