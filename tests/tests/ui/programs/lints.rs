// Code that strict lints speak about, in annotated functions.
use std::future::Future;
use std::pin::Pin;

use traced_runtime::traced;

#[traced]
pub async fn yields_future() -> impl Future<Output = u8> {
    async { 1 }
}

#[traced]
pub async fn unit() {
    println!("text");
}

#[traced]
pub async fn unit_without_semicolon() {
    println!("text")
}

#[traced]
pub fn unit_sync() {
    println!("text")
}

#[traced]
pub async fn needless_return(number: u8) -> Result<u8, String> {
    return Ok(number);
}

#[traced]
pub fn needless_return_sync(number: u8) -> Result<u8, String> {
    return Ok(number);
}

#[traced]
pub fn needless_question_mark(number: Result<u8, String>) -> Result<u8, String> {
    Ok(number?)
}

#[traced]
pub async fn let_and_return(number: u8) -> u8 {
    let result = number + 1;
    result
}

#[traced]
pub fn let_and_return_sync(number: u8) -> Result<u8, String> {
    let result = Ok(number);
    result
}

#[traced]
pub fn by_value(text: String) -> Result<usize, String> {
    Ok(text.len())
}

#[traced]
pub async fn by_value_async(text: String, vec: &Vec<u8>) -> usize {
    text.len() + vec.len()
}

#[traced]
pub fn not_mutated(text: &mut String) -> Result<usize, String> {
    Ok(text.len())
}

#[traced]
pub async fn not_mutated_async(text: &mut String) -> usize {
    text.len()
}

struct Assigned {
    field: u8,
}

#[traced]
async fn assigned(mut assigned: Assigned) {
    assigned.field = 1;
}

#[traced]
fn assigned_sync(mut assigned: Assigned) -> Result<(), String> {
    assigned.field = 1;
    Ok(())
}

#[traced]
pub async fn shadows(number: u8, other: Option<u8>) -> u8 {
    let number = number + 1;
    let other = other.unwrap();
    number + other
}

#[traced]
pub fn shadows_sync(number: u8, other: Option<u8>) -> Result<u8, String> {
    let number = number + 1;
    if let Some(other) = other {
        return Ok(other);
    }
    Ok(number)
}

#[traced]
pub async fn underscore(_number: u8) -> u8 {
    _number
}

#[traced]
pub fn underscore_sync(_number: u8) -> Result<u8, String> {
    Ok(_number)
}

#[traced]
pub fn always_ok(number: u8) -> Result<u8, String> {
    Ok(number)
}

#[traced]
pub async fn always_ok_async(number: u8) -> Result<u8, String> {
    Ok(number)
}

#[traced]
pub fn always_some() -> Option<u8> {
    Some(1)
}

#[traced]
pub async fn large(bytes: [u8; 20_000]) -> u8 {
    tokio::task::yield_now().await;
    bytes[0]
}

#[traced]
pub async fn held(lock: &std::sync::Mutex<u8>, cell: &std::cell::RefCell<u8>) -> u8 {
    let guard = lock.lock().unwrap();
    let borrowed = cell.borrow();
    tokio::task::yield_now().await;
    *guard + *borrowed
}

#[traced]
pub async fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, flag: bool) -> u8 {
    if flag { a + b + c + d } else { e + f + g }
}

#[traced]
pub fn panics(number: Option<u8>) -> Result<u8, String> {
    if number.is_none() {
        panic!("text");
    }
    Ok(number.unwrap())
}

#[traced]
pub async fn complex(number: u8) -> Result<u8, String> {
    if number == 1 { if number == 2 { if number == 3 { return Ok(4); } else { return Ok(5); } } }
    match number { 0 => Ok(1), 1 => Ok(2), 2 => Ok(3), 3 => Ok(4), 4 => Ok(5), _ => Err(String::new()) }
}

#[traced]
pub fn unsafety(bytes: &[u8]) -> Result<u8, String> {
    let result = unsafe { *bytes.get_unchecked(0) };
    Ok(result as i8 as u8)
}

#[traced(tags(number, text = text.len()))]
pub fn tagged(number: u8, text: String) -> Result<u8, String> {
    Ok(number)
}

#[traced(tags(number, ?text), ret, err(Debug))]
pub async fn tagged_async(number: u8, text: String) -> Result<u8, String> {
    Ok(number)
}

#[traced(name = "named", kind = client, remote = "there", require_parent)]
fn private(number: u8) -> u8 {
    number
}

#[traced]
pub fn boxed(text: String) -> Pin<Box<dyn Future<Output = Result<usize, String>> + Send>> {
    Box::pin(async move { return Ok(text.len()) })
}

#[traced]
pub fn opaque(text: String, unused: u8) -> impl Future<Output = usize> {
    async move { text.len() }
}

#[traced]
pub fn endless() -> ! {
    loop {}
}

#[traced]
pub async fn endless_async() -> ! {
    loop {
        tokio::task::yield_now().await;
    }
}

#[traced]
pub async fn empty() {}

#[traced]
pub fn empty_sync() {}

#[traced]
pub async fn useless_match(text: &str) -> bool {
    match text {
        "a" => true,
        _ => false,
    }
}

#[traced]
pub async fn redundant_clone(text: String) -> String {
    text.clone()
}

#[traced]
pub fn redundant_clone_sync(text: String) -> Result<String, String> {
    Ok(text.clone())
}

#[traced]
pub async fn only_recursion(depth: u8, same: u8) -> u8 {
    if depth == 0 { 0 } else { Box::pin(only_recursion(depth - 1, same)).await }
}

pub struct Type {
    field: u8,
}

impl Type {
    #[traced]
    pub fn new(field: u8) -> Result<Self, String> {
        Ok(Type { field })
    }

    #[traced]
    pub fn unused_self(&self) -> Result<u8, String> {
        Ok(1)
    }

    #[traced]
    pub async fn unused_self_async(&self) -> u8 {
        1
    }

    #[traced]
    pub fn to_value(self) -> Result<u8, String> {
        Ok(self.field)
    }

    #[traced]
    pub async fn into_value(&self) -> u8 {
        self.field
    }

    #[traced]
    pub fn getter(&self) -> u8 {
        self.field
    }
}
