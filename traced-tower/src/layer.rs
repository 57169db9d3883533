//! What a user puts around a service.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use traced_runtime::{Endpoint, RemoteSampling, Sampling, ServerSpan, Span, Tracer};

use crate::role::{Role, ServerRole};
use crate::service::Service;
use crate::settings::Settings;

/// A layer that makes a span of each call. It is made by a function that names the role, such as
/// [`http::server`](crate::http::server).
///
/// What is set here beats what the layer would do by itself. The functions run on the thread of the call: a panic in one
/// is a panic of the call.
pub struct Layer<R: Role> {
    settings: Settings<R>,
}

impl<R: Role> Layer<R> {
    pub(crate) const fn of(role: R) -> Self {
        Self { settings: Settings::of(role) }
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

impl<S, R: Role> tower_layer::Layer<S> for Layer<R> {
    type Service = Service<S, R>;

    fn layer(&self, inner: S) -> Service<S, R> {
        Service::new(inner, self.settings.clone())
    }
}

impl<R: Role> Clone for Layer<R> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone() }
    }
}

impl<R: Role> fmt::Debug for Layer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layer").field(&self.settings.role).finish()
    }
}
