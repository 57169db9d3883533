//! One source file: where the attributes go, and what is left out.

use std::collections::BTreeMap;
use std::fmt;

use proc_macro2::{LexError, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, File, FnModifiers, ForeignItemFn, ImplItemFn, ItemFn, ItemMacro, Macro, Signature, TraitItemFn,
    Visibility,
};

use crate::{Error, at};

/// Written before each function, on its own line: no other line moves.
const ATTRIBUTE: &str = "#[::traced_runtime::traced] ";

/// A source file, and the functions in it.
#[derive(Debug)]
pub struct Source {
    text: String,
    /// Byte offsets at which a function begins, behind its attributes.
    functions: Vec<usize>,
    /// Where the first item begins: behind the file's own attributes.
    first_item: usize,
    /// Names in `mod name;`, with the value of `#[path]`, each below the inline modules around it.
    modules: Vec<Module>,
    left_out: BTreeMap<LeftOut, usize>,
}

/// `mod name;`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// The inline modules around it.
    pub(crate) within: Vec<String>,
    pub(crate) name: String,
    pub(crate) path: Option<String>,
}

/// Why a function has no attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// It may run in the compiler.
    Const,
    /// It stands in a `macro_rules!`.
    MacroDefinition,
    /// It stands among the arguments of a macro.
    MacroArguments,
    /// It is declared, not defined: in an `extern` block or a trait.
    NoBody,
    /// The compiler calls it: the entry points of procedural macros, a panic handler.
    EntryPoint,
    /// It does not compile with the attribute: a fault of ours.
    Fault,
    /// The parser does not know the item around it.
    NotUnderstood,
}

impl LeftOut {
    /// All reasons.
    pub const ALL: [LeftOut; 7] = [
        LeftOut::Const,
        LeftOut::MacroDefinition,
        LeftOut::MacroArguments,
        LeftOut::NoBody,
        LeftOut::EntryPoint,
        LeftOut::Fault,
        LeftOut::NotUnderstood,
    ];
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeftOut::Const => "const fn",
            LeftOut::MacroDefinition => "in macro_rules!",
            LeftOut::MacroArguments => "in a macro's arguments",
            LeftOut::NoBody => "no body",
            LeftOut::EntryPoint => "entry point",
            LeftOut::Fault => "our fault",
            LeftOut::NotUnderstood => "not understood",
        })
    }
}

impl Source {
    /// Reads a file. Functions with a name that is among the faults are left out.
    pub fn parse(text: &str, faults: &[&str]) -> Result<Source, Error> {
        // The parser drops a byte order mark, and offsets would be off.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let tokens: TokenStream = text.parse().map_err(|error: LexError| at("tokens", error))?;
        let file: File = syn::parse2(tokens).map_err(|error| {
            let start = error.span().start();
            at(format_args!("line {}", start.line), error)
        })?;
        let mut finder = Finder { faults, ..Finder::default() };
        finder.visit_file(&file);
        let first_item = file.items.first().and_then(offset).unwrap_or(text.len());
        let Finder { mut functions, modules, left_out, .. } = finder;
        functions.sort_unstable();
        Ok(Source { text, functions, first_item, modules, left_out })
    }

    /// How many functions get the attribute.
    #[must_use]
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// How many functions get none, by reason.
    #[must_use]
    pub fn left_out(&self) -> &BTreeMap<LeftOut, usize> {
        &self.left_out
    }

    pub(crate) fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The text with an attribute before each function, and `head` before the first item. No line moves.
    #[must_use]
    pub fn annotated(&self, head: &str) -> String {
        let mut out = String::with_capacity(self.text.len() + head.len() + self.functions.len() * ATTRIBUTE.len());
        let (before, mut rest) = self.text.split_at(self.first_item);
        let mut done = before.len();
        out.push_str(before);
        out.push_str(head);
        for function in &self.functions {
            let (before, after) = rest.split_at(function - done);
            out.push_str(before);
            out.push_str(ATTRIBUTE);
            done = *function;
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// Where the tokens begin.
fn offset(tokens: &impl quote::ToTokens) -> Option<usize> {
    let first = tokens.to_token_stream().into_iter().next()?;
    Some(first.span().byte_range().start)
}

#[derive(Default)]
struct Finder<'a> {
    faults: &'a [&'a str],
    functions: Vec<usize>,
    modules: Vec<Module>,
    within: Vec<String>,
    left_out: BTreeMap<LeftOut, usize>,
}

impl Finder<'_> {
    fn function(
        &mut self,
        attrs: &[Attribute],
        vis: &Visibility,
        modifiers: &FnModifiers,
        sig: &Signature,
        body: Option<&Block>,
    ) {
        let reason = if body.is_none() {
            Some(LeftOut::NoBody)
        } else if sig.constness.is_some() {
            Some(LeftOut::Const)
        } else if attrs.iter().any(is_entry_point) {
            Some(LeftOut::EntryPoint)
        } else if self.faults.iter().any(|name| sig.ident == name) {
            Some(LeftOut::Fault)
        } else {
            None
        };
        let start = offset(vis).or_else(|| offset(&modifiers.defaultness)).or_else(|| offset(sig));
        match (reason, start) {
            (None, Some(start)) => self.functions.push(start),
            (reason, _) => self.leave_out(reason.unwrap_or(LeftOut::NotUnderstood), 1),
        }
    }

