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
async fn moved_twice(text: String) -> (String, String) {
    (text, text)
}

#[traced]
fn not_mutable(text: String) -> Result<String, String> {
    text.push('x');
    Ok(text)
}

#[traced]
fn unused(argument: u32) -> Result<(), String> {
    Ok(())
}

#[traced]
async fn unused_async(argument: u32, mut other: u32) {}

#[traced]
async fn borrowed_too_long(text: String) -> &'static str {
    &text
}

#[traced]
async fn returns_early() -> Result<(), String> {
    return Err(1);
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
