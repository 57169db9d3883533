//! `span!`.

/// Starts a span that lasts until the end of the block, for a part of a function; it must not be held over an `.await`.
///
/// The name is any constant text. Tags are `"key" = value`, with `%value` for its `Display` and `?value` for its `Debug`
/// text; they are evaluated only if the span is recorded.
///
/// ```
/// use traced_runtime::span;
///
/// let rows = [1, 2, 3];
/// let _step = span!("render", "rows" = rows.len(), "first" = ?rows.first());
/// ```
#[macro_export]
macro_rules! span {
    ($name:expr $(, $key:literal = $($value:tt)*)?) => {{
        static SITE: $crate::__private::Callsite = $crate::__private::Callsite::explicit($name);
        let span = $crate::__private::enter(&SITE);
        $(
            if let ::core::option::Option::Some(tags) = span.tags() {
                $crate::__span_tags!(tags $key $($value)*);
            }
        )?
        span
    }};
}

/// One tag, and those behind it.
#[doc(hidden)]
#[macro_export]
macro_rules! __span_tags {
    ($tags:ident $key:literal % $value:expr $(, $next:literal = $($rest:tt)*)?) => {
        $tags.display($key, &$value);
        $($crate::__span_tags!($tags $next $($rest)*);)?
    };
    ($tags:ident $key:literal ? $value:expr $(, $next:literal = $($rest:tt)*)?) => {
        $tags.debug($key, &$value);
        $($crate::__span_tags!($tags $next $($rest)*);)?
    };
    ($tags:ident $key:literal $value:expr $(, $next:literal = $($rest:tt)*)?) => {
        $tags.value($key, &$value);
        $($crate::__span_tags!($tags $next $($rest)*);)?
    };
    ($tags:ident $key:literal $value:expr,) => {
        $tags.value($key, &$value);
    };
}
