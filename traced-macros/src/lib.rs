//! The `#[traced]` attribute of [`traced-runtime`], which re-exports it: depend on that crate, not on this one.
//!
//! From the attribute to the compiler: `args` parses the options, `items` finds out what the attribute stands on and
//! walks through blocks, `shape` decides how a function is to be wrapped, `expand` writes
//! it, with the help of `captures` where arguments have to move. `hygiene` says whose the names in generated tokens are.
//!
//! [`traced-runtime`]: https://docs.rs/traced-runtime

mod args;
mod captures;
mod expand;
mod hygiene;
mod items;
mod shape;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

/// Opens a span around a function, or around every function of an `impl`, `trait` or inline `mod`.
///
/// The span is a child of the current one. Without one it starts a new trace, if a tracer is installed and its sampler
/// agrees. It is called after the function, `Type::method` if it has a type, and lasts until the function returns; that of
/// an async function from its first poll until it is done or dropped. Nothing is recorded of arguments and returned
/// values that no option names; an `Err` is.
///
/// ```
/// use traced_runtime::traced;
///
/// #[traced]
/// async fn load_user(id: u64) -> Result<String, std::io::Error> {
///     Ok(format!("user {id}"))
/// }
///
/// #[traced(name = "db.query", kind = client, remote = "mysql", tags("db.table" = table, attempt))]
/// fn query(table: &str, attempt: u32) -> Vec<String> {
///     Vec::new()
/// }
/// ```
///
/// # Options
///
/// | option | effect |
/// |---|---|
/// | `name = "db.query"` | names the span; any constant expression |
/// | `kind = client` | `client`, `server`, `producer` or `consumer`; without it the span is local |
/// | `remote = "mysql"` | the service on the other side; any constant expression |
/// | `tags(key = expr)` | records a value: numbers, text, whatever is a `Value` |
/// | `tags("dotted.key" = %expr)` | … what it displays |
/// | `tags(key = ?expr)` | … what it prints with `Debug` |
/// | `tags(name, %name, ?name)` | … under its own name |
/// | `err` | looks for an `Err` although the return type is not called `…Result` |
/// | `err(Debug)` | records an `Err` with `Debug`, where `Display` says too little |
/// | `err(type)` | records the type of an `Err`, and nothing that is in it |
/// | `err(skip)` | an `Err` is nothing special |
/// | `ret`, `ret(Display)` | records the returned value, or that of an `Ok`, as the tag `return` |
/// | `parent = expr` | the span's parent: a context, a span, a reference to one, or an `Option` |
/// | `root` | always starts a new trace |
/// | `require_parent` | never starts a trace |
/// | `crate = ::acme::traced` | where the runtime is, if it is not at `::traced_runtime` |
///
/// **Tags** are evaluated once, before the body, if the span is recorded, else not at all. Expressions are borrowed,
/// never moved. A `None` records nothing.
///
/// ```
/// # use traced_runtime::traced;
/// # struct Order { id: u64, items: Vec<String> }
/// #[traced(tags("order.id" = order.id, count = order.items.len(), first = ?order.items.first()))]
/// fn pay(order: Order) {}
/// ```
///
/// **Errors**: the text is the error and its sources, else what it displays, else what it prints with `Debug`, else the
/// name of its type; in a generic function its bounds decide. An async function, and one that returns a future, can
/// always tell. Any other can if the name of its return type ends in `Result`, or with `err`; `#[track_caller]`
/// functions cannot.
///
/// ```
/// # use traced_runtime::traced;
/// #[traced(err(Debug), ret)]
/// fn parse(line: &str) -> Result<u32, std::num::ParseIntError> {
///     line.parse()
/// }
///
/// #[traced(err(type))]
/// fn decrypt(secret: &str) -> Result<String, std::fmt::Error> {
///     Ok(secret.to_owned())
/// }
/// ```
///
/// **Blocks**: the options hold for every function inside, and a function's own are added or win. `skip` leaves one out.
/// `const fn`s, functions without a body and those that macros make are left out by themselves.
///
/// ```
/// # use traced_runtime::traced;
/// struct Cart(Vec<String>);
///
/// #[traced(tags("component" = "cart"))]
/// impl Cart {
///     async fn add(&mut self, item: String) {
///         self.0.push(item);
///     }
///
///     #[traced(skip)]
///     fn len(&self) -> usize {
///         self.0.len()
///     }
/// }
/// ```
///
/// # What becomes of a function
///
/// - Most get one statement at the head of their body.
/// - A `…Result` runs in a closure, to look at the value. Arguments drop in the same order.
/// - `async fn` becomes `fn -> impl Future`. Where an attribute below it may look for `async`, the body is wrapped instead.
/// - A function that returns `impl Future`, `Pin<Box<dyn Future>>` or `BoxFuture` runs as before, and the future it
///   returns is the span. Its tags are evaluated at the call. Of an `impl Future + Clone`, and whatever else is more than
///   a future, the span is the call.
/// - `const fn`, closures and trait methods without a body are an error.
///
/// # Limits
///
/// - A future is told by the return type as it is written: `impl Future`, `Pin<Box<dyn Future>>`, `BoxFuture`,
///   `LocalBoxFuture`. An alias of your own, `Box<dyn Future + Unpin>`, a named future and `impl Stream` are values as any
///   other: the span is that of the call. Write `async fn`, or `.in_span(…)` on what is returned.
/// - A closure that an async function, or one with `err` or `ret`, returns as `impl Fn(&str)` needs the types of its
///   arguments written: `|text: &str| …`.
/// - `#[track_caller]` on a function that returns a future: the future must be its last expression.
/// - The file of a `mod name;` cannot be reached.
///
/// ```
/// # use traced_runtime::traced;
/// #[traced]
/// async fn measure() -> impl Fn(&str) -> usize {
///     |text: &str| text.len()
/// }
///
/// #[traced]
/// fn unpin() -> Box<dyn Future<Output = u8> + Unpin> {
///     Box::new(std::future::ready(1))
/// }
/// ```
#[proc_macro_attribute]
pub fn traced(args: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    attribute(args.into(), item.into()).into()
}

fn attribute(args: TokenStream, item: TokenStream) -> TokenStream {
    items::expand(&syn::parse2(args), items::visible(item))
}
