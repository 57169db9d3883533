//! Attributes beside ours, on the function, its arguments and its body.

use traced_runtime::traced;

#[traced]
pub fn inner(number: Option<u8>) -> Result<u8, u8> {
    #![allow(unused_variables, reason = "on purpose")]
    let unused = 1;
    number.ok_or(3)
}

#[traced]
pub async fn inner_async(number: u8) -> u8 {
    #![allow(unused_variables, reason = "on purpose")]
    let unused = 1;
    number
}

#[traced]
pub fn arguments(
    #[cfg(not(test))] number: u8,
    #[cfg(test)] number: u16,
    #[allow(unused_variables, reason = "on purpose")] unused: u8,
    #[expect(unused_variables, reason = "on purpose")] expected: u8,
) -> Result<u16, String> {
    Ok(number)
}

#[traced]
pub async fn arguments_async(
    #[cfg(not(test))] number: u8,
    #[cfg(test)] number: u16,
    #[allow(unused_variables, reason = "on purpose")] unused: u8,
    #[expect(unused_variables, reason = "on purpose")] expected: u8,
) -> u16 {
    number
}

#[test]
#[traced]
fn test_above() -> Result<(), String> {
    Ok(())
}

#[traced]
#[test]
fn test_below() {}

#[tokio::test]
#[traced]
async fn tokio_above() {}

#[traced]
#[tokio::test]
async fn tokio_below() -> Result<(), String> {
    tokio::task::yield_now().await;
    Ok(())
}

#[test]
fn main_functions_run() {
    assert_eq!(main_above(), Ok(1));
    assert_eq!(main_below(2), Ok(2));
}

#[tokio::main(flavor = "current_thread")]
#[traced]
async fn main_above() -> Result<u8, String> {
    tokio::task::yield_now().await;
    Ok(1)
}

#[traced]
#[tokio::main(flavor = "current_thread")]
async fn main_below(number: u8) -> Result<u8, String> {
    tokio::task::yield_now().await;
    Ok(number)
}

#[traced]
#[tokio::test]
#[ignore = "it compiles"]
async fn with_more_attributes() {}

#[test]
#[should_panic(expected = "on purpose")]
#[traced]
fn should_panic() {
    unreachable!("on purpose");
}

#[traced]
#[cfg(any())]
pub fn not_there(number: Missing) {}

#[traced]
#[cfg_attr(all(), inline, must_use)]
pub fn conditional(number: u8) -> u8 {
    number
}

#[traced]
#[cfg_attr(all(), must_use)]
pub async fn conditional_async(number: u8) -> u8 {
    number
}

#[traced]
#[doc(hidden)]
#[cold]
#[inline(never)]
#[deprecated = "on purpose"]
#[allow(clippy::unused_async, reason = "on purpose")]
pub async fn many() {}

#[traced]
#[track_caller]
fn tracked() -> Result<(), String> {
    Err(std::panic::Location::caller().to_string())
}

#[test]
fn track_caller_sees_the_caller() {
    let (line, result) = (line!(), tracked());
    let place = format!("{}:{line}:", file!());
    assert!(result.is_err_and(|caller| caller.starts_with(&place)), "{}", place);
}
