use std::convert::Infallible;
use std::error::Error;
use std::fmt::{self, Debug, Display};

use traced_runtime::traced;

#[traced]
pub async fn plain(number: u32, text: &str) -> usize {
    text.len() + number as usize
}

#[traced]
pub async fn nothing() {}

#[traced]
pub async fn patterns(mut bytes: Vec<u8>, (text, _): (&str, String), _: String, _unused: u8) -> usize {
    bytes.push(2);
    text.len() + bytes.len()
}

#[traced]
pub async fn reference_patterns(&number: &u8, ref text: String, pair @ (_, _): (u8, u8)) -> usize {
    text.len() + usize::from(number + pair.0)
}

#[traced]
pub async fn lifetimes<'a>(kept: &'a str, text: &str, out: &mut usize) -> &'a str {
    *out = text.len();
    kept
}

#[traced]
pub async fn coerced(number: u8) -> Result<Box<dyn Debug + Send>, Box<dyn Error + Send + Sync>> {
    if number == 0 {
        return Err("zero".into());
    }
    if number == 1 {
        return Ok(Box::new(1));
    }
    let parsed: u32 = "x".parse()?;
    Ok(Box::new(parsed))
}

#[traced(ret)]
pub async fn opaque(number: u8) -> impl Debug + Clone {
    if number == 2 {
        return 3_u8;
    }
    number
}

#[traced]
pub async fn opaque_inside(number: u8) -> Result<impl Iterator<Item = (u8, u8)>, fmt::Error> {
    Ok(std::iter::once((number, number)))
}

#[traced]
pub async fn generic<T: Display, const N: usize>(values: [T; N], convert: impl Fn(&T) -> String) -> String {
    values.iter().map(convert).collect()
}

#[traced]
pub async fn higher_ranked<F>(convert: F) -> usize
where
    F: for<'a> Fn(&'a str) -> &'a str,
{
    convert("text").len()
}

#[traced]
pub async fn trait_objects(convert: &dyn Fn(&str) -> u8, values: &mut (dyn Iterator<Item = u8> + Send)) -> u8 {
    convert("") + values.next().unwrap_or(0)
}

#[traced]
pub async fn never() -> ! {
    loop {
        tokio::task::yield_now().await;
    }
}

#[traced(name = "with options", tags(one = 1_u8))]
pub async fn never_with_options(bytes: Vec<u8>) -> ! {
    drop(bytes);
    never().await
}

#[traced]
pub async fn never_fine() -> Result<Infallible, u8> {
    never().await
}

#[traced]
#[must_use]
pub async fn must_use(number: u8) -> u8 {
    number
}

#[traced]
pub async unsafe fn dereference(pointer: *const u8) -> u8 {
    unsafe { *pointer }
}

#[traced]
pub async fn recursive(depth: u8) -> u8 {
    if depth == 0 { 0 } else { Box::pin(recursive(depth - 1)).await }
}

#[traced]
pub async fn not_send(number: std::rc::Rc<u8>) -> u8 {
    tokio::task::yield_now().await;
    *number
}

#[traced]
pub async fn blocks_inside(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let check = async |byte: u8| -> Result<u8, String> {
        if byte == 0 {
            return Err("zero".into());
        }
        Ok(byte)
    };
    let mut checked = Vec::new();
    for byte in bytes {
        checked.push(check(byte).await?);
    }
    let Some(_) = checked.first() else { return Err("none".into()) };
    Ok(checked)
}

/// Futures are `Send` when they would be without the attribute.
pub fn assert_send() -> impl Send {
    (plain(1, ""), coerced(1), must_use(1), recursive(1), never())
}
