use std::fmt::Debug;
use std::future::Future;

use traced_runtime::traced;

#[allow(async_fn_in_trait, reason = "a shape of its own")]
pub trait Store {
    #[traced]
    fn given(&self) -> u8 {
        1
    }

    async fn needed(&self, text: &str) -> usize;

    #[traced]
    async fn given_async(&self, text: &str) -> usize {
        text.len()
    }

    fn opaque(&self) -> impl Future<Output = u8> + Send;

    #[traced]
    fn opaque_given(&self) -> impl Future<Output = u8> + Send {
        async { 1 }
    }

    fn opaque_then_async(&self, text: &str) -> impl Future<Output = usize> + Send;

    async fn opaque_value(&self) -> impl Debug;

    fn by_value(self) -> impl Future<Output = u8> + Send
    where
        Self: Sized;

    async fn lifetimes<'a>(&self, kept: &'a str, text: &str) -> &'a str;

    fn generic<T: Send + Sync>(&self, value: &T) -> impl Future<Output = u8> + Send;
}

pub struct Memory;

impl Store for Memory {
    #[traced]
    async fn needed(&self, text: &str) -> usize {
        text.len()
    }

    #[traced]
    async fn given_async(&self, text: &str) -> usize {
        text.len()
    }

    #[traced]
    fn opaque(&self) -> impl Future<Output = u8> + Send {
        async { 1 }
    }

    #[traced]
    async fn opaque_then_async(&self, text: &str) -> usize {
        text.len()
    }

    #[traced]
    async fn opaque_value(&self) -> impl Debug {
        1
    }

    #[traced]
    async fn by_value(self) -> u8 {
        1
    }

    #[traced]
    async fn lifetimes<'a>(&self, kept: &'a str, _text: &str) -> &'a str {
        kept
    }

    #[traced]
    async fn generic<T: Send + Sync>(&self, _value: &T) -> u8 {
        1
    }
}

pub trait Service {
    type Error;
    type Future: Future<Output = Result<u8, Self::Error>>;

    fn call(&mut self) -> Self::Future;
}

#[traced]
pub async fn error_without_bounds<S: Service>(mut service: S) -> Result<u8, S::Error> {
    service.call().await
}

#[traced]
pub fn error_with_bounds<S: Service>(error: S::Error) -> Result<u8, S::Error>
where
    S::Error: Debug,
{
    Err(error)
}

#[async_trait::async_trait]
pub trait Dynamic {
    #[traced(tags(text))]
    async fn given(&self, text: &str) -> usize {
        text.len()
    }

    async fn needed(&self, text: &str) -> Result<usize, String>;
}

#[async_trait::async_trait]
impl Dynamic for Memory {
    #[traced(tags(text))]
    async fn needed(&self, text: &str) -> Result<usize, String> {
        Err(text.to_owned())
    }
}
