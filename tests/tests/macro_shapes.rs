//! Functions of every shape compile under the attribute, behave as before, and are told nothing by strict lints.

#![deny(warnings, unused, future_incompatible, rust_2018_idioms, nonstandard_style, let_underscore_drop)]
#![deny(unreachable_pub, unused_qualifications, refining_impl_trait)]
#![deny(clippy::shadow_same, clippy::redundant_locals, clippy::needless_return, clippy::used_underscore_binding)]
#![deny(clippy::no_effect_underscore_binding, clippy::items_after_statements, clippy::async_yields_async)]
#![deny(clippy::print_stdout, clippy::let_underscore_untyped, clippy::let_underscore_must_use, clippy::too_many_lines)]
#![deny(unsafe_op_in_unsafe_fn)]
#![expect(unsafe_code, missing_docs, missing_debug_implementations, reason = "functions of every shape")]

use futures::future::{BoxFuture, FutureExt, LocalBoxFuture};
use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use traced_runtime::traced;

#[traced]
pub fn plain(a: u32, b: &str) -> usize {
    b.len() + a as usize
}
#[traced(tags(a, "x.y" = %b, c = ?b.len()))]
pub fn tagged(a: u32, b: &str) -> usize {
    b.len() + a as usize
}
#[traced]
pub fn result(a: u32, mut b: String) -> Result<String, std::num::ParseIntError> {
    b.push('x');
    let _n: u32 = b.parse()?;
    let _ = a;
    Ok(b)
}
#[traced(tags(a, "x.y" = %b, c = ?b.len()), ret, err(Debug))]
pub fn tagged_result(
    a: u32,
    (b, _): (String, u8),
    _: Vec<u8>,
    [x, .., y]: [u8; 4],
) -> Result<String, std::num::ParseIntError> {
    let n: u32 = b.parse()?;
    Ok(format!("{b}{n}{a}{x}{y}"))
}
#[traced]
pub async fn asy(a: u32, b: &str) -> usize {
    b.len() + a as usize
}
#[traced]
pub async fn asy_mut(mut a: Vec<u32>, (b, _): (&str, String), _: String, _x: u8) -> usize {
    a.push(2);
    b.len() + a.len()
}
#[traced]
pub async fn asy_two<'a>(a: &'a str, b: &str, c: &mut u8) -> &'a str {
    *c = b.len() as u8;
    a
}
#[traced]
pub async fn asy_unit() {}
#[traced]
pub async fn asy_dyn(x: u8) -> Result<Box<dyn Debug>, Box<dyn std::error::Error + Send + Sync>> {
    if x == 0 {
        return Err("zero".into());
    }
    if x == 1 {
        return Ok(Box::new(1));
    }
    let _: u32 = "a".parse()?;
    Ok(Box::new(x))
}
#[traced(ret)]
pub async fn asy_impl(x: u8) -> impl Debug + Clone {
    if x == 2 {
        return 3u8;
    }
    x
}
#[traced]
pub async fn asy_impl2(x: u8) -> Result<impl Iterator<Item = (u8, u8)>, std::fmt::Error> {
    Ok([(x, x)].into_iter())
}
#[traced]
pub async fn asy_gen<T: Display, const N: usize>(x: [T; N], f: impl Fn(&T) -> String) -> String
where
    T: Debug,
{
    x.iter().map(f).collect()
}
#[traced]
pub async fn asy_hrtb<F>(f: F) -> usize
where
    F: for<'a> Fn(&'a str) -> &'a str,
{
    f("x").len()
}
#[traced]
pub async fn asy_never() -> ! {
    loop {
        tokio::task::yield_now().await
    }
}
#[traced(name = "x", tags(q = 1u8))]
pub async fn asy_never2(x: Vec<u8>) -> ! {
    panic!("{x:?}")
}
#[traced]
pub fn never() -> ! {
    panic!()
}
#[traced]
#[must_use]
pub async fn asy_must(x: u8) -> u8 {
    x
}
#[traced]
pub fn fut(x: u8) -> impl Future<Output = u8> + Send {
    let y = x;
    async move { y }
}
#[traced(tags(x, l = s.len()))]
pub fn fut_life<'a>(x: u8, s: &'a str) -> impl Future<Output = Result<usize, u8>> + Send + 'a {
    if x == 3 {}
    async move {
        if x == 0 {
            return Err(x);
        }
        Ok(s.len())
    }
}
#[traced]
pub fn fut_use<'a, T>(x: &'a str, _y: &T) -> impl Future<Output = usize> + use<'a, T> {
    async move { x.len() }
}
#[traced]
pub fn boxed(x: String) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    let n = x.len();
    if n == 0 {
        return Box::pin(std::future::ready(0));
    }
    Box::pin(async move { x.len() })
}
#[traced(tags(x))]
pub fn boxfuture(x: &str) -> BoxFuture<'_, Result<usize, String>> {
    async move { if x.is_empty() { Err(x.to_owned()) } else { Ok(x.len()) } }.boxed()
}
#[traced]
pub fn local_boxfuture(x: &str) -> LocalBoxFuture<'_, usize> {
    async move { x.len() }.boxed_local()
}
#[traced]
pub fn stream(x: u8) -> impl futures::Stream<Item = u8> {
    futures::stream::iter([x])
}
#[traced]
pub unsafe fn unsa(p: *const u8) -> u8 {
    unsafe { *p }
}
#[traced]
pub async unsafe fn unsa_async(p: *const u8) -> u8 {
    unsafe { *p }
}
#[traced]
pub extern "C" fn c(x: u8) -> u8 {
    x
}
#[traced]
#[unsafe(no_mangle)]
pub extern "C" fn c_mangle(x: u8) -> u8 {
    x
}
#[traced]
#[track_caller]
pub fn tracked(x: u8) -> Result<u8, String> {
    if x == 0 {
        return Err(std::panic::Location::caller().to_string());
    }
    Ok(x)
}
#[traced]
pub fn inner_attr(x: Option<u8>) -> Result<u8, u8> {
    #![allow(unused_variables)]
    let z = 1;
    x.ok_or(3)
}
#[traced]
pub async fn inner_attr_async(x: u8) -> u8 {
    #![allow(unused_variables)]
    let z = 1;
    x
}
#[traced]
pub fn cfgs(
    #[cfg(all())] x: u8,
    #[cfg(any())] x: u16,
    #[allow(unused_variables)] y: u8,
    #[expect(unused_variables)] z: u8,
) -> Result<u16, ()> {
    Ok(x.into())
}
#[traced]
pub async fn cfgs_async(
    #[cfg(all())] x: u8,
    #[cfg(any())] x: u16,
    #[allow(unused_variables)] y: u8,
    #[expect(unused_variables)] z: u8,
) -> u16 {
    x.into()
}
#[traced(tags(r#type, k = r#type))]
pub fn r#match(r#type: u8) -> Result<u8, String> {
    Ok(r#type)
}
#[traced]
pub async fn r#async(r#type: u8) -> u8 {
    r#type
}
#[traced]
pub fn rec(x: u8) -> Result<u8, ()> {
    if x == 0 { Ok(0) } else { rec(x - 1) }
}
#[traced]
pub async fn rec_async(x: u8) -> u8 {
    if x == 0 { 0 } else { Box::pin(rec_async(x - 1)).await }
}
#[traced]
pub fn rec_boxed(x: u8) -> Pin<Box<dyn Future<Output = u8> + Send>> {
    Box::pin(async move { if x == 0 { 0 } else { rec_boxed(x - 1).await } })
}
#[traced]
pub fn labelled(v: &[u8]) -> Result<u8, u8> {
    'out: loop {
        for x in v {
            if *x == 3 {
                break 'out Ok(*x);
            }
            if *x == 4 {
                return Err(4);
            }
        }
        break Err(0);
    }
}
#[traced]
pub fn impl_res(v: &[u8]) -> Result<impl Iterator<Item = &u8>, std::fmt::Error> {
    Ok(v.iter())
}
#[traced(ret)]
pub fn impl_ret(v: &[u8]) -> impl Iterator<Item = &u8> + Debug {
    v.iter()
}
#[traced(ret(Display))]
pub fn disp(v: u8) -> u8 {
    v
}
#[traced]
pub fn unbounded<T, E>(x: Result<T, E>) -> Result<T, E> {
    x
}
#[traced]
pub fn any<T>(x: T) -> T {
    x
}
#[traced(err)]
pub fn anye<T>(x: T) -> T {
    x
}
#[traced]
pub fn mutref(x: &mut Vec<u8>) -> Result<&mut u8, ()> {
    x.first_mut().ok_or(())
}
pub struct S {
    v: Vec<u8>,
}
impl S {
    #[traced]
    pub fn by_ref(&self) -> usize {
        self.v.len()
    }
    #[traced]
    pub fn by_mut(&mut self) -> Result<&mut u8, ()> {
        self.v.push(1);
        self.v.first_mut().ok_or(())
    }
    #[traced(tags(l = self.v.len()))]
    pub fn by_val(mut self) -> Result<Self, ()> {
        self.v.push(1);
        Ok(self)
    }
    #[traced(tags(l = self.v.len()))]
    pub fn part(self) -> Result<Vec<u8>, ()> {
        Ok(self.v)
    }
    #[traced]
    pub fn boxed_self(self: Box<Self>) -> Result<Vec<u8>, ()> {
        Ok(self.v)
    }
    #[traced]
    pub fn rc(self: &std::sync::Arc<Self>) -> Result<u8, ()> {
        Ok(self.v[0])
    }
    #[traced]
    pub fn pin(self: Pin<&mut Self>) -> Result<u8, ()> {
        Ok(self.v[0])
    }
    #[traced]
    pub async fn aby_ref(&self) -> usize {
        self.v.len()
    }
    #[traced(tags(x = self.v.len()))]
    pub async fn aby_mut(&mut self, x: &str) -> Result<&mut u8, ()> {
        self.v.push(x.len() as u8);
        self.v.first_mut().ok_or(())
    }
    #[traced]
    pub async fn aby_val(mut self) -> Result<Self, ()> {
        self.v.push(1);
        Ok(self)
    }
    #[traced]
    pub async fn apart(self) -> Result<Vec<u8>, ()> {
        Ok(self.v)
    }
    #[traced]
    pub async fn aboxed_self(self: Box<Self>) -> Result<Vec<u8>, ()> {
        Ok(self.v)
    }
    #[traced]
    pub async fn apin(self: Pin<&mut Self>) -> Result<u8, ()> {
        Ok(self.v[0])
    }
    #[traced]
    pub async fn unused_self(self, x: u8) -> u8 {
        x
    }
    #[traced]
    pub fn owner(self: &mut &Self) -> Option<Self> {
        None
    }
}
#[allow(async_fn_in_trait)]
pub trait T {
    #[traced]
    fn def(&self) -> u8 {
        1
    }
    async fn req(&self, x: &str) -> u8;
    #[traced]
    async fn def_async(&self, x: &str) -> usize {
        x.len()
    }
    fn rpitit(&self) -> impl Future<Output = u8> + Send;
    #[traced]
    fn rpitit_def(&self) -> impl Future<Output = u8> + Send {
        async { 1 }
    }
    fn rpitit2(&self, x: &str) -> impl Future<Output = u8> + Send;
    async fn imp(&self) -> impl Debug;
}
impl T for S {
    #[traced]
    async fn req(&self, x: &str) -> u8 {
        x.len() as u8
    }
    #[traced]
    async fn def_async(&self, x: &str) -> usize {
        x.len()
    }
    #[traced]
    fn rpitit(&self) -> impl Future<Output = u8> + Send {
        async { 1 }
    }
    #[traced]
    async fn rpitit2(&self, x: &str) -> u8 {
        x.len() as u8
    }
    #[traced]
    async fn imp(&self) -> impl Debug {
        1
    }
}
#[async_trait::async_trait]
pub trait A {
    #[traced]
    async fn a(&self, x: &str) -> usize {
        x.len()
    }
    async fn b(&self, x: &str) -> Result<usize, String>;
}
#[async_trait::async_trait]
impl A for S {
    #[traced(tags(x))]
    async fn b(&self, x: &str) -> Result<usize, String> {
        Err(x.to_owned())
    }
}
pub struct S2;
#[traced]
#[async_trait::async_trait]
impl A for S2 {
    async fn a(&self, x: &str) -> usize {
        self.b(x).await.unwrap_or(3)
    }
    async fn b(&self, x: &str) -> Result<usize, String> {
        Err(x.to_owned())
    }
}
pub struct S3;
#[async_trait::async_trait]
#[traced]
impl A for S3 {
    async fn a(&self, x: &str) -> usize {
        self.b(x).await.unwrap_or(3)
    }
    async fn b(&self, x: &str) -> Result<usize, String> {
        Err(x.to_owned())
    }
}

