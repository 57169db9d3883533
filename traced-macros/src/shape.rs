//! What kind of function stands under the attribute.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, GenericArgument, PathArguments, ReturnType, Signature, Token, Type, TypeParamBound, TypePath, Visibility,
};

use crate::args::{Args, ErrorForm};

/// A function whose signature is understood and whose body is not looked at.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) defaultness: Option<Token![default]>,
    pub(crate) sig: Signature,
    pub(crate) body: Body,
}

/// The tokens between a function's braces.
#[derive(Clone)]
pub(crate) enum Body {
    Block {
        /// `#![…]`, which must stay in front.
        inner_attrs: TokenStream,
        statements: TokenStream,
        /// The user's braces.
        span: Span,
    },
    /// `fn f();` in a trait.
    Missing(Token![;]),
}

impl Parse for Function {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let defaultness = input.parse()?;
        let sig = input.parse()?;
        let body = input.parse()?;
        Ok(Function { attrs, vis, defaultness, sig, body })
    }
}

impl Function {
    /// Whether it knows its caller; a closure inside does not.
    pub(crate) fn is_tracked(&self) -> bool {
        self.attrs.iter().any(|attr| attr.path().is_ident("track_caller"))
    }
}

impl Parse for Body {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        if input.peek(Token![;]) {
            return input.parse().map(Body::Missing);
        }
        match input.parse::<TokenTree>()? {
            TokenTree::Group(group) => match braces(group) {
                Ok(block) => Ok(Body::from_block(&block)),
                Err(group) => Err(syn::Error::new(group.span(), "expected the body of a function")),
            },
            other => Err(syn::Error::new(other.span(), "expected the body of a function")),
        }
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for attr in &self.attrs {
            attr.to_tokens(tokens);
        }
        self.vis.to_tokens(tokens);
        self.defaultness.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        match &self.body {
            Body::Block { inner_attrs, statements, span } => {
                let mut content = inner_attrs.clone();
                content.extend(statements.clone());
                let mut block = Group::new(Delimiter::Brace, content);
                block.set_span(*span);
                block.to_tokens(tokens);
            }
            Body::Missing(semi) => semi.to_tokens(tokens),
        }
    }
}

impl Body {
    fn from_block(block: &Group) -> Self {
        let mut tokens = block.stream().into_iter().peekable();
        let mut inner_attrs = TokenStream::new();
        // `#` `!` `[…]`; a `#` that is followed by anything else belongs to a statement.
        let mut statements = TokenStream::new();
        while let Some(TokenTree::Punct(punct)) = tokens.peek() {
            if punct.as_char() != '#' {
                break;
            }
            let Some(hash) = tokens.next() else { break };
            if !matches!(tokens.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == '!') {
                statements.extend([hash]);
                break;
            }
            inner_attrs.extend([hash]);
            inner_attrs.extend(tokens.by_ref().take(2));
        }
        statements.extend(tokens);
        Body::Block { inner_attrs, statements, span: block.span() }
    }
}

/// The brace group, which a `macro_rules!` fragment wraps in invisible ones.
fn braces(group: Group) -> Result<Group, Group> {
    match group.delimiter() {
        Delimiter::Brace => Ok(group),
        Delimiter::None => {
            let mut tokens = group.stream().into_iter();
            match (tokens.next(), tokens.next()) {
                (Some(TokenTree::Group(inner)), None) => braces(inner),
                _ => Err(group),
            }
        }
        _ => Err(group),
    }
}

/// How the span is put around the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One statement at the head of the body.
    Statement,
    /// The body runs in a closure, because its value is looked at.
    Closure,
    /// `async fn` becomes `fn -> impl Future`.
    Rewritten,
    /// `async fn` stays one, and its body is wrapped.
    Wrapped,
    /// `async fn -> !` stays one, because `impl Future<Output = !>` is unstable.
    Endless,
    /// Returns `impl Future`: the returned future is wrapped.
    Future,
    /// Returns `Pin<Box<dyn Future>>` or an alias of it: the returned future is wrapped and boxed.
    BoxedFuture,
}

/// A `return` among these tokens that may be the function's own: any but those in an async block.
pub(crate) fn own_return(tokens: TokenStream) -> Option<Span> {
    let mut in_async = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                if !(in_async && group.delimiter() == Delimiter::Brace) {
                    if let Some(found) = own_return(group.stream()) {
                        return Some(found);
                    }
                }
                in_async = false;
            }
            TokenTree::Ident(word) if word == "return" => return Some(word.span()),
            TokenTree::Ident(word) => in_async = word == "async" || in_async && word == "move",
            _ => in_async = false,
        }
    }
    None
}

/// Where the function stands, as far as an attribute can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The attribute is the function's own.
    Alone,
    /// The attribute is that of a block, whose options have to suit all of its functions.
    Block {
        /// Another attribute of the block, such as `#[async_trait]`, has yet to see `async fn`.
        watched: bool,
    },
}

