//! Annotated functions, one inside the other, within the default limits of the compiler.

use traced_runtime::traced;

/// Without the attribute, 33 can be compiled: it asks several questions for each and stops at 128. With it, 22.
macro_rules! nest {
    ($first:ident $($rest:ident)*) => {
        #[traced]
        pub async fn $first(depth: u32) -> Result<u32, String> {
            nest!(@call $($rest)* ; depth)
        }
        nest!($($rest)*);
    };
    (@call $next:ident $($rest:ident)* ; $depth:ident) => { $next($depth + 1).await };
    (@call ; $depth:ident) => { Ok($depth) };
    () => {};
}

nest! { f00 f01 f02 f03 f04 f05 f06 f07 f08 f09 f10 f11 f12 f13 f14 f15 f16 f17 f18 f19 }

#[tokio::test]
async fn twenty_nested_functions_compile_and_can_be_spawned() {
    assert_eq!(tokio::spawn(f00(1)).await.ok(), Some(Ok(20)));
}
