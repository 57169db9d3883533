use std::future::Future;

use traced_runtime::{Context, Span, traced};

pub struct Wrapper<T>(T);

pub struct Request {
    context: Context,
}

#[traced(parent = context)]
pub fn reference(context: &Context) -> Result<bool, String> {
    Ok(context.is_none())
}

#[traced(parent = context)]
pub fn option(context: Option<&Context>) -> Result<bool, String> {
    Ok(context.is_some())
}

#[traced(parent = span)]
pub fn span(span: &Span) {
    span.annotate("text");
}

#[traced(parent = request.context)]
pub fn moved_after(request: Request) -> Result<Context, String> {
    Ok(request.context)
}

#[traced(parent = context)]
pub async fn inside_a_pattern((context, _text): (Option<Context>, String), number: u8) -> u8 {
    number + u8::from(context.is_some())
}

#[traced(parent = context)]
pub async fn inside_a_wrapper(Wrapper(context): Wrapper<Context>) -> bool {
    context.is_none()
}

#[traced(parent = context)]
pub fn future(context: Context) -> impl Future<Output = bool> {
    async move { context.is_none() }
}

#[traced(parent = context, tags(length = text.len()))]
pub fn future_with_tags(context: Context, text: String) -> impl Future<Output = usize> {
    async move { text.len() + usize::from(context.is_none()) }
}

#[traced(root)]
pub fn root() -> Result<u8, String> {
    Ok(1)
}

#[traced(root)]
pub async fn root_async() -> Result<u8, String> {
    Ok(1)
}

#[traced(require_parent, kind = consumer, remote = "kafka", name = concat!("a", "b"))]
pub fn options() {}
