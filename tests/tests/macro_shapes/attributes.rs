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

#[traced]
#[track_caller]
fn tracked() -> Result<(), String> {
    Err(std::panic::Location::caller().to_string())
}

#[test]
fn track_caller_sees_the_caller() {
    let (line, result) = (line!(), tracked());
    let place = format!("{}:{line}:", file!());
    assert!(result.is_err_and(|caller| caller.starts_with(&place)), "{place}");
}
