//! What stands in the parentheses of `#[traced(…)]`.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, Lit, LitStr, Path, Token, parenthesized, token};

/// What an error about an unknown option lists.
const OPTIONS: &str = "`name`, `kind`, `remote`, `tags`, `err`, `ret`, `parent`, `root`, `require_parent` and `crate`";

const KINDS: &str = "`client`, `server`, `producer` or `consumer`";

/// The options of one attribute, or of a function's attribute merged with that of the block around it.
#[derive(Clone, Default)]
pub(crate) struct Args {
    /// Names the span; any constant expression.
    pub(crate) name: Option<Given<TokenStream>>,
    /// The variant of `Kind`.
    pub(crate) kind: Option<Given<Ident>>,
    /// The service on the other side; any constant expression.
    pub(crate) remote: Option<Given<TokenStream>>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) err: Option<Given<ErrorForm>>,
    pub(crate) ret: Option<Given<ValueForm>>,
    pub(crate) parent: Option<Given<TokenStream>>,
    pub(crate) root: Option<Given<()>>,
    pub(crate) require_parent: Option<Given<()>>,
    /// Where the runtime is, if it is not at `::traced_runtime`.
    pub(crate) krate: Option<Given<Path>>,
    /// Leaves a function out of a block.
    pub(crate) skip: Option<Given<()>>,
}

/// The value of an option, and the option's own name for messages about it.
#[derive(Clone)]
pub(crate) struct Given<T> {
    pub(crate) option: Ident,
    pub(crate) value: T,
}

/// One `key = expr` of `tags(…)`.
#[derive(Clone)]
pub(crate) struct Tag {
    pub(crate) key: LitStr,
    pub(crate) form: TagForm,
    pub(crate) value: TokenStream,
}

/// How the value of a tag becomes text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagForm {
    /// `key = expr`
    Value,
    /// `key = %expr`
    Display,
    /// `key = ?expr`
    Debug,
}

/// What is recorded of an `Err`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorForm {
    /// `err`: what its type offers.
    Any,
    /// `err(Debug)`
    Debug,
    /// `err(type)`
    Type,
    /// `err(skip)`
    Skip,
}

/// How a returned value becomes text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueForm {
    /// `ret`
    Debug,
    /// `ret(Display)`
    Display,
}

impl Args {
    /// The options of a function inside a block that has options, too: the function's win.
    pub(crate) fn within(mut self, block: &Args) -> Args {
        // The three that say where the span goes exclude each other, so they are inherited together or not at all.
        if self.root.is_none() && self.require_parent.is_none() && self.parent.is_none() {
            self.root.clone_from(&block.root);
            self.require_parent.clone_from(&block.require_parent);
            self.parent.clone_from(&block.parent);
        }
        let inherited = block.tags.iter().filter(|tag| self.tags.iter().all(|own| own.key.value() != tag.key.value()));
        self.tags = inherited.cloned().chain(self.tags.iter().cloned()).collect();
        Args {
            kind: self.kind.or_else(|| block.kind.clone()),
            remote: self.remote.or_else(|| block.remote.clone()),
            err: self.err.or_else(|| block.err.clone()),
            ret: self.ret.or_else(|| block.ret.clone()),
            krate: self.krate.or_else(|| block.krate.clone()),
            ..self
        }
    }

    fn option(&mut self, input: ParseStream) -> syn::Result<()> {
        if let Some(literal) = input.parse::<Option<LitStr>>()? {
            return Err(syn::Error::new(literal.span(), format!("write `name = {}`", literal.token())));
        }
        let option = match input.call(Ident::parse_any) {
            Ok(option) => option,
            Err(error) => return Err(syn::Error::new(error.span(), format!("expected an option: {OPTIONS}"))),
        };
        match option.to_string().as_str() {
            "name" => set(&mut self.name, option, |option| value(input, option)),
            "kind" => set(&mut self.kind, option, |option| kind(input, option)),
            "remote" => set(&mut self.remote, option, |option| value(input, option)),
            "tags" => self.tags(input, &option),
            "err" => set(&mut self.err, option, |_| error_form(input)),
            "ret" => set(&mut self.ret, option, |_| value_form(input)),
            "parent" => set(&mut self.parent, option, |option| value(input, option)),
            "root" => set(&mut self.root, option, |option| flag(input, option)),
            "require_parent" => set(&mut self.require_parent, option, |option| flag(input, option)),
            "crate" => set(&mut self.krate, option, |option| {
                equals(input, option, "crate = ::path::to::traced_runtime")?;
                input.call(Path::parse_mod_style)
            }),
            "skip" if !input.peek(token::Paren) => set(&mut self.skip, option, |option| flag(input, option)),
            _ => Err(unknown(&option)),
        }
    }