pub struct Block(u8);
#[traced(tags("component" = "block"), err(Debug))]
impl Block {
    pub const LIMIT: usize = { 3 };
    pub const fn konst(&self) -> u8 {
        self.0
    }
    pub fn a(&self) -> u8 {
        self.0
    }
    #[traced(name = "bee")]
    pub fn b(&self) -> Result<u8, ()> {
        Ok(self.0)
    }
    #[traced(skip)]
    pub fn c(&self) -> u8 {
        self.0
    }
    #[cfg_attr(any(), traced(skip), inline)]
    pub fn d(&self) -> u8 {
        self.0
    }
    pub async fn e(&self) -> u8 {
        self.0
    }
}
#[traced(require_parent)]
pub mod m {
    pub fn f() -> u8 {
        g()
    }
    fn g() -> u8 {
        1
    }
    pub struct X<const N: usize>;
    impl X<{ 1 + 2 }> {
        pub fn h(&self) {}
    }
    pub mod n {
        pub fn i() -> Result<(), ()> {
            Ok(())
        }
    }
    pub trait Tr {
        fn need(&self);
        fn given(&self) {}
    }
    macro_rules! mm {
        () => {
            pub fn made() {}
        };
    }
    mm!();
    pub use n::i as j;
}
macro_rules! make { ($(#[$m:meta])* $vis:vis $name:ident, $p:pat, $t:ty, $r:ty, $e:expr, $b:block) => { $(#[$m])* #[traced] $vis fn $name($p: $t) -> $r $b   #[traced(tags(z = $e))] $vis async fn make_async($p: $t) -> $r $b } }
make!( pub make_sync, x, u8, Result<u8, ()>, 3u8, { Ok(x) });
macro_rules! item {
    ($i:item) => {
        #[traced]
        $i
    };
}
item!(
    pub fn whole(x: u8) -> u8 {
        x
    }
);
item!(
    pub async fn whole_async(x: u8) -> u8 {
        x
    }
);
#[traced(parent = ctx)]
pub fn par(ctx: &traced_runtime::Context) -> Result<u32, ()> {
    Ok(u32::from(ctx.is_none()))
}
#[traced(parent = ctx)]
pub async fn par_async((ctx, _x): (Option<traced_runtime::Context>, String), c: u8) -> u32 {
    let _ = c;
    u32::from(ctx.is_some())
}
#[traced(parent = ctx.clone())]
#[allow(clippy::clone_on_copy)]
pub fn par_fut(ctx: traced_runtime::Context) -> impl Future<Output = u32> {
    async move { u32::from(ctx.is_none()) }
}
#[traced(root, kind = client, remote = "mysql", name = concat!("a", "b"))]
pub fn opts() {}
#[traced]
pub async fn send_check(x: std::rc::Rc<u8>) -> u8 {
    *x
}

/// Futures are `Send` when they would be without the attribute.
pub fn assert_send() -> impl Send {
    (asy(1, ""), asy_dyn(1), boxed(String::new()), asy_must(1))
}

/// Names that generated code must not stumble over.
pub mod shadows {
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
    pub const SITE: &'static [u8] = b"";

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

    #[traced(tags(x), ret)]
    pub fn sync_result(x: u8) -> ::std::result::Result<u8, u8> {
        ::core::result::Result::Ok(x)
    }

    #[traced(tags(x))]
    pub async fn asynchronous(x: u8) -> Fallible {
        let (span, tags, out, outcome, future, kept, parent, held) = (1_i8, 2, 3, 4, 5, 6, 7, 8);
        let _: u8 = x;
        ::core::result::Result::Ok(span + tags + out + outcome + future + kept + parent + held)
    }

    #[traced(tags(span, tags, out, tag = outcome))]
    pub fn arguments(span: u8, tags: u8, out: u8, outcome: u8) -> ::core::result::Result<u8, u8> {
        ::core::result::Result::Ok(span + tags + out + outcome)
    }

    #[traced(tags(len = SITE.len()))]
    pub fn site() {}

    /// A trait with methods for everything, named like those that generated code calls.
    pub trait Greedy {
        fn error(&self) {}
        fn display(&self) {}
        fn tags(&self) {}
        fn outcome(&self) {}
        fn value(&self) {}
    }
    impl<T: ?Sized> Greedy for T {}

    #[traced(tags(x), err, ret)]
    pub fn greedy(x: u8) -> Fallible {
        let _: u8 = x;
        ::core::result::Result::Ok(1)
    }
}

#[expect(clippy::no_effect_underscore_binding, reason = "underscored arguments")]
pub mod no_prelude {
    #![no_implicit_prelude]

    #[::traced_runtime::traced(tags(x), ret)]
    pub fn sync_result(x: u8) -> ::core::result::Result<u8, u8> {
        ::core::result::Result::Ok(x)
    }

    #[::traced_runtime::traced(tags(x), ret)]
    pub async fn asynchronous(x: u8) -> ::core::result::Result<u8, u8> {
        ::core::result::Result::Ok(x)
    }

    #[::traced_runtime::traced(tags(_x))]
    pub fn boxed(_x: u8) -> ::core::pin::Pin<::std::boxed::Box<dyn ::core::future::Future<Output = ()>>> {
        ::std::boxed::Box::pin(async {})
    }
}

/// The runtime under another name.
pub mod renamed {
    pub mod acme {
        pub use traced_runtime as traced;
    }

    #[traced_runtime::traced(crate = crate::renamed::acme::traced, tags(x), ret)]
    pub fn sync_result(x: u8) -> Result<u8, u8> {
        Ok(x)
    }

    #[traced_runtime::traced(crate = self::acme::traced, kind = server)]
    pub async fn asynchronous(x: u8) -> Result<u8, u8> {
        Ok(x)
    }
}

/// Annotated functions, one inside the other, within the default limits of the compiler. Without the attribute, 33 can
/// be compiled: it asks several questions for each and stops at 128. With it, 22.
pub mod deep {
    macro_rules! nest {
        ($first:ident $($rest:ident)*) => {
            #[traced_runtime::traced]
            pub async fn $first(depth: u32) -> Result<u32, String> {
                nest!(@call $($rest)* ; depth)
            }
            nest!($($rest)*);
        };
        (@call $next:ident $($rest:ident)* ; $depth:ident) => { $next($depth + 1).await };
        (@call ; $depth:ident) => { Ok($depth) };
        () => {};
    }

    nest! {
        f00 f01 f02 f03 f04 f05 f06 f07 f08 f09 f10 f11 f12 f13 f14 f15 f16 f17 f18 f19
    }

    pub fn assert_send() -> impl Send {
        f00(0)
    }
}

#[cfg(test)]
mod attributes {
    use super::*;

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
        assert_eq!(deep::f00(1).await?, 20);
        Ok(())
    }

    #[test]
    fn track_caller_sees_the_caller() {
        let line = line!() + 1;
        let message = tracked(0).unwrap_err();
        assert!(message.contains(&format!("{}:{line}:", file!())), "{message}");
    }

    /// What it costs in bytes to be annotated: an argument is not held twice, and nesting adds the same each time.
    #[test]
    fn futures_stay_small() {
        async fn plain(bytes: [u8; 1024]) -> u8 {
            tokio::task::yield_now().await;
            bytes[0]
        }
        #[traced]
        async fn spanned(bytes: [u8; 1024]) -> u8 {
            tokio::task::yield_now().await;
            bytes[0]
        }
        let (plain, spanned) = (size_of_val(&plain([0; 1024])), size_of_val(&spanned([0; 1024])));
        assert!(spanned <= plain + 256, "{plain} {spanned}");
    }
}
