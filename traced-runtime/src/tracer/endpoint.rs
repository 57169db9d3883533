//! A node of the network: the local process, or the other side of a conversation.

use std::borrow::Cow;
use std::net::IpAddr;

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
