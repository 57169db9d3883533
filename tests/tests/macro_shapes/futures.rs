use std::future::Future;
use std::pin::Pin;

use futures::future::{BoxFuture, FutureExt, LocalBoxFuture};
use traced_runtime::traced;

#[traced]
pub fn opaque(number: u8) -> impl Future<Output = u8> + Send {
    let copy = number;
    async move { copy }
}

#[traced(tags(number, length = text.len()))]
pub fn with_lifetime<'a>(number: u8, text: &'a str) -> impl Future<Output = Result<usize, u8>> + Send + 'a {
    async move { if number == 0 { Err(number) } else { Ok(text.len()) } }
}

#[traced]
pub fn precise<'a, T>(text: &'a str, _value: &T) -> impl Future<Output = usize> + use<'a, T> {
    async move { text.len() }
}

/// The signature alone says what the error is: one that `Display`s and is no `Error`.
#[traced]
pub fn error_of_signature(text: &str) -> impl Future<Output = Result<[u8; 2], String>> + use<'_> {
    async move { Ok([opaque_result(text).await?, opaque_result("2").await?]) }
}

#[traced(tags(number))]
pub fn opaque_result(number: &str) -> impl Future<Output = Result<u8, &'static str>> + use<'_> {
    async move {
        let number = number.parse::<u8>().map_err(|_| "no number")?;
        Ok(number)
    }
}

#[traced]
pub fn opaque_inside(number: u8) -> impl Future<Output = Result<impl Iterator<Item = u8>, String>> {
    async move {
        if number == 0 {
            Err("zero")?;
        }
        Ok(0..number)
    }
}

/// More than a future: the span is that of the call.
#[traced]
pub fn more_than_a_future(number: u8) -> impl Future<Output = u8> + Clone + Send {
    std::future::ready(number)
}

#[traced]
pub fn unpinned(number: u8) -> impl Future<Output = u8> + Unpin + Send + 'static {
    std::future::ready(number)
}

#[traced]
pub fn boxed(text: String) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    if text.is_empty() {
        return Box::pin(std::future::ready(0));
    }
    let before = text.len();
    Box::pin(async move { before + text.len() })
}

#[traced(tags(text))]
pub fn box_future(text: &str) -> BoxFuture<'_, Result<usize, String>> {
    async move { if text.is_empty() { Err(text.to_owned()) } else { Ok(text.len()) } }.boxed()
}

#[traced]
pub fn local_box_future(text: &str) -> LocalBoxFuture<'_, usize> {
    async move { text.len() }.boxed_local()
}

#[traced]
pub fn recursive(depth: u8) -> Pin<Box<dyn Future<Output = u8> + Send>> {
    Box::pin(async move { if depth == 0 { 0 } else { recursive(depth - 1).await } })
}

#[traced]
pub fn stream(number: u8) -> impl futures::Stream<Item = u8> {
    futures::stream::iter([number])
}

pub fn assert_send() -> impl Send {
    (opaque(1), with_lifetime(1, ""), boxed(String::new()), box_future(""), recursive(1))
}
