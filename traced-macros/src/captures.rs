//! The arguments of a function whose body moves into a closure or a future.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Pat, PatIdent, PatType, Receiver, ReceiverKind, Signature};

use crate::args::Args;
use crate::hygiene::located;

/// Arguments that move into a closure or a future with the body, each bound again in there, used or not: only that
/// keeps the order in which they drop, whether the body runs or not. As they have our hygiene outside, all other names
/// of ours start with `__`.
///
/// ```text
/// fn f(self, mut a: A, (b, _): B, _: C)
/// →
/// fn f(self, a': A, b': B, __arg3: C)          ' our own hygiene: no shadowing that a lint could see
///     let _ = &self;
///     let mut a = a';
///     let __held = b'; let (b, _) = __held;    as the compiler does for an async fn
///     let __held = __arg3; let _ = __held;
/// ```
pub(crate) struct Captures {
    pub(crate) moves: TokenStream,
    /// The arguments that an explicit parent names, by reference: it is looked at before they move.
    pub(crate) for_parent: TokenStream,
    /// Names outside. `macro_rules!` can make two arguments of one name; with our hygiene they would be the same.
    outer: Vec<Ident>,
}

impl Captures {
    /// Of a body that stays where it is.
    pub(crate) fn none() -> Self {
        Captures { moves: TokenStream::new(), for_parent: TokenStream::new(), outer: Vec::new() }
    }

    pub(crate) fn of(sig: &mut Signature, args: &Args) -> Self {
        let in_future = sig.asyncness.is_some();
        let mut parent_names = Vec::new();
        if let Some(parent) = &args.parent {
            names(parent.value.clone(), &mut parent_names);
        }
        let mut captures = Captures::none();
        for (index, input) in sig.inputs.iter_mut().enumerate() {
            match input {
                FnArg::Receiver(receiver) => captures.receiver(receiver, in_future),
                FnArg::Typed(argument) => captures.argument(argument, index, &parent_names),
            }
        }
        captures
    }

    /// `self` cannot have another name; mentioned, it is captured as a whole, and first. A future holds a reference, too.
    fn receiver(&mut self, receiver: &Receiver, in_future: bool) {
        if in_future || !matches!(receiver.kind, ReceiverKind::Reference(..)) {
            let this = receiver.self_token;
            self.moves.extend(quote_spanned!(Span::mixed_site()=> let _ = &#this;));
        }
    }

    /// The name of an argument outside.
    fn outer(&mut self, mut name: Ident, index: usize) -> Ident {
        let span = located(name.span());
        if self.outer.contains(&name) {
            name = format_ident!("__arg{index}");
        }
        name.set_span(span);
        self.outer.push(name.clone());
        name
    }

    fn argument(&mut self, argument: &mut PatType, index: usize, parent_names: &[String]) {
        let attrs = std::mem::take(&mut argument.attrs);
        argument.attrs = attrs.iter().filter(|attr| is_cfg(attr)).cloned().collect();
        let cfgs = &argument.attrs;
        if let Pat::Ident(PatIdent { by_ref: None, mutability, ident, subpat: None, .. }) = &mut *argument.pat {
            let inner = ident.clone();
            let here = located(inner.span());
            let mutability = mutability.take();
            *ident = self.outer(ident.clone(), index);
            if parent_names.iter().any(|name| inner == name) {
                self.for_parent.extend(quote_spanned!(Span::mixed_site()=> #(#cfgs)* let #inner = &#ident;));
            }
            self.moves.extend(if inner.to_string().starts_with('_') {
                // Clippy takes `let _x = y;` for a statement without effect.
                quote_spanned!(here=> #(#attrs)* let (#mutability #inner,) = (#ident,);)
            } else {
                quote_spanned!(here=> #(#attrs)* let #mutability #inner = #ident;)
            });
            if parent_names.iter().any(|name| inner == name) {
                // Named as the parent it is used, whether or not the body mentions it.
                self.moves.extend(quote_spanned!(Span::mixed_site()=> #(#cfgs)* let _ = &#inner;));
            }
            return;
        }
        let pattern = argument.pat.to_token_stream();
        let mut pattern_names = Vec::new();
        names(pattern.clone(), &mut pattern_names);
        // Documentation shows the name: that of the only thing bound, as in `Path(id): Path<u64>`.
        let outer = match &pattern_names[..] {
            [name] => syn::parse_str::<Ident>(name).ok(),
            _ => None,
        };
        let mut outer = outer.unwrap_or_else(|| format_ident!("__arg{index}"));
        outer.set_span(pattern.span());
        let outer = self.outer(outer, index);
        if pattern_names.iter().any(|name| parent_names.contains(name)) {
            self.for_parent.extend(quote_spanned! {Span::mixed_site()=>
                #(#cfgs)* #[allow(unused_variables, reason = "the body uses them")] let #pattern = &#outer;
            });
        }
        self.moves.extend(quote_spanned! {Span::mixed_site()=>
            #(#cfgs)* let __held = #outer;
            #(#attrs)* let #pattern = __held;
        });
        let PatType { pat, .. } = argument;
        **pat = Pat::Ident(PatIdent { attrs: Vec::new(), by_ref: None, mutability: None, ident: outer, subpat: None });
    }
}

fn is_cfg(attr: &Attribute) -> bool {
    attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr")
}

/// The words in `tokens` that may be variables.
fn names(tokens: TokenStream, out: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                let ident = ident.to_string();
                let is_name = ident.starts_with(|c: char| c.is_lowercase() || c == '_' && ident.len() > 1);
                if is_name && !matches!(ident.as_str(), "mut" | "ref" | "self" | "box") {
                    out.push(ident);
                }
            }
            TokenTree::Group(group) => names(group.stream(), out),
            _ => {}
        }
    }
}
