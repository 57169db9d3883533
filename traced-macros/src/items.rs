//! What the attribute stands on: a function, or a block of them.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, Lit, Meta, Token, Visibility};

use crate::args::Args;
use crate::expand;
use crate::shape::{self, Body, Function, Place};

/// The item under an attribute of its own.
pub(crate) fn expand(args: &syn::Result<Args>, item: TokenStream) -> TokenStream {
    if is_closure(&item) {
        let message = "a closure has no name: put `span!(\"name\")` inside, or `#[traced]` on a function";
        let error = syn::Error::new(item.into_iter().next().map_or(Span::call_site(), |token| token.span()), message);
        let error = error.into_compile_error();
        // In place of an expression, so nothing can stand beside it.
        return quote!({ #error });
    }
    match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Function(function)) => lone(args, &function),
        Ok(Item::Block(block)) => {
            let (args, error) =
                match args.as_ref().map_err(Clone::clone).and_then(|args| fits_block(args).map(|()| args)) {
                    Ok(args) => (args.clone(), None),
                    // Without options, so that the attributes inside do not complain as well.
                    Err(error) => (Args::default(), Some(error)),
                };
            let block = self::block(&args, &block, false);
            match error {
                Some(error) => with_error(block, &error),
                None => block,
            }
        }
        Ok(Item::Other { blame, message, .. }) => with_error(item, &syn::Error::new(blame, message)),
        Err(error) => with_error(item, &error),
    }
}

/// Whether it starts as a closure does. The compiler has let us see it only if it allows attributes on expressions.
fn is_closure(item: &TokenStream) -> bool {
    let mut words = item.clone().into_iter().skip_while(|token| match token {
        TokenTree::Ident(word) => word == "static" || word == "async" || word == "move",
        _ => false,
    });
    matches!(words.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '|')
}

fn lone(args: &syn::Result<Args>, function: &Function) -> TokenStream {
    let expanded = args.clone().and_then(|args| {
        if let Some(skip) = &args.skip {
            let message = "`skip` leaves a function out of a `#[traced]` block; there is none: remove the attribute";
            return Err(syn::Error::new(skip.option.span(), message));
        }
        expand::function(function.clone(), &args, Place::Alone)
    });
    expanded.unwrap_or_else(|error| with_error(function.to_token_stream(), &error))
}

fn fits_block(args: &Args) -> syn::Result<()> {
    if let Some(name) = &args.name {
        let message = "`name` would name every function of the block the same: put it on one of them";
        return Err(syn::Error::new(name.option.span(), message));
    }
    match &args.skip {
        Some(skip) => {
            let message = "`skip` leaves something out of a `#[traced]` block around it; there is none";
            Err(syn::Error::new(skip.option.span(), message))
        }
        None => Ok(()),
    }
}

/// The error, and beside it the item as it was: one mistake gives one message.
pub(crate) fn with_error(item: TokenStream, error: &syn::Error) -> TokenStream {
    let mut tokens = error.to_compile_error();
    tokens.extend(item);
    tokens
}

/// The item without the invisible group that a `macro_rules!` fragment puts around it.
pub(crate) fn visible(item: TokenStream) -> TokenStream {
    let mut tokens = item.clone().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::None => visible(group.stream()),
        _ => item,
    }
}

enum Item {
    Function(Box<Function>),
    Block(Block),
    /// Nothing to trace, copied as it is.
    Other {
        tokens: TokenStream,
        blame: Span,
        message: &'static str,
    },
}

/// `impl … { … }`, `trait … { … }` or `mod … { … }`.
#[derive(Clone)]
struct Block {
    attrs: Vec<Attribute>,
    header: TokenStream,
    content: Group,
}

