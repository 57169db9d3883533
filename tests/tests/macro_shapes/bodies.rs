//! What stands in bodies: control flow, macros, items, unusual types.

use std::fmt::Debug;
use std::future::Future;

use traced_runtime::traced;

/// Nothing can be said about it.
pub struct Opaque;

#[traced]
pub fn opaque(opaque: Opaque, _: &Opaque) -> Result<Opaque, Opaque> {
    Ok(opaque)
}

#[traced]
pub async fn opaque_async(opaque: Opaque, _: &Opaque) -> Result<Opaque, Opaque> {
    Err(opaque)
}

#[traced]
pub async fn labelled(bytes: &[u8]) -> Result<u8, u8> {
    let found = 'outer: loop {
        for &byte in bytes {
            match byte {
                0 => continue,
                1 => continue 'outer,
                2 => break 'outer 2,
                other => return Err(other),
            }
        }
        break 0;
    };
    'block: {
        if found == 0 {
            break 'block;
        }
        tokio::task::yield_now().await;
    }
    Ok(found)
}

#[traced]
pub fn inline_arguments(number: u8, mut text: String) -> Result<String, String> {
    text.push('!');
    if number == 0 {
        return Err(format!("{number:>3} {text}"));
    }
    Ok(format!("{number}{text}"))
}

#[traced]
pub async fn inline_arguments_async(number: u8, text: &str) -> String {
    assert!(matches!(text, "" | "text"), "{}", text);
    format!("{number}{text}")
}

#[traced]
pub fn closures(numbers: &[u8]) -> Result<Vec<u8>, String> {
    let check = |number: &u8| -> Result<u8, String> {
        if *number == 0 {
            return Err("zero".to_owned());
        }
        Ok(*number)
    };
    numbers.iter().map(check).collect()
}

type Measure = Box<dyn Fn(&str) -> u8>;

#[traced]
pub fn boxed_closure(offset: u8) -> Result<Measure, u8> {
    if offset == 0 {
        return Err(offset);
    }
    Ok(Box::new(move |text| offset + u8::from(text.is_empty())))
}

#[traced]
pub fn nested_opaque(number: u8) -> (impl Debug + Clone, Option<impl Iterator<Item = u8>>) {
    (number, Some(std::iter::once(number)))
}

#[traced(ret)]
pub fn nested_opaque_that_is_looked_at(number: u8) -> (impl Debug + Clone, Option<impl Iterator<Item = u8> + Debug>) {
    (number, Some(std::iter::once(number)))
}

#[traced]
pub fn function_pointer(number: fn(&str) -> Result<u8, ()>) -> fn(&str) -> Result<u8, ()> {
    number
}

#[traced]
pub fn opaque_argument_and_result(values: impl IntoIterator<Item = impl Into<u8>>) -> Result<impl Debug, u8> {
    Ok(values.into_iter().map(Into::into).collect::<Vec<u8>>())
}

#[traced]
pub async fn async_closure<F>(run: F) -> u8
where
    F: AsyncFn(&str) -> u8,
{
    run("text").await
}

#[traced]
pub async fn future_of_a_future(number: u8) -> impl Future<Output = u8> {
    async move { number }
}

#[traced]
pub fn future_of_something_opaque(number: u8) -> impl Future<Output = impl Debug + Send> + Send {
    async move { number }
}

#[traced]
#[expect(unused_parens, reason = "on purpose")]
pub fn in_parentheses(number: u8) -> (Result<u8, u8>) {
    Ok(number)
}

#[traced]
pub fn with_items(number: u8) -> Result<u8, u8> {
    use std::convert::identity;
    const ONE: u8 = 1;
    static TWO: u8 = 2;
    struct Inner(u8);
    impl Inner {
        #[traced]
        fn get(&self) -> Result<u8, u8> {
            Ok(self.0)
        }
    }
    macro_rules! add {
        ($one:expr) => {
            $one + ONE
        };
    }
    identity(Inner(add!(number) + TWO).get())
}

#[traced]
pub fn unsafe_inside(bytes: &[u8]) -> Result<u8, String> {
    if bytes.is_empty() {
        return Err(String::new());
    }
    Ok(unsafe { *bytes.get_unchecked(0) })
}

#[traced]
pub fn unit_result() -> Result<(), String> {
    Err("always".to_owned())?;
    unreachable!()
}

#[traced]
pub async fn diverges() -> u8 {
    unreachable!("on purpose")
}

#[traced]
pub fn diverges_sync() -> Result<u8, String> {
    todo!()
}

#[traced]
pub async fn struct_patterns(
    std::ops::Range { start, mut end }: std::ops::Range<u8>,
    [first, .., last]: [String; 3],
    &mut (ref mut left, _): &mut (u8, u8),
) -> usize {
    end += start;
    *left += end;
    first.len() + last.len()
}

/// Arguments of one name that are two, for macros have names of their own.
macro_rules! hygienic {
    ($name:ident, $name_async:ident, $argument:ident) => {
        #[traced]
        pub fn $name($argument: u8, number: u16) -> Result<(u8, u16), String> {
            Ok(($argument, number))
        }

        #[traced]
        pub async fn $name_async($argument: u8, number: u16) -> (u8, u16) {
            ($argument, number)
        }
    };
}
hygienic!(same_names, same_names_async, number);

#[test]
fn arguments_of_one_name_stay_two() {
    assert_eq!(same_names(1, 2), Ok((1, 2)));
}
