//! What the user of a layer can set, and the span of a request by that.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use traced_runtime::{Context, Endpoint, Sampling, Span, Tracer};

use crate::role::{Callers, Role};

type Name<R> = Arc<dyn Fn(&<R as Role>::Request) -> Cow<'static, str> + Send + Sync>;
type Decide<R> = Arc<dyn Fn(&<R as Role>::Request) -> Sampling + Send + Sync>;
type Tags<T> = Arc<dyn Fn(&T, &Span) + Send + Sync>;

/// What the user of a layer has set.
pub struct Settings<R: Role> {
    pub(crate) role: R,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) name: Option<Name<R>>,
    pub(crate) sampler: Option<Decide<R>>,
    pub(crate) request_tags: Option<Tags<R::Request>>,
    pub(crate) response_tags: Option<Tags<R::Response>>,
    pub(crate) remote: Option<Endpoint>,
}

impl<R: Role> Settings<R> {
    /// Nothing is set.
    pub(crate) const fn of(role: R) -> Self {
        Self { role, tracer: None, name: None, sampler: None, request_tags: None, response_tags: None, remote: None }
    }

    /// The name that the user wants for the span of this request.
    pub(crate) fn name(&self, request: &R::Request) -> Option<Cow<'static, str>> {
        self.name.as_ref().map(|name| name(request))
    }

    /// The span of a request that came in with these headers.
    pub(crate) fn server_span(&self, callers: Callers, name: &str, headers: &HeaderMap, request: &R::Request) -> Span {
        let tracer = self.tracer.clone().or_else(Tracer::current);
        let caller = tracer.map_or_else(Context::none, |tracer| tracer.extract(headers));
        let caller = self.decided(caller.with_remote_sampling(callers.sampling), request);
        match callers.form {
            Some(form) => Span::server_as(form, name, caller),
            None => Span::server(name, caller),
        }
    }

    /// The span of a request that goes out.
    pub(crate) fn client_span(&self, name: &str, request: &R::Request) -> Span {
        let current = Context::current();
        let parent = match &self.tracer {
            Some(tracer) => current.with_tracer(tracer),
            None => current,
        };
        self.decided(parent, request).run(|| Span::client(name))
    }

    /// The context with the sampler's decision, where none was made before.
    fn decided(&self, context: Context, request: &R::Request) -> Context {
        match &self.sampler {
            Some(decide) if context.sampling() == Sampling::Deferred => context.with_sampling(decide(request)),
            _ => context,
        }
    }

    /// Tells a span that is recorded what the user wants to say of its request.
    pub(crate) fn tell_request(&self, request: &R::Request, span: &Span) {
        if let Some(remote) = &self.remote {
            span.remote(remote.clone());
        }
        if let Some(tags) = &self.request_tags {
            tags(request, span);
        }
    }

    /// Tells a span that is recorded what the user wants to say of its response.
    pub(crate) fn tell_response(&self, response: &R::Response, span: &Span) {
        if let Some(tags) = &self.response_tags {
            tags(response, span);
        }
    }
}

impl<R: Role> Clone for Settings<R> {
    fn clone(&self) -> Self {
        Self {
            role: self.role.clone(),
            tracer: self.tracer.clone(),
            name: self.name.clone(),
            sampler: self.sampler.clone(),
            request_tags: self.request_tags.clone(),
            response_tags: self.response_tags.clone(),
            remote: self.remote.clone(),
        }
    }
}

impl<R: Role> fmt::Debug for Settings<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("role", &self.role).field("remote", &self.remote).finish_non_exhaustive()
    }
}