    fn tags(&mut self, input: ParseStream, option: &Ident) -> syn::Result<()> {
        if !input.peek(token::Paren) {
            return Err(syn::Error::new(option.span(), "write `tags(key = expr, …)`"));
        }
        let content;
        parenthesized!(content in input);
        for tag in Punctuated::<Tag, Token![,]>::parse_terminated(&content)? {
            if self.tags.iter().any(|earlier| earlier.key.value() == tag.key.value()) {
                return Err(syn::Error::new(tag.key.span(), format!("the tag `{}` is given twice", tag.key.value())));
            }
            self.tags.push(tag);
        }
        Ok(())
    }

    /// Options that contradict each other.
    fn check(&self) -> syn::Result<()> {
        let places = [
            self.root.as_ref().map(|given| &given.option),
            self.require_parent.as_ref().map(|given| &given.option),
            self.parent.as_ref().map(|given| &given.option),
        ];
        let mut places = places.into_iter().flatten();
        if let (Some(first), Some(second)) = (places.next(), places.next()) {
            return Err(syn::Error::new(second.span(), format!("`{second}` contradicts `{first}`")));
        }
        Ok(())
    }
}

impl Parse for Args {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut args = Args::default();
        while !input.is_empty() {
            args.option(input)?;
            if input.is_empty() {
                break;
            }
            if !input.peek(Token![,]) {
                return Err(input.error("expected `,` before the next option"));
            }
            input.parse::<Token![,]>()?;
        }
        args.check()?;
        Ok(args)
    }
}

impl Parse for Tag {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        if input.peek(Lit) {
            let key = match input.parse::<Lit>()? {
                Lit::Str(key) => key,
                other => return Err(syn::Error::new(other.span(), "a key is a name or a string")),
            };
            if !input.peek(Token![=]) {
                let message = format!("expected a value: `{} = expr`", key.token());
                return Err(syn::Error::new(key.span(), message));
            }
            input.parse::<Token![=]>()?;
            let (form, value) = tag_value(input)?;
            return Ok(Tag { key, form, value });
        }
        // `name`, `%name`, `?name`: the name is the key.
        let form = tag_form(input)?;
        let key = match input.call(Ident::parse_any) {
            Ok(key) => key,
            Err(error) => {
                return Err(syn::Error::new(error.span(), "expected `key = expr`, `\"dotted.key\" = expr` or a name"));
            }
        };
        if input.peek(Token![.]) || input.peek(Token![::]) {
            return Err(dotted(input, &key));
        }
        let literal = LitStr::new(&key.unraw().to_string(), key.span());
        if form == TagForm::Value && input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            let (form, value) = tag_value(input)?;
            return Ok(Tag { key: literal, form, value });
        }
        if !input.is_empty() && !input.peek(Token![,]) {
            return Err(input.error("expected `,` before the next tag, or `key = expr`"));
        }
        Ok(Tag { key: literal, form, value: key.into_token_stream() })
    }
}

/// `a.b = x`, as other libraries have it, or a place without a key.
fn dotted(input: ParseStream, first: &Ident) -> syn::Error {
    let mut key = first.to_string();
    let mut end = first.span();
    while !input.is_empty() && !input.peek(Token![=]) && !input.peek(Token![,]) {
        let Ok(token) = input.parse::<proc_macro2::TokenTree>() else { break };
        end = token.span();
        key.push_str(&token.to_string());
    }
    let span = first.span().join(end).unwrap_or(first.span());
    let message = if input.peek(Token![=]) {
        format!("quote the key: `\"{key}\" = …`")
    } else {
        format!("give the value a key: `key = {key}`")
    };
    syn::Error::new(span, message)
}

fn tag_form(input: ParseStream) -> syn::Result<TagForm> {
    Ok(if input.parse::<Option<Token![%]>>()?.is_some() {
        TagForm::Display
    } else if input.parse::<Option<Token![?]>>()?.is_some() {
        TagForm::Debug
    } else {
        TagForm::Value
    })
}

fn tag_value(input: ParseStream) -> syn::Result<(TagForm, TokenStream)> {
    let form = tag_form(input)?;
    Ok((form, input.parse::<Expr>()?.into_token_stream()))
}