impl Shape {
    pub(crate) fn of(function: &Function, args: &Args, place: Place) -> Shape {
        let sig = &function.sig;
        if sig.asyncness.is_some() {
            return if matches!(output(sig), Some(Type::Never(_))) {
                Shape::Endless
            } else if place == (Place::Block { watched: true }) || !function.attrs.iter().all(keeps_meaning) {
                Shape::Wrapped
            } else {
                Shape::Rewritten
            };
        }
        let Some(output) = output(sig) else { return Shape::Statement };
        if is_impl_future(output) {
            return Shape::Future;
        }
        if is_boxed_future(output) {
            return Shape::BoxedFuture;
        }
        // Only a value can tell `Ok` from `Err`. `#[track_caller]` does not reach into a closure, and a variadic list
        // cannot be moved into one.
        let error = match &args.err {
            Some(given) if given.value == ErrorForm::Skip => false,
            Some(_) => true,
            None => is_result(output),
        };
        let by_value = (error || args.ret.is_some()) && !matches!(output, Type::Never(_));
        let reachable = sig.variadic.is_none() && !function.is_tracked();
        if by_value && reachable { Shape::Closure } else { Shape::Statement }
    }
}

/// Whether an attribute means the same on `fn -> impl Future` as on `async fn`. Unknown ones may look for `async`;
/// `must_use` speaks of the awaited value on an `async fn` and of the future on any other.
pub(crate) fn keeps_meaning(attr: &Attribute) -> bool {
    const KNOWN: &[&str] =
        &["allow", "cfg", "cold", "deny", "deprecated", "doc", "expect", "forbid", "inline", "warn", "traced"];
    let path = attr.path();
    match path.segments.first() {
        Some(first) if ["clippy", "rustfmt", "diagnostic"].iter().any(|tool| first.ident == tool) => true,
        _ => path.segments.last().is_some_and(|last| KNOWN.iter().any(|known| last.ident == known)),
    }
}

/// The declared return type, without parentheses and invisible groups.
pub(crate) fn output(sig: &Signature) -> Option<&Type> {
    match &sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(bare(ty)),
    }
}

/// Whether the name of the type ends in `Result`: `io::Result<T>`, `QueryResult`.
pub(crate) fn is_result(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|last| last.ident.to_string().ends_with("Result"))
}

/// Whether the type is called like a future.
pub(crate) fn is_future(ty: &Type) -> bool {
    is_impl_future(ty)
        || is_boxed_future(ty)
        || last_segment(ty).is_some_and(|last| last.ident == "JoinHandle" || last.ident.to_string().ends_with("Future"))
}

fn is_impl_future(ty: &Type) -> bool {
    matches!(ty, Type::ImplTrait(ty) if names_future(&ty.bounds))
}

/// `Pin<Box<dyn Future>>`, and the aliases that the futures crates have for it.
fn is_boxed_future(ty: &Type) -> bool {
    let Some(last) = last_segment(ty) else { return false };
    if last.ident == "BoxFuture" || last.ident == "LocalBoxFuture" {
        return true;
    }
    if last.ident != "Pin" {
        return false;
    }
    let Some(inner) = first_type(&last.arguments) else { return false };
    match last_segment(inner).filter(|last| last.ident == "Box").and_then(|last| first_type(&last.arguments)) {
        Some(Type::TraitObject(ty)) => names_future(&ty.bounds),
        Some(Type::ImplTrait(ty)) => names_future(&ty.bounds),
        _ => false,
    }
}

/// Whether it is a future and nothing else: the one around it is no `Clone`, whatever the inner one is.
fn names_future<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> bool {
    const KEPT: &[&str] = &["Send", "Sync", "Unpin", "UnwindSafe", "RefUnwindSafe", "Sized"];
    let mut future = false;
    for bound in bounds {
        let TypeParamBound::Trait(bound) = bound else { continue };
        match bound.path.segments.last() {
            Some(last) if last.ident == "Future" => future = true,
            Some(last) if KEPT.iter().any(|kept| last.ident == kept) => {}
            _ => return false,
        }
    }
    future
}

/// The `T` of `-> impl Future<Output = T>`, with `_` for each `impl Trait` in it; `None` if it is nothing else.
pub(crate) fn future_value(sig: &Signature) -> Option<TokenStream> {
    let Some(Type::ImplTrait(ty)) = output(sig) else { return None };
    ty.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last().filter(|last| last.ident == "Future")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(output) if output.ident == "Output" => {
                let opaque = matches!(bare(&output.ty), Type::ImplTrait(_));
                (!opaque).then(|| without_impl_trait(output.ty.to_token_stream()))
            }
            _ => None,
        })
    })
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match bare(ty) {
        Type::Path(TypePath { path, .. }) => path.segments.last(),
        _ => None,
    }
}

fn first_type(arguments: &PathArguments) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(bare(ty)),
        _ => None,
    })
}

fn bare(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            other => return other,
        };
    }
}

/// The type with `_` for each `impl Trait`, as it has to be written anywhere but in the signature.
///
/// ```text
/// Result<impl Iterator<Item = u8>, E>   →   Result<_, E>
/// ```
pub(crate) fn without_impl_trait(ty: TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    let mut tokens = ty.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "impl" => {
                out.extend([TokenTree::Ident(proc_macro2::Ident::new("_", ident.span()))]);
                // The bounds end where the type does: at a comma or at the bracket of the type around it.
                let mut depth = 0_usize;
                let mut arrow = false;
                while let Some(token) = tokens.peek() {
                    if let TokenTree::Punct(punct) = token {
                        match punct.as_char() {
                            ',' if depth == 0 => break,
                            '>' if arrow => {}
                            '>' if depth == 0 => break,
                            '>' => depth -= 1,
                            '<' => depth += 1,
                            _ => {}
                        }
                        arrow = punct.as_char() == '-';
                    }
                    tokens.next();
                }
            }
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), without_impl_trait(group.stream()));
                inner.set_span(group.span());
                out.extend([TokenTree::Group(inner)]);
            }
            other => out.extend([other]),
        }
    }
    out
}
