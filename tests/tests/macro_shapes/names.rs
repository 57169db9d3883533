//! Names that generated code must not stumble over.

use traced_runtime::traced;

#[traced(tags(r#type, key = r#type))]
pub fn r#match(r#type: u8) -> Result<u8, String> {
    Ok(r#type)
}

#[traced]
pub async fn r#async(r#type: u8) -> u8 {
    r#type
}

pub mod shadowed {
    #![expect(non_camel_case_types, unused_macros, reason = "shadowed on purpose")]

    use ::traced_runtime::traced;

    pub struct Some;
    pub struct Option;
    pub struct Result;
    pub struct Ok;
    pub struct Err;
    pub struct Box;
    pub struct u32;
    pub struct str;
    pub mod core {}
    pub mod std {}
    pub mod alloc {}
    pub mod traced_runtime {}
    pub const SITE: &[u8] = b"";

    macro_rules! concat {
        ($($t:tt)*) => {
            compile_error!("not this one")
        };
    }
    macro_rules! stringify {
        ($($t:tt)*) => {
            compile_error!("not this one")
        };
    }
    macro_rules! module_path {
        ($($t:tt)*) => {
            compile_error!("not this one")
        };
    }

    type Fallible = ::core::result::Result<i8, i8>;

    #[traced(tags(number), ret)]
    pub fn sync(number: u8) -> ::std::result::Result<u8, u8> {
        ::core::result::Result::Ok(number)
    }

    #[traced(tags(number))]
    pub async fn asynchronous(number: i8) -> Fallible {
        let (span, tags, out, outcome, future, kept, parent, held) = (1, 2, 3, 4, 5, 6, 7, 8);
        ::core::result::Result::Ok(number + span + tags + out + outcome + future + kept + parent + held)
    }

    #[traced(tags(span, tags, out, tag = outcome))]
    pub fn arguments(span: u8, tags: u8, out: u8, outcome: u8) -> ::core::result::Result<u8, u8> {
        ::core::result::Result::Ok(span + tags + out + outcome)
    }

    #[traced(tags(length = SITE.len()))]
    pub fn constant() {}

    /// A trait that gives everything methods, named like those that generated code calls.
    pub trait Greedy {
        fn tags(&self) {}
        fn outcome(&self) {}
        fn value(&self) {}
        fn display(&self) {}
        fn error(&self) {}
    }

    impl<T: ?Sized> Greedy for T {}

    #[traced(tags(number), err, ret)]
    pub fn greedy(number: i8) -> Fallible {
        ::core::result::Result::Ok(number)
    }
}

pub mod no_prelude {
    #![no_implicit_prelude]

    #[::traced_runtime::traced(tags(number), ret)]
    pub fn sync(number: u8) -> ::core::result::Result<u8, u8> {
        ::core::result::Result::Ok(number)
    }

    #[::traced_runtime::traced(tags(number), ret)]
    pub async fn asynchronous(number: u8) -> ::core::result::Result<u8, u8> {
        ::core::result::Result::Ok(number)
    }

    #[::traced_runtime::traced(tags(number))]
    pub fn boxed(number: u8) -> ::core::pin::Pin<::std::boxed::Box<dyn ::core::future::Future<Output = u8>>> {
        ::std::boxed::Box::pin(async move { number })
    }
}

/// The runtime under another name.
pub mod renamed {
    pub mod acme {
        pub use traced_runtime as traced;
    }

    #[traced_runtime::traced(crate = crate::names::renamed::acme::traced, tags(number), ret)]
    pub fn sync(number: u8) -> Result<u8, u8> {
        Ok(number)
    }

    #[traced_runtime::traced(crate = self::acme::traced, kind = server)]
    pub async fn asynchronous(number: u8) -> Result<u8, u8> {
        Ok(number)
    }
}