fn set<T>(slot: &mut Option<Given<T>>, option: Ident, parse: impl FnOnce(&Ident) -> syn::Result<T>) -> syn::Result<()> {
    if slot.is_some() {
        return Err(syn::Error::new(option.span(), format!("`{option}` is given twice")));
    }
    let value = parse(&option)?;
    *slot = Some(Given { option, value });
    Ok(())
}

fn equals(input: ParseStream, option: &Ident, form: &str) -> syn::Result<()> {
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(option.span(), format!("write `{form}`")));
    }
    input.parse::<Token![=]>()?;
    Ok(())
}

fn value(input: ParseStream, option: &Ident) -> syn::Result<TokenStream> {
    let form = match option.to_string().as_str() {
        "parent" => "parent = expr".to_owned(),
        option => format!("{option} = \"…\""),
    };
    equals(input, option, &form)?;
    Ok(input.parse::<Expr>()?.into_token_stream())
}

fn flag(input: ParseStream, option: &Ident) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    Err(syn::Error::new(option.span(), format!("`{option}` takes no value")))
}

fn kind(input: ParseStream, option: &Ident) -> syn::Result<Ident> {
    equals(input, option, "kind = client")?;
    if let Some(literal) = input.parse::<Option<LitStr>>()? {
        let message = match variant(&literal.value()) {
            Some(_) => format!("write `kind = {}`, without quotes", literal.value()),
            None => format!("expected {KINDS}"),
        };
        return Err(syn::Error::new(literal.span(), message));
    }
    let kind = match input.call(Ident::parse_any) {
        Ok(kind) => kind,
        Err(error) => return Err(syn::Error::new(error.span(), format!("expected {KINDS}"))),
    };
    match variant(&kind.to_string()) {
        Some(variant) if kind == variant.to_lowercase() => Ok(Ident::new(variant, kind.span())),
        Some(variant) => Err(syn::Error::new(kind.span(), format!("write `kind = {}`", variant.to_lowercase()))),
        None => Err(syn::Error::new(kind.span(), format!("expected {KINDS}"))),
    }
}

fn variant(kind: &str) -> Option<&'static str> {
    ["Client", "Server", "Producer", "Consumer"].into_iter().find(|variant| variant.eq_ignore_ascii_case(kind))
}

fn error_form(input: ParseStream) -> syn::Result<ErrorForm> {
    const FORMS: &str = "expected `err(Debug)`, `err(type)` or `err(skip)`; an error is displayed without any of them";
    Ok(match form(input, FORMS)? {
        None => ErrorForm::Any,
        Some((form, _)) if form == "Debug" => ErrorForm::Debug,
        Some((form, _)) if form == "type" => ErrorForm::Type,
        Some((form, _)) if form == "skip" => ErrorForm::Skip,
        Some((_, span)) => return Err(syn::Error::new(span, FORMS)),
    })
}

fn value_form(input: ParseStream) -> syn::Result<ValueForm> {
    const FORMS: &str = "expected `ret` (as `Debug`) or `ret(Display)`";
    Ok(match form(input, FORMS)? {
        None => ValueForm::Debug,
        Some((form, _)) if form == "Debug" => ValueForm::Debug,
        Some((form, _)) if form == "Display" => ValueForm::Display,
        Some((_, span)) => return Err(syn::Error::new(span, FORMS)),
    })
}

/// The word in the parentheses after an option, if there are any.
fn form(input: ParseStream, expected: &str) -> syn::Result<Option<(String, Span)>> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(None);
    }
    if !input.peek(token::Paren) {
        return Err(syn::Error::new(input.span(), expected));
    }
    let content;
    let paren = parenthesized!(content in input);
    let word = content.call(Ident::parse_any).map_err(|_| syn::Error::new(paren.span.join(), expected))?;
    if !content.is_empty() {
        return Err(syn::Error::new(content.span(), expected));
    }
    Ok(Some((word.to_string(), word.span())))
}

/// An option that is not one: habits from other libraries get their translation.
fn unknown(option: &Ident) -> syn::Error {
    let message = match option.to_string().as_str() {
        "skip_all" | "skip" => {
            format!("`{option}` is not needed: nothing is recorded that `tags(…)` does not name")
        }
        "fields" | "properties" => format!("`{option}` are tags here: `tags(key = expr, …)`"),
        "level" => "spans have no level: remove it".to_owned(),
        "service" | "remote_service" | "service_name" => format!("unknown option `{option}`; did you mean `remote`?"),
        "span_name" | "rename" => format!("unknown option `{option}`; did you mean `name`?"),
        _ => format!("unknown option `{option}`; there are {OPTIONS}"),
    };
    syn::Error::new(option.span(), message)
}
