//! What is known of an annotated function before it runs.

use std::cell::Cell;
use std::panic::Location;

use crate::model::kind::Kind;

/// One annotated function or `span!`: a `static`, so that a span needs only its address.
///
/// Aligned so that the low bits of its address are free for the kind of a log event.
#[derive(Debug)]
#[repr(align(16))]
pub struct Callsite {
    name: &'static str,
    /// Gives the type name of a closure written at the site, which tells `Type::method`. A function pointer, because
    /// the name is needed when a span is reported, not when it is recorded.
    path: Option<fn() -> &'static str>,
    location: &'static Location<'static>,
    kind: Option<Kind>,
    remote: Option<&'static str>,
    /// Whether the function never starts a trace by itself.
    pub(crate) require_parent: bool,
    /// Whether the function always starts a new trace.
    pub(crate) root: bool,
}

/// The site of all explicit spans, which bring their own names.
pub(crate) static EXPLICIT: Callsite = Callsite::explicit("");

impl Callsite {
    /// A site named after its function. `path` is a closure that captures nothing: the type it is of names the
    /// function it stands in, with the type or trait the function belongs to.
    #[track_caller]
    #[must_use]
    pub const fn new<P: Copy>(name: &'static str, path: P) -> Self {
        let _ = path;
        let path: fn() -> &'static str = std::any::type_name::<P>;
        Self::with_path(name, Some(path))
    }

    /// A site with a name of its own.
    #[track_caller]
    #[must_use]
    pub const fn explicit(name: &'static str) -> Self {
        Self::with_path(name, None)
    }

    #[track_caller]
    const fn with_path(name: &'static str, path: Option<fn() -> &'static str>) -> Self {
        let location = Location::caller();
        Self { name, path, location, kind: None, remote: None, require_parent: false, root: false }
    }

    /// Sets a name that is used as it is.
    #[must_use]
    pub const fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self.path = None;
        self
    }

    /// Sets the kind of the spans.
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Sets the service on the other side.
    #[must_use]
    pub const fn remote(mut self, service: &'static str) -> Self {
        self.remote = Some(service);
        self
    }

    /// Never start a trace here.
    #[must_use]
    pub const fn require_parent(mut self) -> Self {
        self.require_parent = true;
        self
    }

    /// Always start a new trace here.
    #[must_use]
    pub const fn root(mut self) -> Self {
        self.root = true;
        self
    }

    /// Whether a span of this site may start a trace.
    #[inline]
    pub(crate) const fn roots(&self) -> Roots {
        if self.root {
            Roots::Always
        } else if self.require_parent {
            Roots::Never
        } else {
            Roots::Allowed
        }
    }

    /// The kind of the spans, if they have one.
    pub(crate) const fn span_kind(&self) -> Option<Kind> {
        self.kind
    }

    /// The service on the other side, if it is declared.
    pub(crate) const fn remote_service(&self) -> Option<&'static str> {
        self.remote
    }

    /// Source file and line.
    pub(crate) const fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// The name of a span of this site: `function`, or `Type::method`.
    pub(crate) fn span_name(&self) -> SiteName {
        SiteName { owner: self.path.and_then(|path| self.owner(path)), name: self.name }
    }

    /// Looks for the owner once, as long as no site with the same place in the table is named in between. The table is the
    /// reporting thread's: in the site it would keep the compiler from knowing what else stands there.
    fn owner(&self, path: fn() -> &'static str) -> Option<&'static str> {
        let address = std::ptr::from_ref(self).addr();
        OWNERS.with(|owners| {
            let place = &owners[address / align_of::<Self>() % OWNERS_KEPT];
            let (site, owner) = place.get();
            if site == address {
                return owner;
            }
            let owner = owner_of(path(), self.name);
            place.set((address, owner));
            owner
        })
    }
}

/// The name of its spans, put together when it is asked for.
impl std::fmt::Display for Callsite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.span_name().fmt(f)
    }
}

/// Sites whose owners a thread remembers.
const OWNERS_KEPT: usize = 128;

thread_local! {
    /// Sites by address, and their owners; 0 for no site.
    static OWNERS: [Cell<(usize, Option<&'static str>)>; OWNERS_KEPT] =
        const { [const { Cell::new((0, None)) }; OWNERS_KEPT] };
}

/// Whether a span without a parent starts a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Even where the tracer requires a parent.
    Always,
    /// Unless the tracer requires a parent.
    Allowed,
    /// Not at all.
    Never,
}

/// The name of a site in its two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SiteName {
    /// The type or trait that the function belongs to.
    pub(crate) owner: Option<&'static str>,
    /// The function's own name.
    pub(crate) name: &'static str,
}

