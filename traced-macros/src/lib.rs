//! The `#[traced]` attribute.

mod args;
mod expand;
mod items;
mod shape;

use proc_macro2::TokenStream;

/// Opens a span around a function.
#[proc_macro_attribute]
pub fn traced(args: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    attribute(args.into(), item.into()).into()
}

fn attribute(args: TokenStream, item: TokenStream) -> TokenStream {
    items::expand(&syn::parse2(args), items::visible(item))
}
