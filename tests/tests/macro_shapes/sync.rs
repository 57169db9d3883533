use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::num::ParseIntError;

use traced_runtime::traced;

#[traced]
pub fn plain(number: u32, text: &str) -> usize {
    text.len() + number as usize
}

#[traced]
pub fn nothing() {}

#[traced]
pub fn never() -> ! {
    loop {
        std::thread::park();
    }
}

#[traced(ret)]
pub fn never_with_value() -> ! {
    never()
}

#[traced]
pub fn question_mark(number: u32, mut text: String) -> Result<String, ParseIntError> {
    text.push('1');
    let parsed: u32 = text.parse()?;
    Ok(format!("{number}{parsed}"))
}

#[traced(tags(number, "first.text" = %first, last = ?last), ret, err(Debug))]
pub fn patterns(
    number: u32,
    (first, _): (String, u8),
    _: Vec<u8>,
    [one, .., last]: [u8; 4],
    std::ops::Range { start, end }: std::ops::Range<u8>,
    _unused: u8,
) -> Result<String, ParseIntError> {
    let parsed: u32 = first.parse()?;
    Ok(format!("{number}{parsed}{one}{last}{start}{end}"))
}

#[traced]
pub fn reference_patterns(&number: &u8, ref text: String, pair @ (_, _): (u8, u8)) -> Result<u8, String> {
    if text.is_empty() {
        return Err(text.clone());
    }
    Ok(number + pair.0)
}

#[traced]
pub fn labelled(bytes: &[u8]) -> Result<u8, u8> {
    'found: {
        for byte in bytes {
            match byte {
                3 => break 'found Ok(3),
                4 => return Err(4),
                _ => {}
            }
        }
        Err(0)
    }
}

#[traced]
pub fn recursive(depth: u8) -> Result<u8, String> {
    if depth == 0 { Ok(0) } else { recursive(depth - 1) }
}

#[traced]
pub fn option() -> Option<u8> {
    let one = Some(1)?;
    Some(one)
}

#[traced(err, ret)]
pub fn option_that_is_looked_at() -> Option<u8> {
    option()
}

#[traced]
pub fn reborrowed(bytes: &mut [u8]) -> Result<&mut u8, String> {
    bytes.first_mut().ok_or_else(String::new)
}

#[traced]
pub fn two_lifetimes<'a, 'b: 'a>(short: &'a mut [u8], long: &'b mut [u8]) -> Result<&'a mut u8, String> {
    if short.is_empty() { reborrowed(long) } else { reborrowed(short) }
}

#[traced]
pub fn coerced(number: u8) -> Result<Box<dyn Debug>, Box<dyn Error + Send + Sync>> {
    match number {
        0 => Err("zero".into()),
        1 => Ok(Box::new(number)),
        _ => {
            let parsed: u32 = "x".parse()?;
            Ok(Box::new(parsed))
        }
    }
}

#[traced]
pub fn opaque_inside(bytes: &[u8]) -> Result<impl Iterator<Item = &u8>, fmt::Error> {
    Ok(bytes.iter())
}

#[traced(ret)]
pub fn opaque(bytes: &[u8]) -> impl Iterator<Item = &u8> + Debug {
    bytes.iter()
}

#[traced]
pub fn opaque_closure() -> impl Fn(&str) -> usize {
    |text| text.len()
}

#[traced(ret(Display))]
pub fn displayed(number: u8) -> u8 {
    number
}

#[traced]
pub fn unbounded<T, E>(result: Result<T, E>) -> Result<T, E> {
    result
}

#[traced(err)]
pub fn anything<T>(value: T) -> T {
    value
}

#[traced]
pub fn constants<const N: usize, T: Default + Copy>() -> Result<[T; N], fmt::Error> {
    Ok([T::default(); N])
}

#[traced]
pub fn opaque_arguments(convert: impl Fn(&str) -> Result<u8, u8>, text: impl Into<String>) -> Result<u8, u8> {
    convert(&text.into())
}

#[traced]
pub fn higher_ranked<F>(convert: F) -> Result<usize, String>
where
    F: for<'a> Fn(&'a str) -> &'a str,
{
    Ok(convert("text").len())
}

pub struct Borrowed<'a>(&'a str);

impl Display for Borrowed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[traced]
pub fn error_that_borrows<'a>(text: &'a str) -> Result<(), Borrowed<'a>> {
    Err(Borrowed(text))
}

pub struct Eternal<'a>(&'a str);

impl Display for Eternal<'static> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// `Display` for `'static` alone: by its bounds, which is all a macro sees, it could be displayed.
#[traced(err(type))]
pub fn error_that_is_displayed_for_ever<'a>(text: &'a str) -> Result<(), Eternal<'a>> {
    Err(Eternal(text))
}

#[traced]
pub unsafe fn dereference(pointer: *const u8) -> Result<u8, String> {
    Ok(unsafe { *pointer })
}

#[traced]
pub extern "C" fn of_c(number: u8) -> u8 {
    number
}

#[traced]
pub extern "C-unwind" fn of_c_unwind() {}

#[traced]
#[unsafe(no_mangle)]
pub extern "C" fn traced_shapes_unmangled(number: u8) -> u8 {
    number
}

/// # Safety
/// The pointer must be valid.
#[traced]
pub unsafe extern "C" fn of_c_unsafe(pointer: *const u8) -> u8 {
    unsafe { pointer.read() }
}

#[traced(err)]
pub extern "C" fn of_c_looked_at(number: u8) -> u8 {
    number
}

pub fn nested() -> Result<u8, String> {
    #[traced]
    fn inner() -> Result<u8, String> {
        Ok(1)
    }
    inner()
}

#[traced]
pub fn items_inside() -> Result<(), fmt::Error> {
    fn inner() {}
    inner();
    Ok(())
}
