//! Methods that traits of others ask for, in impls and with generics of every kind.

use std::convert::TryFrom as Convert;
use std::fmt::{self, Debug, Display};
use std::future::Future;
use std::io;
use std::ops::{Deref, Index};
use std::pin::Pin;
use std::rc::Rc;
use std::str::FromStr;
use std::task::{Context, Poll};

use traced_runtime::traced;

pub struct Ticks<'a, T>(&'a [T], usize);

impl<'a, T> Iterator for Ticks<'a, T> {
    type Item = &'a T;

    #[traced]
    fn next(&mut self) -> Option<Self::Item> {
        self.1 += 1;
        self.0.get(self.1 - 1)
    }
}

impl<T> Drop for Ticks<'_, T> {
    #[traced]
    fn drop(&mut self) {
        self.1 = 0;
    }
}

impl<T> Deref for Ticks<'_, T> {
    type Target = [T];

    #[traced]
    fn deref(&self) -> &[T] {
        self.0
    }
}

impl<T> Index<usize> for Ticks<'_, T> {
    type Output = T;

    #[traced(tags(index))]
    fn index(&self, index: usize) -> &T {
        &self.0[index]
    }
}

impl<T> Future for Ticks<'_, T> {
    type Output = io::Result<usize>;

    #[traced]
    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(self.1))
    }
}

impl<T: Display> Display for Ticks<'_, T> {
    #[traced]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|tick| write!(f, "{tick}"))
    }
}

impl<T> io::Write for Ticks<'_, T> {
    #[traced(tags(length = bytes.len()), ret)]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 += bytes.len();
        Ok(bytes.len())
    }

    #[traced]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct Even(u8);

impl FromStr for Even {
    type Err = Box<dyn std::error::Error>;

    #[traced(tags(text))]
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.parse()?))
    }
}

impl Convert<u8> for Even {
    type Error = u8;

    #[traced]
    fn try_from(number: u8) -> Result<Self, <Self as Convert<u8>>::Error> {
        if number == 3 { Err(number) } else { Ok(Even(number)) }
    }
}

impl<'a> From<&'a Even> for u8 {
    #[traced(tags(even = even.0))]
    fn from(even: &'a Even) -> Self {
        even.0
    }
}

/// `Self` behind types, and types that depend on the call.
pub trait Lender {
    type Item<'a>
    where
        Self: 'a;
    const START: usize;

    fn lend(&mut self) -> Result<Self::Item<'_>, fmt::Error>;

    #[traced]
    fn twice(&mut self) -> Result<usize, fmt::Error>
    where
        Self: Sized,
    {
        drop(self.lend()?);
        Ok(Self::START * 2)
    }
}

impl<T: Default> Lender for Vec<T> {
    type Item<'a>
        = &'a mut T
    where
        T: 'a;
    const START: usize = 1;

    #[traced]
    fn lend(&mut self) -> Result<Self::Item<'_>, fmt::Error> {
        if self.is_empty() {
            self.push(T::default());
        }
        self.last_mut().ok_or(fmt::Error)
    }
}

pub struct Own<T>(T);

#[expect(clippy::needless_arbitrary_self_type, reason = "on purpose")]
impl<T: Clone + Debug> Own<T> {
    #[traced]
    pub fn typed(self: &Self) -> Result<T, String> {
        Ok(self.0.clone())
    }

    #[traced]
    pub fn typed_mutably(self: &mut Self, value: T) -> Result<&mut T, String> {
        self.0 = value;
        Ok(&mut self.0)
    }

    #[traced]
    pub fn typed_value(mut self: Self, value: T) -> Result<T, String> {
        self.0 = value;
        Ok(self.0)
    }

    #[traced]
    pub async fn typed_rc(self: Rc<Self>) -> T {
        self.0.clone()
    }

    #[traced]
    pub async fn typed_async(mut self: Box<Self>, value: T) -> Box<Self> {
        self.0 = value;
        self
    }

    #[traced]
    pub async fn consumed(self: Pin<Box<Self>>) -> Result<(), T> {
        Err(self.0.clone())
    }

    #[traced]
    pub(in crate::impls) async fn restricted<'a, 'b: 'a, const N: usize>(&'a self, other: &'b [T; N]) -> &'a T {
        if N == 0 { &self.0 } else { &other[0] }
    }
}

pub async fn uses_restricted() -> u8 {
    *Own(1).restricted(&[2]).await
}
