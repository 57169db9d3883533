use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use traced_runtime::traced;

pub struct Basket {
    items: Vec<u8>,
}

impl Basket {
    #[traced]
    pub fn by_reference(&self) -> usize {
        self.items.len()
    }

    #[traced]
    pub fn by_mutable_reference(&mut self) -> Result<&mut u8, String> {
        self.items.push(1);
        self.items.first_mut().ok_or_else(String::new)
    }

    #[traced(tags(length = self.items.len()))]
    pub fn by_value(mut self) -> Result<Self, String> {
        self.items.push(1);
        Ok(self)
    }

    #[traced(tags(length = self.items.len()))]
    pub fn in_part(self) -> Result<Vec<u8>, String> {
        Ok(self.items)
    }

    #[traced]
    pub fn boxed(self: Box<Self>) -> Result<Vec<u8>, String> {
        Ok(self.items)
    }

    #[traced]
    pub fn shared(self: &Arc<Self>) -> Result<u8, String> {
        Ok(self.items[0])
    }

    #[traced]
    pub fn pinned(self: Pin<&mut Self>) -> Result<u8, String> {
        Ok(self.items[0])
    }

    #[traced]
    pub async fn by_reference_async(&self) -> usize {
        self.items.len()
    }

    #[traced(tags(length = self.items.len()))]
    pub async fn by_mutable_reference_async(&mut self, text: &str) -> Result<&mut u8, String> {
        self.items.extend_from_slice(text.as_bytes());
        self.items.first_mut().ok_or_else(String::new)
    }

    #[traced]
    pub async fn by_value_async(mut self) -> Result<Self, String> {
        self.items.push(1);
        Ok(self)
    }

    #[traced]
    pub async fn in_part_async(self) -> Result<Vec<u8>, String> {
        Ok(self.items)
    }

    #[traced]
    pub async fn boxed_async(self: Box<Self>) -> Vec<u8> {
        self.items
    }

    #[traced]
    pub async fn counted_async(self: Rc<Self>) -> usize {
        self.items.len()
    }

    #[traced]
    pub async fn pinned_async(self: Pin<&mut Self>) -> u8 {
        self.items[0]
    }

    #[traced]
    pub async fn unused_async(self, number: u8) -> u8 {
        number
    }

    #[traced]
    pub async fn new_async() -> Result<Self, fmt::Error> {
        Ok(Self { items: Vec::new() })
    }
}

pub struct Borrowing<'a>(&'a str);

impl<'a> Borrowing<'a> {
    #[traced]
    pub async fn kept(self: &Arc<Self>) -> &'a str {
        self.0
    }

    #[traced]
    pub async fn either<'b>(&'b self, other: &'b str) -> Result<&'b str, fmt::Error>
    where
        Self: Sized,
    {
        Ok(if other.is_empty() { self.0 } else { other })
    }

    #[traced]
    pub fn opaque(&'a self) -> Result<impl Iterator<Item = char> + 'a, fmt::Error> {
        Ok(self.0.chars())
    }

    #[traced]
    pub fn future(self) -> impl Future<Output = usize> + 'a {
        async move { self.0.len() }
    }
}