impl std::fmt::Display for SiteName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.owner {
            Some(owner) => write!(f, "{owner}::{}", self.name),
            None => f.write_str(self.name),
        }
    }
}

/// The type or trait that `name` is a method of, read from the type name of a closure inside it.
///
/// ```text
/// shop::Cart::add::SITE::{{closure}}                           → Cart
/// <shop::Cart<T> as shop::Basket>::add::{{closure}}::SITE::…   → Cart
/// shop::checkout::SITE::{{closure}}                            → (none: a function)
/// ```
///
/// `type_name` promises no format: whatever does not look like this has no owner. A type is told from a module by its
/// capital letter.
fn owner_of(path: &'static str, name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("r#").unwrap_or(name);
    let mut end = path.len();
    // From the right: the site's own segments, then the function, then its owner.
    loop {
        let (rest, segment) = last_segment(path.get(..end)?)?;
        end = rest;
        if segment.strip_prefix("r#").unwrap_or(segment) == name {
            break;
        }
    }
    let (_, mut owner) = last_segment(path.get(..end)?)?;
    if let Some(inner) = owner.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')) {
        let inner = inner.strip_prefix("impl ").unwrap_or(inner);
        owner = match (top_level_find(inner, " for "), top_level_find(inner, " as ")) {
            (Some(at), _) => inner.get(at + " for ".len()..)?,
            (None, Some(at)) => inner.get(..at)?,
            (None, None) => inner,
        };
    }
    let (_, segment) = last_segment(without_generics(owner))?;
    let segment = segment.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_');
    segment.starts_with(|c: char| c.is_uppercase()).then_some(segment)
}

/// The last `::` segment and the length of what stands before it; angle brackets hide separators.
fn last_segment(path: &'static str) -> Option<(usize, &'static str)> {
    if path.is_empty() {
        return None;
    }
    let bytes = path.as_bytes();
    let mut depth = 0_usize;
    for at in (0..bytes.len()).rev() {
        match bytes[at] {
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' => depth += 1,
            b'<' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && at > 0 && bytes[at - 1] == b':' => {
                return Some((at - 1, path.get(at + 1..)?));
            }
            _ => {}
        }
    }
    Some((0, path))
}

/// `path` without generic arguments at its end.
fn without_generics(path: &'static str) -> &'static str {
    path.find('<').and_then(|at| path.get(..at)).unwrap_or(path).trim_end_matches("::")
}

/// Where `pattern` stands in `text` outside of angle brackets.
fn top_level_find(text: &str, pattern: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 && text[at..].starts_with(pattern) => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_method_is_read_from_a_type_name() {
        for (path, name, owner) in [
            ("shop::checkout::SITE::{{closure}}", "checkout", None),
            ("shop::Cart::add::SITE::{{closure}}", "add", Some("Cart")),
            ("shop::Cart<T>::add::SITE::{{closure}}", "add", Some("Cart")),
            ("shop::Cart<T>::add::{{closure}}::SITE::{{closure}}", "add", Some("Cart")),
            ("<shop::Cart as shop::Basket>::add::SITE::{{closure}}", "add", Some("Cart")),
            ("<shop::Cart<a::B> as shop::Basket<C>>::r#try::SITE::{{closure}}", "r#try", Some("Cart")),
            ("shop::api::<impl shop::Basket for shop::Cart<T>>::add::SITE", "add", Some("Cart")),
            ("shop::api::<impl shop::Cart>::add::SITE", "add", Some("Cart")),
            ("shop::outer::inner::SITE::{{closure}}", "inner", None),
            ("gone", "add", None),
        ] {
            assert_eq!(owner_of(path, name), owner, "{path}");
        }
    }

    #[test]
    fn real_type_names_are_understood() {
        struct Cart;
        trait Basket {
            fn add(&self) -> String;
            fn given(&self) -> String {
                static SITE: Callsite = Callsite::new("given", || ());
                SITE.span_name().to_string()
            }
        }
        impl Cart {
            fn total(&self) -> String {
                static SITE: Callsite = Callsite::new("total", || ());
                SITE.span_name().to_string()
            }
        }
        impl Basket for Cart {
            fn add(&self) -> String {
                static SITE: Callsite = Callsite::new("add", || ());
                SITE.span_name().to_string()
            }
        }
        fn plain() -> String {
            static SITE: Callsite = Callsite::new("plain", || ());
            SITE.span_name().to_string()
        }
        assert_eq!(Cart.total(), "Cart::total");
        assert_eq!(Cart.add(), "Cart::add");
        assert_eq!(Cart.given(), "Basket::given");
        assert_eq!(plain(), "plain");
    }
}
