//! A crate that forbids what can be forbidden and has no prelude.

#![forbid(unsafe_code, missing_docs, unused, warnings, missing_debug_implementations, unused_results)]
#![no_implicit_prelude]

/// Takes values that cannot be printed.
pub mod documented {
    use ::core::result::Result::{self, Ok};
    use ::traced_runtime::traced;

    /// Cannot be printed by anything that the attribute could call.
    #[derive(::core::fmt::Debug)]
    pub struct Argument;

    /// Takes one.
    #[traced(tags(number), ret)]
    pub fn sync(number: u8, _argument: Argument) -> Result<u8, u8> {
        Ok(number)
    }

    /// Takes one later.
    #[traced(tags(%number), kind = server, remote = "there", root)]
    pub async fn asynchronous(number: u8, _: &Argument) -> Result<u8, u8> {
        Ok(number)
    }

    /// Gives a future.
    #[traced(tags(?number))]
    pub fn opaque(number: u8) -> impl ::core::future::Future<Output = u8> {
        async move { number }
    }

    #[traced(require_parent)]
    impl Argument {
        /// Is a method.
        pub fn method(&self) -> u8 {
            1
        }

        /// Is a method, too.
        pub async fn method_async(self) -> u8 {
            1
        }
    }

    /// Is a trait.
    #[traced]
    pub trait Given {
        /// Is given.
        fn given(&self) {}
        /// Is needed.
        fn needed(&self);
    }
}

/// A test needs a function that it can call.
#[::core::prelude::v1::test]
fn compiles() {
    ::core::assert_eq!(documented::sync(1, documented::Argument), ::core::result::Result::Ok(1));
}