impl Parse for Item {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let ahead = input.fork();
        let attrs = ahead.call(Attribute::parse_outer)?;
        let vis: Visibility = ahead.parse()?;
        let blame = ahead.span();
        let keyword = keyword(&ahead)?;
        match keyword.as_str() {
            "fn" => Ok(Item::Function(Box::new(input.parse()?))),
            "impl" | "trait" | "mod" => {
                input.advance_to(&ahead);
                let mut header = vis.into_token_stream();
                let content = until_end(input, false, &mut header)?;
                if let Some(content) = content {
                    return Ok(Item::Block(Block { attrs, header, content }));
                }
                let message = "`#[traced]` does not reach into another file: put it on the functions and blocks there";
                Ok(Item::Other { tokens: quote!(#(#attrs)* #header), blame, message })
            }
            _ => {
                let mut tokens = quote!(#(#attrs)* #vis);
                let to_semi = ["use", "const", "static", "type", "extern crate", "let"].contains(&keyword.as_str());
                input.advance_to(&ahead);
                if let Some(content) = until_end(input, to_semi, &mut tokens)? {
                    content.to_tokens(&mut tokens);
                }
                let message = "`#[traced]` goes on a function, or on an `impl`, `trait` or inline `mod` with functions";
                Ok(Item::Other { tokens, blame, message })
            }
        }
    }
}

/// The word that says what an item is, behind its qualifiers; the input is not advanced.
fn keyword(input: ParseStream) -> syn::Result<String> {
    let ahead = input.fork();
    let mut last = String::new();
    while ahead.peek(Ident::peek_any) {
        let word = ahead.call(Ident::parse_any)?.to_string();
        match word.as_str() {
            "fn" | "impl" | "trait" | "mod" => return Ok(word),
            "default" | "const" | "async" | "unsafe" | "safe" | "auto" => {}
            "extern" => {
                ahead.parse::<Option<Lit>>()?;
            }
            "crate" if last == "extern" => return Ok("extern crate".to_owned()),
            _ if last.is_empty() => return Ok(word),
            _ => return Ok(last),
        }
        last = word;
    }
    Ok(last)
}

/// Copies an item up to its end: a semicolon, or braces, which are returned.
///
/// Braces inside of `<…>` are constant arguments; those of a `use`, a `const` and the like are followed by a semicolon.
fn until_end(input: ParseStream, to_semi: bool, out: &mut TokenStream) -> syn::Result<Option<Group>> {
    let mut depth = 0_usize;
    let mut arrow = false;
    while !input.is_empty() {
        let token: TokenTree = input.parse()?;
        match &token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && depth == 0 && !to_semi => {
                return Ok(Some(group.clone()));
            }
            TokenTree::Punct(punct) => {
                match punct.as_char() {
                    ';' => {
                        token.to_tokens(out);
                        return Ok(None);
                    }
                    '<' => depth += 1,
                    '>' if !arrow => depth = depth.saturating_sub(1),
                    _ => {}
                }
                arrow = matches!(punct.as_char(), '-' | '=');
            }
            _ => arrow = false,
        }
        token.to_tokens(out);
    }
    Ok(None)
}

/// A block with every function in it expanded. `watched`: an attribute of a block around it has yet to see it.
fn block(args: &Args, block: &Block, watched: bool) -> TokenStream {
    let Block { attrs, header, content } = block;
    let watched = watched || !attrs.iter().all(shape::keeps_meaning);
    let members = |input: ParseStream| {
        let mut out = TokenStream::new();
        while !input.is_empty() {
            member(args, input, watched, &mut out)?;
        }
        Ok(out)
    };
    let inside = members.parse2(content.stream()).unwrap_or_else(|error| with_error(content.stream(), &error));
    let mut group = Group::new(Delimiter::Brace, inside);
    group.set_span(content.span());
    quote!(#(#attrs)* #header #group)
}

fn member(args: &Args, input: ParseStream, watched: bool, out: &mut TokenStream) -> syn::Result<()> {
    if input.peek(Token![#]) && input.peek2(Token![!]) {
        for _ in 0..3 {
            input.parse::<TokenTree>()?.to_tokens(out);
        }
        return Ok(());
    }
    if input.peek(Token![;]) {
        input.parse::<TokenTree>()?.to_tokens(out);
        return Ok(());
    }
    // What syn does not understand is left to the compiler.
    let ahead = input.fork();
    match ahead.parse::<Item>() {
        Ok(item) => {
            input.advance_to(&ahead);
            out.extend(nested(args, item, watched));
        }
        Err(_) => {
            if let Some(content) = until_end(input, false, out)? {
                content.to_tokens(out);
            }
        }
    }
    Ok(())
}

fn nested(args: &Args, item: Item, watched: bool) -> TokenStream {
    let (attrs, item) = match item {
        Item::Function(mut function) => (std::mem::take(&mut function.attrs), Item::Function(function)),
        Item::Block(mut block) => (std::mem::take(&mut block.attrs), Item::Block(block)),
        Item::Other { tokens, .. } => return tokens,
    };
    with_attrs(args, &item, attrs, watched)
}

/// An item inside a block, by its own attribute if it has one.
///
/// ```text
/// #[traced(skip)] fn f() {}                        →   fn f() {}
/// #[traced(name = "g")] fn f() {}                  →   … with the block's other options
/// #[cfg_attr(test, traced(skip), inline)] fn f() {}
///     →   #[cfg(test)] #[inline] fn f() {}    #[cfg(not(test))] … traced …
/// ```
/// An attribute counts by the last segment of its path: nobody can know what a name stands for.
fn with_attrs(block: &Args, item: &Item, mut attrs: Vec<Attribute>, watched: bool) -> TokenStream {
    for index in 0..attrs.len() {
        if is_traced(attrs[index].path()) {
            let attr = attrs.remove(index);
            let own = match &attr.meta {
                Meta::List(list) => list.parse_args::<Args>(),
                _ => Ok(Args::default()),
            };
            return own_args(block, item, attrs, own, watched);
        }
        if let Some((predicate, metas)) = conditional(&attrs[index]) {
            attrs.remove(index);
            let mut on = attrs.clone();
            on.splice(index..index, metas.into_iter().map(|meta| syn::parse_quote!(#[#meta])));
            on.insert(0, syn::parse_quote!(#[cfg(#predicate)]));
            attrs.insert(0, syn::parse_quote!(#[cfg(not(#predicate))]));
            let mut tokens = with_attrs(block, item, on, watched);
            tokens.extend(with_attrs(block, item, attrs, watched));
            return tokens;
        }
    }
    own_args(block, item, attrs, Ok(Args::default()), watched)
}

fn own_args(block: &Args, item: &Item, attrs: Vec<Attribute>, own: syn::Result<Args>, watched: bool) -> TokenStream {
    match item {
        Item::Function(function) => {
            let function = Function { attrs, ..Function::clone(function) };
            match own {
                Err(error) => with_error(function.to_token_stream(), &error),
                Ok(own) if own.skip.is_some() => function.to_token_stream(),
                Ok(own) => inherit(block, own, function, watched),
            }
        }
        Item::Block(inner) => {
            let inner = Block { attrs, ..inner.clone() };
            match own.and_then(|own| if own.skip.is_some() { Ok(own) } else { fits_block(&own).map(|()| own) }) {
                Err(error) => with_error(self::block(block, &inner, watched), &error),
                Ok(own) if own.skip.is_some() => {
                    let Block { attrs, header, content } = inner;
                    quote!(#(#attrs)* #header #content)
                }
                Ok(own) => self::block(&own.within(block), &inner, watched),
            }
        }
        Item::Other { tokens, .. } => tokens.clone(),
    }
}

fn inherit(block: &Args, own: Args, function: Function, watched: bool) -> TokenStream {
    // Of a block's functions, those without a body and those that may run in the compiler are left out.
    if function.sig.constness.is_some() || matches!(function.body, Body::Missing(_)) {
        return function.to_token_stream();
    }
    let asks_for_error = own.err.is_some();
    let mut args = own.within(block);
    // The block speaks of the errors of those functions that have any.
    if !asks_for_error && !shape::output(&function.sig).is_some_and(shape::is_result) {
        args.err = None;
    }
    let tokens = function.to_token_stream();
    expand::function(function, &args, Place::Block { watched }).unwrap_or_else(|error| with_error(tokens, &error))
}

fn is_traced(path: &syn::Path) -> bool {
    path.segments.last().is_some_and(|last| last.ident == "traced")
}

/// Predicate and attributes of a `cfg_attr` with a `traced` among them.
fn conditional(attr: &Attribute) -> Option<(TokenStream, Vec<TokenStream>)> {
    if !attr.path().is_ident("cfg_attr") {
        return None;
    }
    let Meta::List(list) = &attr.meta else { return None };
    let parts = Punctuated::<Part, Token![,]>::parse_terminated.parse2(list.tokens.clone()).ok()?;
    let mut parts = parts.into_iter();
    let predicate = parts.next()?.tokens;
    let metas: Vec<Part> = parts.collect();
    metas.iter().any(|part| part.traced).then(|| (predicate, metas.into_iter().map(|part| part.tokens).collect()))
}

/// What stands between two commas of a `cfg_attr`.
struct Part {
    tokens: TokenStream,
    traced: bool,
}

impl Parse for Part {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut tokens = TokenStream::new();
        let traced = input.fork().call(syn::Path::parse_mod_style).is_ok_and(|path| is_traced(&path));
        while !input.is_empty() && !input.peek(Token![,]) {
            input.parse::<TokenTree>()?.to_tokens(&mut tokens);
        }
        Ok(Part { tokens, traced })
    }
}
