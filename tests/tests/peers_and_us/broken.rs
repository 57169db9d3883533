//! Calls whose server goes away: our clients tell of it as their peers do.

use std::thread;

use traced_tests::peers::{self, Brave, Go, Server};
use traced_tests::{Collector, Running};

use super::*;
use crate::ours::{Style, ask};
use crate::wire::{Break, Wire};

/// A unary call and a stream that nobody ends, and how many messages come before.
const CALLS: [(&[&str], usize); 2] = [(&["get", "wait"], 0), (&["dump"], 2)];

/// The peer whose style our client has.
struct Peer {
    style: Style,
    go: &'static Go,
    brave: &'static Brave,
    zipkin: &'static Zipkin,
}

impl Peer {
    #[track_caller]
    fn find(style: Style) -> Option<Peer> {
        Some(Peer { style, go: Go::find()?, brave: Brave::find()?, zipkin: Zipkin::shared()? })
    }

    /// A server whose `dump` does not end. It reports nothing: what it has seen goes with it.
    fn server(&self) -> Server {
        let server = match self.style {
            Style::Otgrpc => self.go.server(self.zipkin),
            Style::Brave => self.brave.grpc_server(self.zipkin),
        };
        let server = Server::start(server.arg("--zipkin="));
        let client = self.go.client(self.zipkin, server.address()).arg("--zipkin=");
        drop(peers::call(client, &["store", "wait", ""]));
        server
    }

    fn client(&self, address: &str, call: &[&str]) -> Running {
        let client = match self.style {
            Style::Otgrpc => self.go.client(self.zipkin, address).arg("--under=callGet").arg("--block=false"),
            Style::Brave => self.brave.grpc_client(self.zipkin, address),
        };
        call.iter().fold(client, |client, argument| client.arg(argument)).start()
    }

    /// What the peer's client reports of a call, and what ours does. `address` gives each of them
    /// an address to call, and what ends the call.
    fn both(&self, address: &dyn Fn() -> (String, Box<dyn FnOnce()>), call: &[&str]) -> [Shape; 2] {
        let (theirs, end) = address();
        let client = self.client(&theirs, call);
        end();
        let theirs = shape(self.zipkin, &peers::told(client.wait(SOON)), 2);

        let tracer = tracer(self.zipkin, "cache service client").build().unwrap();
        let (ours, end) = address();
        let told = thread::scope(|scope| {
            let asked = scope.spawn(|| ask(self.style, &tracer, &tracer.context(), &ours, call));
            end();
            asked.join().unwrap()
        });
        [theirs, shape(self.zipkin, &told, 2)]
    }

    /// The same over a wire that breaks.
    fn over_a_wire(&self, server: &Server, call: &[&str], messages: usize, how: Break) -> [Shape; 2] {
        let wire = || {
            let wire = Wire::before(server.address());
            let address = wire.address();
            let end = move || {
                wire.wait_for(messages);
                wire.break_it(how);
            };
            (address, Box::new(end) as Box<dyn FnOnce()>)
        };
        self.both(&wire, call)
    }
}

fn killed(style: Style, code: &str) {
    let Some(peer) = Peer::find(style) else { return };
    for (call, messages) in CALLS {
        let server = || {
            let server = peer.server();
            let wire = Wire::before(server.address());
            let address = wire.address();
            let end = move || {
                wire.wait_for(messages);
                drop(server);
            };
            (address, Box::new(end) as Box<dyn FnOnce()>)
        };
        let [theirs, ours] = peer.both(&server, call);
        assert!(theirs.to_string().contains(code), "{theirs}");
        assert_eq!(ours, theirs, "{call:?}");
    }
}

#[test]
fn a_server_that_is_killed_is_unavailable_as_with_go() {
    killed(Style::Otgrpc, "response_code=Unavailable");
}

#[test]
fn a_server_that_is_killed_is_unavailable_as_with_brave() {
    killed(Style::Brave, "rpc.error_code=UNAVAILABLE");
}

fn broken(style: Style, breaks: &[Break]) {
    let Some(peer) = Peer::find(style) else { return };
    let server = peer.server();
    for (call, messages) in CALLS {
        for &how in breaks {
            let [theirs, ours] = peer.over_a_wire(&server, call, messages, how);
            assert_eq!(ours, theirs, "{call:?} {how:?}");
        }
    }
}

#[test]
fn a_connection_that_breaks_is_told_of_as_with_go() {
    broken(Style::Otgrpc, &[Break::Closed, Break::Reset, Break::GoAway(0), Break::GoAway(2), Break::GoAway(11)]);
}

/// A stream learns that the connection was closed, and not the code of the GOAWAY before. Brave's
/// client knows that code; so GOAWAYs with one are left out here.
#[test]
fn a_connection_that_breaks_is_told_of_as_with_brave() {
    broken(Style::Brave, &[Break::Closed, Break::GoAway(0)]);
}

#[test]
fn a_connection_that_is_reset_has_a_cause_as_with_brave() {
    let Some(peer) = Peer::find(Style::Brave) else { return };
    let server = peer.server();
    for (call, messages) in CALLS {
        for shape in peer.over_a_wire(&server, call, messages, Break::Reset) {
            let text = shape.to_string().to_lowercase();
            assert!(text.contains("rpc.error_code=unavailable") && text.contains("connection reset"), "{text}");
        }
    }
}

/// Codes of HTTP/2: those that the two peers take in different ways, and some others. NO_ERROR is
/// left out, because hyper takes it for an ordinary end.
const RESETS: [u32; 8] = [2, 3, 7, 8, 11, 12, 13, 99];

fn reset(style: Style) {
    let Some(peer) = Peer::find(style) else { return };
    let server = peer.server();
    for code in RESETS {
        let [theirs, ours] = peer.over_a_wire(&server, &["dump"], 2, Break::Stream(code));
        assert_eq!(ours, theirs, "RST_STREAM {code}");
    }
}

#[test]
fn a_stream_that_is_reset_is_told_of_as_with_go() {
    reset(Style::Otgrpc);
}

#[test]
fn a_stream_that_is_reset_is_told_of_as_with_brave() {
    reset(Style::Brave);
}

#[test]
fn a_server_that_is_not_there_is_unavailable_with_what_the_system_says() {
    for (style, code) in [(Style::Otgrpc, "response_code=Unavailable"), (Style::Brave, "rpc.error_code=UNAVAILABLE")] {
        let Some(peer) = Peer::find(style) else { return };
        let absent = Collector::absent();
        let address = || (absent.address().to_string(), Box::new(|| {}) as Box<dyn FnOnce()>);
        for shape in peer.both(&address, &["get", "231"]) {
            let text = shape.to_string();
            assert!(text.contains(code), "{text}");
            assert!(style == Style::Otgrpc || text.to_lowercase().contains("connection refused"), "{text}");
        }
    }
}
