//! A function with a span around it.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{LitStr, ReturnType, Signature, Type};

use crate::args::{Args, ErrorForm, Tag, TagForm, ValueForm};
use crate::captures::Captures;
use crate::hygiene::located;
use crate::shape::{self, Body, Function, Place, Shape};

/// The function as it is to be compiled.
pub(crate) fn function(mut function: Function, args: &Args, place: Place) -> Result<TokenStream, syn::Error> {
    if let Some(constness) = &function.sig.constness {
        return Err(syn::Error::new(constness.span, "a `const fn` has no span: it may run in the compiler"));
    }
    let (inner_attrs, statements, braces) = match function.body {
        Body::Block { inner_attrs, statements, span } => (inner_attrs, statements, span),
        Body::Missing(semi) => {
            let message = "this function has no body to trace: put `#[traced]` on the implementations";
            return Err(syn::Error::new(semi.span, message));
        }
    };
    function.body = Body::Block { inner_attrs: TokenStream::new(), statements: TokenStream::new(), span: braces };
    let shape = Shape::of(&function, args, place);
    let in_place = function.is_tracked();
    if in_place && matches!(shape, Shape::Future | Shape::BoxedFuture) {
        if let Some(early) = shape::own_return(statements.clone()) {
            let message =
                "with `#[track_caller]`, the future must be the last expression: a `return` would pass the span by";
            return Err(syn::Error::new(early, message));
        }
    }
    let Function { attrs, vis, defaultness, mut sig, .. } = function;
    let expansion = Expansion::new(args, &sig, braces, in_place);
    let content = match shape {
        Shape::Statement => expansion.statement(&statements),
        Shape::Closure => expansion.closure(&mut sig, statements),
        Shape::Rewritten => expansion.rewritten(&mut sig, statements),
        Shape::Wrapped => expansion.wrapped(&mut sig, statements),
        Shape::Endless => expansion.endless(&mut sig, statements),
        Shape::Future => expansion.future(&mut sig, statements),
        Shape::BoxedFuture => expansion.boxed_future(&mut sig, statements),
    };
    let body = block(quote!(#inner_attrs #content), braces);
    Ok(quote!(#(#attrs)* #vis #defaultness #sig #body))
}

/// What all shapes of expansion need to know.
struct Expansion<'a> {
    args: &'a Args,
    /// Path of the one module that generated code names.
    private: TokenStream,
    name: Ident,
    /// Return type as it is written in a closure or a turbofish.
    output: TokenStream,
    braces: Span,
    /// `#[track_caller]`: the body cannot run in a closure.
    in_place: bool,
    /// An async function that returns another future.
    yields_future: bool,
}

impl<'a> Expansion<'a> {
    fn new(args: &'a Args, sig: &Signature, braces: Span, in_place: bool) -> Self {
        let private = match &args.krate {
            Some(krate) => {
                let path = &krate.value;
                quote_spanned!(Span::mixed_site()=> #path::__private)
            }
            None => quote_spanned!(Span::mixed_site()=> ::traced_runtime::__private),
        };
        let output = match &sig.output {
            ReturnType::Default => quote_spanned!(Span::mixed_site()=> ()),
            ReturnType::Type(_, ty) => shape::without_impl_trait(ty.to_token_stream()),
        };
        let yields_future = sig.asyncness.is_some() && shape::output(sig).is_some_and(shape::is_future);
        Expansion { args, private, name: sig.ident.clone(), output, braces, in_place, yields_future }
    }

    /// ```text
    /// fn load(id: u64) -> User { body }
    /// →
    /// fn load(id: u64) -> User {
    ///     let __span = private::enter({ static __SITE: Callsite = …; &__SITE });
    ///     if let Some(tags) = private::Enter::tags(&__span) { tags.value("id", &(id)); }
    ///     body
    /// }
    /// ```
    /// The body stays where it is, so the order of drops and every diagnostic stay, too.
    fn statement(&self, statements: &TokenStream) -> TokenStream {
        let head = self.enter(TokenStream::new());
        let private = &self.private;
        let tags = self.tags(&quote_spanned!(Span::mixed_site()=> #private::Enter::tags(&__span)));
        quote!(#head #tags #statements)
    }

    /// ```text
    /// fn parse(line: Line) -> Result<Row, E> { body }
    /// →
    /// fn parse(line: Line) -> Result<Row, E> {
    ///     let __span = private::enter(…);
    ///     let out = private::call(move || -> Result<Row, E> { let line = line; { body } });
    ///     if let Some(outcome) = private::Enter::outcome(&__span) { … look at out … }
    ///     return out;
    /// }
    /// ```
    /// A call, because a closure that is called in place infers worse: `fn(&mut self) -> Result<&mut T, E>` fails.
    ///
    /// ```edition2015
    /// extern crate traced_runtime;
    /// use traced_runtime::traced;
    ///
    /// #[traced(tags(b))]
    /// fn tail(a: std::cell::RefCell<Result<u8, u8>>, b: u8) -> Result<u8, u8> {
    ///     a.borrow().clone()
    /// }
    /// ```
    fn closure(&self, sig: &mut Signature, statements: TokenStream) -> TokenStream {
        let captures = Captures::of(sig, self.args);
        let head = self.enter(captures.for_parent.clone());
        let private = &self.private;
        let tags = self.tags(&quote_spanned!(Span::mixed_site()=> __tags));
        let take_tags = (!tags.is_empty())
            .then(|| quote_spanned!(Span::mixed_site()=> let __tags = #private::Enter::tags(&__span);));
        let body = self.body(&captures, &tags, TokenStream::new(), statements);
        let output = &self.output;
        let judge = self.judge();
        quote_spanned! {Span::mixed_site()=>
            #head
            #take_tags
            let __out = #private::call(move || -> #output #body);
            if let ::core::option::Option::Some(__outcome) = #private::Enter::outcome(&__span) {
                let __out = &__out;
                #judge
            }
            return __out;
        }
    }

    /// ```text
    /// async fn load(id: u64) -> User { body }
    /// →
    /// fn load(id: u64) -> impl Future<Output = User> {
    ///     return private::in_span(&SITE, async move {
    ///         let id = id;
    ///         if false { return private::never::<User>(); }
    ///         { body }
    ///     }, |out, outcome| …);
    /// }
    /// ```
    /// `return`, because Clippy's `implicit_return` looks into what macros write, and `needless_return` does not.
    /// Half as large as a future in a future. `impl` comes from this crate, whose edition is 2024: it captures every
    /// lifetime in a caller of any edition, as `async fn` does.
    ///
    /// ```edition2018
    /// #[traced_runtime::traced]
    /// async fn elided(a: &str, b: &mut u8, f: impl Fn(&str) -> u8) -> u8 {
    ///     *b = f(a);
    ///     *b
    /// }
    ///
    /// #[traced_runtime::traced]
    /// async fn tail(a: std::cell::RefCell<Result<u8, u8>>) -> Result<u8, u8> {
    ///     a.borrow().clone()
    /// }
    /// ```
    fn rewritten(&self, sig: &mut Signature, statements: TokenStream) -> TokenStream {
        let content = self.async_body(sig, statements);
        sig.asyncness = None;
        let (arrow, ty, end) = match &sig.output {
            ReturnType::Default => {
                let unit = quote_spanned!(Span::mixed_site()=> ());
                (syn::Token![->](Span::mixed_site()), unit, sig.paren_token.span.close())
            }
            ReturnType::Type(arrow, ty) => (*arrow, ty.to_token_stream(), end_of(ty.to_token_stream())),
        };
        // The last token of a signature says whose it is, to lints about the signature.
        let end = syn::Token![>](end);
        let future = quote_spanned!(located(ty.span())=> impl ::core::future::Future<Output = #ty #end);
        sig.output = ReturnType::Type(arrow, Box::new(Type::Verbatim(future)));
        quote_spanned!(Span::mixed_site()=> return #content;)
    }

    /// The same inside of an `async fn`: `private::in_span(&SITE, async move { … }, …).await`.
    fn wrapped(&self, sig: &mut Signature, statements: TokenStream) -> TokenStream {
        let content = self.async_body(sig, statements);
        quote_spanned!(Span::mixed_site()=> return #content.await;)
    }

    /// `async fn f() -> !` becomes `match private::in_span(&SITE, async move { … }, …).await {}` over an empty type.
    fn endless(&self, sig: &mut Signature, statements: TokenStream) -> TokenStream {
        let endless = Expansion {
            args: self.args,
            private: self.private.clone(),
            name: self.name.clone(),
            output: quote_spanned!(Span::mixed_site()=> ::core::convert::Infallible),
            braces: self.braces,
            in_place: self.in_place,
            yields_future: false,
        };
        let content = endless.async_body(sig, statements);
        quote_spanned!(Span::mixed_site()=> match #content.await {})
    }

    fn async_body(&self, sig: &mut Signature, statements: TokenStream) -> TokenStream {
        let captures = Captures::of(sig, self.args);
        let private = &self.private;
        let parent = self.parent(&captures);
        let tags = self.tags(&quote_spanned!(Span::mixed_site()=> #private::tags()));
        // The first `return` decides the type of an async block; without it a body could not coerce to the declared
        // type, and an error would blame the signature. The compiler points at what is returned: the declared type.
        let output = &self.output;
        let here = output.span();
        let path = match self.args.krate {
            // A path of the user's is not shown at another place: lints about paths would look at it.
            Some(_) => private.clone(),
            None => quote_spanned!(here=> ::traced_runtime::__private),
        };
        let value = quote_spanned!(here=> #path::never::<#output>());
        let fake = quote_spanned!(Span::mixed_site()=> if false { return #value; });
        let body = self.body(&captures, &tags, fake, statements);
        self.in_span(parent, &quote_spanned!(located(self.braces)=> async move #body), None)
    }

    /// ```text
    /// fn load(&self) -> impl Future<Output = User> { body }
    /// →
    /// fn load(&self) -> impl Future<Output = User> {
    ///     return private::in_span_as::<User, _, _>(&SITE, private::call(move || -> _ { { body } }), |out, outcome| …);
    /// }
    /// ```
    /// The type of what comes out is the signature's: in `async { Ok(x?) }` nothing else tells that of the error.
    ///
    /// The body runs at the call, as before. Tags are evaluated there, too, while the arguments exist, and kept for
    /// the span, which starts at the first poll. With `#[track_caller]` the body stays a block in place, of which nothing
    /// returns.
    fn future(&self, sig: &mut Signature, statements: TokenStream) -> TokenStream {
        let (head, future) = self.returned_future(sig, statements);
        quote_spanned!(Span::mixed_site()=> #head return #future;)
    }

    /// As [`future`](Self::future), boxed again: what the body returns may be of any type that coerces.
    fn boxed_future(&self, sig: &mut Signature, statements: TokenStream) -> TokenStream {
        let (head, future) = self.returned_future(sig, statements);
        let private = &self.private;
        quote_spanned!(Span::mixed_site()=> #head return #private::boxed(#future);)
    }

    fn returned_future(&self, sig: &mut Signature, statements: TokenStream) -> (TokenStream, TokenStream) {
        let captures = if self.in_place { Captures::none() } else { Captures::of(sig, self.args) };
        let private = &self.private;
        let parent = self.parent(&captures);
        let tags = self.tags(&quote_spanned!(Span::mixed_site()=> __tags));
        let body = self.body(&captures, &tags, TokenStream::new(), statements);
        let output = &self.output;
        let value = shape::future_value(sig);
        let future = if self.in_place {
            body.into_token_stream()
        } else {
            quote_spanned!(Span::mixed_site()=> #private::call(move || -> #output #body))
        };
        if tags.is_empty() {
            return (TokenStream::new(), self.in_span(parent, &future, value));
        }
        let for_parent = parent.as_ref().map(|parent| quote_spanned!(Span::mixed_site()=> let __parent = #parent;));
        let with_tags = quote_spanned!(Span::mixed_site()=> #private::with_tags(__kept, __future));
        let wrapped = self.span_call(parent.is_some(), &with_tags, value);
        let head = quote_spanned! {Span::mixed_site()=>
            #for_parent
            let mut __kept = #private::keep_tags();
            let __tags = __kept.as_mut();
            let __future = #future;
        };
        (head, wrapped)
    }

    /// ```text
    /// { let id = id; if let Some(tags) = … { … } { ; body } }
    /// ```
    /// The outer braces are of edition 2024: temporaries of the body's last expression drop before the arguments do,
    /// as they would without us. The inner ones stay the user's; an empty statement keeps a body of one expression
    /// from being told that its braces are unused.
    fn body(&self, captures: &Captures, tags: &TokenStream, fake: TokenStream, statements: TokenStream) -> Group {
        let moves = &captures.moves;
        let unlike_one_expression = quote_spanned!(Span::mixed_site()=> ;);
        let body = block(quote!(#unlike_one_expression #statements), self.braces);
        if self.yields_future {
            // For Clippy, which would ask whether an `.await` is missing.
            let body = quote_spanned!(located(self.braces)=> return #body;);
            return block(quote!(#moves #tags #fake #body), located(self.braces));
        }
        block(quote!(#moves #tags #fake #body), located(self.braces))
    }

    /// `{ static __SITE: Callsite = …; &__SITE }`
    ///
    /// The call of `new` has the span of the function's name, because the compiler tells `new` that it was called
    /// there. An alias of the module saves it from a leading `::`, which would mean something else in edition 2015.
    fn site(&self) -> TokenStream {
        let Args { name, kind, remote, root, require_parent, .. } = self.args;
        let private = &self.private;
        let literal = LitStr::new(&self.name.unraw().to_string(), located(self.name.span()));
        let mut path = Group::new(Delimiter::Parenthesis, quote_spanned!(Span::mixed_site()=> #literal, || ()));
        path.set_span(self.name.span());
        let mut site = quote_spanned!(self.name.span()=> __traced::Callsite::new);
        site.extend([TokenTree::Group(path)]);
        if let Some(name) = name {
            let value = &name.value;
            site.extend(quote_spanned!(Span::mixed_site()=> .named(#value)));
        }
        if let Some(kind) = kind {
            let value = &kind.value;
            site.extend(quote_spanned!(Span::mixed_site()=> .kind(__traced::Kind::#value)));
        }
        if let Some(remote) = remote {
            let value = &remote.value;
            site.extend(quote_spanned!(Span::mixed_site()=> .remote(#value)));
        }
        if root.is_some() {
            site.extend(quote_spanned!(Span::mixed_site()=> .root()));
        }
        if require_parent.is_some() {
            site.extend(quote_spanned!(Span::mixed_site()=> .require_parent()));
        }
        quote_spanned! {Span::mixed_site()=>
            {
                use #private as __traced;
                static __SITE: __traced::Callsite = #site;
                &__SITE
            }
        }
    }

    /// `let __span = private::enter(…);`
    fn enter(&self, for_parent: TokenStream) -> TokenStream {
        let private = &self.private;
        let site = self.site();
        match &self.args.parent {
            None if self.args.root.is_some() => {
                quote_spanned!(Span::mixed_site()=> let __span = #private::enter_root(#site);)
            }
            None => quote_spanned!(Span::mixed_site()=> let __span = #private::enter(#site);),
            Some(parent) => {
                let value = borrowed(&parent.value);
                quote_spanned! {Span::mixed_site()=>
                    let __span = {
                        #for_parent
                        #private::enter_in(#site, #value)
                    };
                }
            }
        }
    }

    /// `private::in_span(…)`, or `{ let parent = …; private::in_span_of(…) }`: the arguments are still there at the call.
    /// With a type for what the future gives, `…_as::<T, _, _>(…)`.
    fn in_span(&self, parent: Option<TokenStream>, future: &TokenStream, value: Option<TokenStream>) -> TokenStream {
        let call = self.span_call(parent.is_some(), future, value);
        match parent {
            None => call,
            Some(parent) => quote_spanned!(Span::mixed_site()=> { let __parent = #parent; #call }),
        }
    }

    fn span_call(&self, has_parent: bool, future: &TokenStream, value: Option<TokenStream>) -> TokenStream {
        let private = &self.private;
        let site = self.site();
        let judge = self.judge();
        let judge = if judge.is_empty() {
            quote_spanned!(Span::mixed_site()=> |_, _| {})
        } else {
            quote_spanned!(Span::mixed_site()=> |__out, __outcome| { #judge })
        };
        let (name, parent) = match (has_parent, value.is_some()) {
            (false, false) => ("in_span", TokenStream::new()),
            (false, true) => ("in_span_as", TokenStream::new()),
            (true, false) => ("in_span_of", quote_spanned!(Span::mixed_site()=> __parent,)),
            (true, true) => ("in_span_of_as", quote_spanned!(Span::mixed_site()=> __parent,)),
        };
        let function = Ident::new(name, Span::mixed_site());
        let of = value.map(|value| quote_spanned!(Span::mixed_site()=> ::<#value, _, _>));
        quote_spanned!(Span::mixed_site()=> #private::#function #of (#site, #parent #future, #judge))
    }

    fn parent(&self, captures: &Captures) -> Option<TokenStream> {
        let parent = self.args.parent.as_ref()?;
        let private = &self.private;
        let value = borrowed(&parent.value);
        let for_parent = &captures.for_parent;
        Some(quote_spanned!(Span::mixed_site()=> { #for_parent #private::parent_of(#value) }))
    }

    /// `if let Some(tags) = … { tags.value("key", &(expr)); … }`
    fn tags(&self, source: &TokenStream) -> TokenStream {
        if self.args.tags.is_empty() {
            return TokenStream::new();
        }
        let calls = self.args.tags.iter().map(|Tag { key, form, value }| {
            let method = match form {
                TagForm::Value => "value",
                TagForm::Display => "display",
                TagForm::Debug => "debug",
            };
            let method = Ident::new(method, located(value.span()));
            let value = borrowed(value);
            let key = LitStr::new(&key.value(), located(key.span()));
            quote_spanned!(Span::mixed_site()=> __tags.#method(#key, #value);)
        });
        quote_spanned! {Span::mixed_site()=>
            if let ::core::option::Option::Some(__tags) = #source { #(#calls)* }
        }
    }

    /// Statements that look at `out: &Ret` and tell `outcome`. The method calls find the form that the type offers by
    /// their search through references; a blanket trait of the user's would be found first if it had such names.
    fn judge(&self) -> TokenStream {
        let private = &self.private;
        let error = match self.args.err.as_ref().map(|given| (given.value, given.option.span())) {
            None | Some((ErrorForm::Any, _)) => quote_spanned! {Span::mixed_site()=>
                { use #private::Judge as _; (&&&&&&#private::Probe(__out)).__traced_judge(__outcome); }
            },
            Some((ErrorForm::Debug, span)) => {
                quote_spanned!(located(span)=> #private::error_debug(__out, __outcome);)
            }
            Some((ErrorForm::Type, span)) => {
                quote_spanned!(located(span)=> #private::error_type(__out, __outcome);)
            }
            Some((ErrorForm::Skip, _)) => TokenStream::new(),
        };
        let value = self.args.ret.as_ref().map(|given| {
            let function = match given.value {
                ValueForm::Debug => format_ident!("returned_debug", span = located(given.option.span())),
                ValueForm::Display => format_ident!("returned_display", span = located(given.option.span())),
            };
            quote_spanned! {located(given.option.span())=>
                {
                    use #private::Returned as _;
                    if let ::core::option::Option::Some(__value) = (&&#private::Probe(__out)).__traced_returned() {
                        #private::#function(__value, __outcome);
                    }
                }
            }
        });
        quote!(#error #value)
    }
}

/// `&(expr)`, which neither moves nor trips over precedence.
fn borrowed(value: &TokenStream) -> TokenStream {
    quote_spanned!(located(value.span())=> &(#value))
}

/// Where the last token ends.
fn end_of(tokens: TokenStream) -> Span {
    match tokens.into_iter().last() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::None => end_of(group.stream()),
        Some(TokenTree::Group(group)) => group.span_close(),
        Some(token) => token.span(),
        None => Span::mixed_site(),
    }
}

fn block(content: TokenStream, span: Span) -> Group {
    let mut block = Group::new(Delimiter::Brace, content);
    block.set_span(span);
    block
}
