//! A node of the network: the local process, or the other side of a conversation.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Mutex;

/// The endpoints that tracers of this process have had.
static INTERNED: Interner = Interner::new();

/// Endpoints that stay for the rest of the process: one for each service, address and port.
struct Interner(Mutex<Vec<&'static Endpoint>>);

impl Interner {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The one that is equal to `endpoint`, which takes no memory if there was one before.
    fn intern(&self, endpoint: Endpoint) -> &'static Endpoint {
        // Not waited for: in a forked child a thread that is not there may hold it for ever.
        let Ok(mut interned) = self.0.try_lock() else { return Box::leak(Box::new(endpoint)) };
        if let Some(equal) = interned.iter().find(|interned| ***interned == endpoint) {
            return equal;
        }
        let endpoint: &'static Endpoint = Box::leak(Box::new(endpoint));
        interned.push(endpoint);
        endpoint
    }
}

/// A node of the network, as Zipkin records it: service name, IP address, port; each may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    service: Option<Cow<'static, str>>,
    ip: Option<IpAddr>,
    port: Option<u16>,
}

impl Endpoint {
    /// An endpoint about which nothing is known yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { service: None, ip: None, port: None }
    }

    /// An endpoint with this service name. Zipkin lower-cases it; an empty name is no name.
    #[must_use]
    pub fn named(service: impl Into<Cow<'static, str>>) -> Self {
        Self::new().service(service)
    }

    /// Sets the service name; an empty name is no name.
    #[must_use]
    pub fn service(mut self, service: impl Into<Cow<'static, str>>) -> Self {
        let service = service.into();
        self.service = (!service.is_empty()).then_some(service);
        self
    }

    /// Sets the IP address.
    #[must_use]
    pub const fn ip(mut self, ip: IpAddr) -> Self {
        self.ip = Some(ip);
        self
    }

    /// Sets the port; 0 is no port.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = if port == 0 { None } else { Some(port) };
        self
    }

    /// The same for the rest of the process: every span names the endpoint of its tracer, and counting the references would
    /// cost more than writing it.
    pub(crate) fn interned(self) -> &'static Self {
        INTERNED.intern(self)
    }

    /// The service name, if there is one.
    #[must_use]
    pub fn service_name(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// The IP address, if it is known.
    #[must_use]
    pub const fn ip_addr(&self) -> Option<IpAddr> {
        self.ip
    }

    /// The port, if it is known.
    #[must_use]
    pub const fn port_number(&self) -> Option<u16> {
        self.port
    }

    /// Whether nothing is known: such an endpoint is left out of a report.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.service.is_none() && self.ip.is_none() && self.port.is_none()
    }
}

impl From<&'static str> for Endpoint {
    fn from(service: &'static str) -> Self {
        Self::named(service)
    }
}

impl From<String> for Endpoint {
    fn from(service: String) -> Self {
        Self::named(service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::named("interned").port(80)
    }

    #[test]
    fn equal_endpoints_are_kept_once() {
        let interner = Interner::new();
        let first = interner.intern(endpoint());
        assert_eq!(first, &endpoint());
        assert!(std::ptr::eq(interner.intern(endpoint()), first));
        assert!(!std::ptr::eq(interner.intern(endpoint().port(81)), first));
    }

    #[test]
    fn an_endpoint_is_interned_though_others_are_at_it() {
        let interner = Interner::new();
        let first = interner.intern(endpoint());
        let held = interner.0.try_lock().expect("nobody else has it");
        assert_eq!(interner.intern(endpoint()), first);
        drop(held);
        assert!(std::ptr::eq(interner.intern(endpoint()), first));
    }
}
