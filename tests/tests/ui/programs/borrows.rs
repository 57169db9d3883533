// Code under a right attribute that borrows wrongly: compared as `errors`, which the compiler would stop at.
use traced_runtime::traced;

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
async fn borrowed_too_long(text: String) -> &'static str {
    &text
}

#[traced]
fn borrowed_twice(text: &mut String) -> Result<usize, String> {
    let first = &mut *text;
    let second = &mut *text;
    first.push('x');
    Ok(second.len())
}

#[traced]
fn moved_in_loop(text: String) -> Result<u32, String> {
    loop {
        drop(text);
    }
}

#[traced]
fn returns_local() -> Result<&'static str, String> {
    let text = String::new();
    Ok(&text)
}

#[traced]
async fn uninitialised() -> u8 {
    let number: u8;
    number
}

#[traced]
async fn moved_twice_with_pattern((text, _): (String, u8), other: &mut u8) -> (String, String) {
    *other = 1;
    (text, text)
}

#[traced]
fn not_mutable_pattern((text, _): (String, u8)) -> Result<String, String> {
    text.push('x');
    Ok(text)
}

#[traced]
async fn not_mutable_async(text: String) -> String {
    text.push('x');
    text
}

#[traced]
async fn borrowed_while_moved(text: String) -> usize {
    let kept = &text;
    drop(text);
    kept.len()
}

#[traced]
fn kept_by_thread(text: &str) -> Result<(), String> {
    std::thread::spawn(move || println!("{text}"));
    Ok(())
}

struct Own(String);

impl Own {
    #[traced]
    fn moved_out(&self) -> Result<String, String> {
        Ok(self.0)
    }

    #[traced]
    async fn moved_out_async(&self) -> String {
        self.0
    }

    #[traced]
    async fn not_mutable(&self) {
        self.0.push('x');
    }
}

fn main() {}