    fn leave_out(&mut self, reason: LeftOut, functions: usize) {
        if functions > 0 {
            *self.left_out.entry(reason).or_default() += functions;
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.attrs, &item.vis, &item.modifiers, &item.sig, Some(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.attrs, &item.vis, &item.modifiers, &item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.function(&item.attrs, &Visibility::Inherited, &item.modifiers, &item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_foreign_item_fn(&mut self, _: &'ast ForeignItemFn) {
        self.leave_out(LeftOut::NoBody, 1);
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        if item.mac.path.is_ident("macro_rules") {
            self.leave_out(LeftOut::MacroDefinition, named_functions(item.mac.tokens.clone()));
        } else {
            self.visit_macro(&item.mac);
        }
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        self.leave_out(LeftOut::MacroArguments, named_functions(mac.tokens.clone()));
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.leave_out(LeftOut::NotUnderstood, named_functions(tokens.clone()));
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        if item.content.is_none() {
            let path = item.attrs.iter().find_map(path_attribute);
            self.modules.push(Module { within: self.within.clone(), name, path });
            return;
        }
        self.within.push(name);
        visit::visit_item_mod(self, item);
        self.within.pop();
    }
}

fn is_entry_point(attr: &Attribute) -> bool {
    ["proc_macro", "proc_macro_derive", "proc_macro_attribute", "panic_handler"]
        .iter()
        .any(|name| attr.path().is_ident(name))
}

/// The value of `#[path = "…"]`.
fn path_attribute(attr: &Attribute) -> Option<String> {
    let syn::Meta::NameValue(meta) = &attr.meta else { return None };
    match &meta.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) if attr.path().is_ident("path") => {
            Some(path.value())
        }
        _ => None,
    }
}

/// How often `fn name` or `fn $name` stands in the tokens.
fn named_functions(tokens: TokenStream) -> usize {
    let mut count = 0;
    let mut after_fn = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                count += named_functions(group.stream());
                after_fn = false;
            }
            TokenTree::Ident(ident) => {
                count += usize::from(after_fn);
                after_fn = ident == "fn";
            }
            TokenTree::Punct(punct) => {
                count += usize::from(after_fn && punct.as_char() == '$');
                after_fn = false;
            }
            TokenTree::Literal(_) => after_fn = false,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_moves_and_all_kinds_of_functions_are_found() {
        let source = Source::parse(
            "//! A crate. \u{e9}\n#![deny(missing_docs)]\n\n/// Documented.\n#[inline]\npub(crate) fn a() {\n    async fn b() {}\n}\n\
             trait T {\n    fn declared(&self);\n    fn c(&self) {}\n}\nimpl T for u8 {\n    unsafe extern \"C\" fn d() {}\n}\n\
             mod m {\n    const fn e() {}\n    mod file;\n}\nmacro_rules! make {\n    ($n:ident) => { fn $n() {} };\n}\nmake! { fn f() {} }\n\
             extern \"C\" {\n    fn g();\n}\n",
            &[],
        );
        let source = source.expect("it parses");
        assert_eq!(
            source.annotated("extern crate x as _; "),
            "//! A crate. \u{e9}\n#![deny(missing_docs)]\n\nextern crate x as _; /// Documented.\n#[inline]\n\
             #[::traced_runtime::traced] pub(crate) fn a() {\n    #[::traced_runtime::traced] async fn b() {}\n}\n\
             trait T {\n    fn declared(&self);\n    #[::traced_runtime::traced] fn c(&self) {}\n}\nimpl T for u8 {\n    \
             #[::traced_runtime::traced] unsafe extern \"C\" fn d() {}\n}\n\
             mod m {\n    const fn e() {}\n    mod file;\n}\nmacro_rules! make {\n    ($n:ident) => { fn $n() {} };\n}\nmake! { fn f() {} }\n\
             extern \"C\" {\n    fn g();\n}\n",
        );
        let left_out: Vec<_> = source.left_out().iter().map(|(reason, count)| (*reason, *count)).collect();
        assert_eq!(
            left_out,
            [(LeftOut::Const, 1), (LeftOut::MacroDefinition, 1), (LeftOut::MacroArguments, 1), (LeftOut::NoBody, 2)]
        );
        let module = Module { within: vec!["m".to_owned()], name: "file".to_owned(), path: None };
        assert_eq!(source.modules(), [module]);
    }
}
