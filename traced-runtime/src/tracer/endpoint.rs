//! A node of the network: the local process, or the other side of a conversation.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Mutex;

/// The endpoints that tracers of this process have had: one for each service and port.
static INTERNED: Mutex<Vec<&'static Endpoint>> = Mutex::new(Vec::new());

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
    /// cost more than writing it. One that is equal to an earlier one takes no memory.
    pub(crate) fn interned(self) -> &'static Self {
        // Not waited for: in a forked child a thread that is not there may hold it for ever.
        let Ok(mut interned) = INTERNED.try_lock() else { return Box::leak(Box::new(self)) };
        if let Some(endpoint) = interned.iter().find(|endpoint| ***endpoint == self) {
            return endpoint;
        }
        let endpoint: &'static Self = Box::leak(Box::new(self));
        interned.push(endpoint);
        endpoint
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

    #[test]
    fn equal_endpoints_are_kept_once() {
        let endpoint = || Endpoint::named("interned").port(80);
        let first = endpoint().interned();
        assert_eq!(first, &endpoint());
        // Another test may hold the table, and then it is another one.
        assert!((0..100).any(|_| std::ptr::eq(endpoint().interned(), first)));
        assert!(!std::ptr::eq(endpoint().port(81).interned(), first));
    }
}
