//! What the user of a layer can set, and the services it makes.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ::http::HeaderMap;
use traced_runtime::{Context, Endpoint, RemoteSampling, Sampling, ServerSpan, Span, Tracer};

/// The side of a call, and its protocol: what a layer traces.
pub trait Role: Clone + std::fmt::Debug + sealed::Sealed {
    /// The request, as a layer's functions see it: without its body.
    type Request;
    /// The response, as a layer's functions see it: without its body.
    type Response;
}

/// The side of a call that is called.
pub trait ServerRole: Role + sealed::Serves {}

impl<R: Role + sealed::Serves> ServerRole for R {}

pub(crate) mod sealed {
    /// Implemented for this crate's roles alone.
    pub trait Sealed {}

    /// Implemented for this crate's servers alone.
    pub trait Serves {
        #[doc(hidden)]
        fn callers(&mut self) -> &mut super::Callers;
    }
}

/// What a server makes of its callers' contexts.
#[derive(Clone, Copy, Debug, Default)]
#[doc(hidden)]
pub struct Callers {
    form: Option<ServerSpan>,
    sampling: RemoteSampling,
}

type Name<R> = Arc<dyn Fn(&<R as Role>::Request) -> Cow<'static, str> + Send + Sync>;
type Decide<R> = Arc<dyn Fn(&<R as Role>::Request) -> Sampling + Send + Sync>;
type Tags<T> = Arc<dyn Fn(&T, &Span) + Send + Sync>;

/// A layer that makes a span of each call. It is made by a function that names the role, such as
/// [`http::server`](crate::http::server).
///
/// What is set here beats what the layer would do by itself. The functions run on the thread of the call: a panic in one
/// is a panic of the call.
pub struct Layer<R: Role> {
    settings: Settings<R>,
}

/// A service whose calls are spans; made by [`Layer`].
pub struct Service<S, R: Role> {
    pub(crate) inner: S,
    pub(crate) settings: Arc<Settings<R>>,
}

pub(crate) struct Settings<R: Role> {
    pub(crate) role: R,
    tracer: Option<Tracer>,
    name: Option<Name<R>>,
    sampler: Option<Decide<R>>,
    request_tags: Option<Tags<R::Request>>,
    response_tags: Option<Tags<R::Response>>,
    remote: Option<Endpoint>,
}

impl<R: Role> Layer<R> {
    pub(crate) const fn of(role: R) -> Self {
        let settings = Settings {
            role,
            tracer: None,
            name: None,
            sampler: None,
            request_tags: None,
            response_tags: None,
            remote: None,
        };
        Self { settings }
    }

    pub(crate) fn role(&mut self) -> &mut R {
        &mut self.settings.role
    }

    /// Names each span by its request.
    #[must_use]
    pub fn name<N: Into<Cow<'static, str>>>(mut self, name: impl Fn(&R::Request) -> N + Send + Sync + 'static) -> Self {
        self.settings.name = Some(Arc::new(move |request| name(request).into()));
        self
    }

    /// Decides by its request whether a trace that starts here is recorded; where it answers
    /// [`Deferred`](Sampling::Deferred), the tracer's sampler decides. What was decided before, in the headers or by the current
    /// span, is not asked again. The ids of what is not recorded are passed on all the same.
    #[must_use]
    pub fn sampler(mut self, decide: impl Fn(&R::Request) -> Sampling + Send + Sync + 'static) -> Self {
        self.settings.sampler = Some(Arc::new(decide));
        self
    }

    /// Records the spans with this tracer, and not with the installed one. A trace that goes on here stays with the tracer that
    /// it has.
    #[must_use]
    pub fn tracer(mut self, tracer: &Tracer) -> Self {
        self.settings.tracer = Some(tracer.clone());
        self
    }

    /// Tells each span about its request, after the layer has set its tags: a tag of the same key beats that.
    #[must_use]
    pub fn tags(mut self, tags: impl Fn(&R::Request, &Span) + Send + Sync + 'static) -> Self {
        self.settings.request_tags = Some(Arc::new(tags));
        self
    }

    /// Tells each span about its response, after the layer has set its tags: a tag of the same key beats that.
    #[must_use]
    pub fn response_tags(mut self, tags: impl Fn(&R::Response, &Span) + Send + Sync + 'static) -> Self {
        self.settings.response_tags = Some(Arc::new(tags));
        self
    }

    /// Says who is on the other side: Zipkin draws its dependency graph from it.
    #[must_use]
    pub fn remote(mut self, remote: impl Into<Endpoint>) -> Self {
        self.settings.remote = Some(remote.into());
        self
    }
}

impl<R: ServerRole> Layer<R> {
    /// Whether spans join those of their callers or are their children, whatever the tracer is
    /// [set to](traced_runtime::Builder::server_span).
    #[must_use]
    pub fn server_span(mut self, form: ServerSpan) -> Self {
        self.role().callers().form = Some(form);
        self
    }

    /// How much a caller's decision about sampling counts. Default:
    /// [`Trust`](RemoteSampling::Trust), as Zipkin has it: a stranger's `X-B3-Flags: 1` or sampled
    /// `traceparent` is recorded and travels on, whatever the sampler says. For servers that
    /// strangers can reach there are [`DecideAnew`](RemoteSampling::DecideAnew), where the layer's
    /// [`sampler`](Self::sampler) and then the tracer's is asked, and
    /// [`RefuseDebug`](RemoteSampling::RefuseDebug).
    #[must_use]
    pub fn remote_sampling(mut self, remote: RemoteSampling) -> Self {
        self.role().callers().sampling = remote;
        self
    }
}

impl<R: Role> Settings<R> {
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

    /// Tells the span of its request what the user wants to be told.
    pub(crate) fn tell_request(&self, request: &R::Request, span: &Span) {
        if !span.is_recorded() {
            return;
        }
        if let Some(remote) = &self.remote {
            span.remote(remote.clone());
        }
        if let Some(tags) = &self.request_tags {
            tags(request, span);
        }
    }

    /// Tells the span of its response what the user wants to be told.
    pub(crate) fn tell_response(&self, response: &R::Response, span: &Span) {
        match &self.response_tags {
            Some(tags) if span.is_recorded() => tags(response, span),
            _ => {}
        }
    }
}

impl<S, R: Role> tower_layer::Layer<S> for Layer<R> {
    type Service = Service<S, R>;

    fn layer(&self, inner: S) -> Service<S, R> {
        Service { inner, settings: Arc::new(self.settings.clone()) }
    }
}

impl<R: Role> Clone for Layer<R> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone() }
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

impl<S: Clone, R: Role> Clone for Service<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), settings: Arc::clone(&self.settings) }
    }
}

impl<R: Role> fmt::Debug for Layer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layer").field(&self.settings.role).finish()
    }
}

impl<R: Role> fmt::Debug for Settings<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("role", &self.role).field("remote", &self.remote).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, R: Role> fmt::Debug for Service<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("role", &self.settings.role).field("inner", &self.inner).finish()
    }
}
