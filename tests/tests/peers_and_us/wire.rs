//! A connection between a client and a server that a test breaks.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::SOON;

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// It is closed.
    Closed,
    /// It is reset, as by a machine that knows nothing of it any more.
    Reset,
    /// HTTP/2's GOAWAY with this error code, which takes nothing back that was sent before; then it
    /// is closed.
    GoAway(u32),
    /// HTTP/2's RST_STREAM with this error code: the call alone.
    Stream(u32),
}

/// Passes on what one client and a server say to each other, until it is broken.
#[derive(Debug)]
pub(crate) struct Wire {
    address: SocketAddr,
    passed: Arc<(Mutex<Passed>, Condvar)>,
}

/// What has passed.
#[derive(Debug, Default)]
struct Passed {
    /// The connection to the client, which whole frames are written to.
    client: Option<TcpStream>,
    /// The stream of a request that has passed as a whole.
    request: Option<u32>,
    /// Messages of the response.
    messages: usize,
}

/// A frame of HTTP/2.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;

impl Wire {
    /// In front of the server at this address.
    pub(crate) fn before(server: &str) -> Wire {
        let server = TcpStream::connect(server).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let passed: Arc<(Mutex<Passed>, Condvar)> = Arc::default();
        let all = Arc::clone(&passed);
        thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let (requests, responses) = (Arc::clone(&all), all);
            responses.0.lock().unwrap().client = Some(client.try_clone().unwrap());
            let (from, to) = (server.try_clone().unwrap(), server);
            thread::spawn(move || pass_responses(from, &responses));
            pass_requests(client, to, &requests).ok();
        });
        Wire { address, passed }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until a request has passed, and so many messages of its response.
    pub(crate) fn wait_for(&self, messages: usize) {
        let (passed, changed) = &*self.passed;
        let waits = |passed: &mut Passed| passed.request.is_none() || passed.messages < messages;
        let (_guard, timeout) = changed.wait_timeout_while(passed.lock().unwrap(), SOON, waits).unwrap();
        assert!(!timeout.timed_out(), "no request with {messages} messages");
    }

    pub(crate) fn break_it(&self, how: Break) {
        let mut passed = self.passed.0.lock().unwrap();
        let stream = passed.request.unwrap();
        let mut client = passed.client.take().unwrap();
        let frame = |kind, stream, numbers: &[u32]| Frame {
            kind,
            flags: 0,
            stream,
            payload: numbers.iter().flat_map(|number| number.to_be_bytes()).collect(),
        };
        match how {
            Break::Closed => {}
            Break::Reset => socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap(),
            Break::GoAway(code) => frame(GOAWAY, 0, &[0x7fff_ffff, code]).write(&mut client).unwrap(),
            Break::Stream(code) => {
                frame(RST_STREAM, stream, &[code]).write(&mut client).unwrap();
                passed.client = Some(client);
                return;
            }
        }
        if how == Break::Reset {
            // The other thread's is the last one, and its end the reset.
            client.shutdown(Shutdown::Read).ok();
        } else {
            client.shutdown(Shutdown::Both).ok();
        }
    }
}

fn pass_requests(mut client: TcpStream, mut server: TcpStream, passed: &(Mutex<Passed>, Condvar)) -> io::Result<()> {
    let mut preface = [0; 24];
    client.read_exact(&mut preface)?;
    server.write_all(&preface)?;
    loop {
        let frame = Frame::read(&mut client)?;
        frame.write(&mut server)?;
        if frame.kind == DATA && frame.flags & END_STREAM != 0 {
            passed.0.lock().unwrap().request = Some(frame.stream);
            passed.1.notify_all();
        }
    }
}

fn pass_responses(mut server: TcpStream, passed: &(Mutex<Passed>, Condvar)) {
    while let Ok(frame) = Frame::read(&mut server) {
        let mut passed_now = passed.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(client) = &mut passed_now.client else { break };
        if frame.write(client).is_err() {
            break;
        }
        passed_now.messages += frame.messages();
        passed.1.notify_all();
    }
    // The server has gone.
    if let Some(client) = passed.0.lock().unwrap_or_else(PoisonError::into_inner).client.take() {
        client.shutdown(Shutdown::Both).ok();
    }
}

impl Frame {
    fn read(from: &mut TcpStream) -> io::Result<Frame> {
        let mut head = [0; 9];
        from.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        from.read_exact(&mut payload)?;
        Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The messages of gRPC in it; those of the tests are not longer than a frame.
    fn messages(&self) -> usize {
        let mut rest = if self.kind == DATA { &self.payload[..] } else { &[] };
        let mut messages = 0;
        while let [_, a, b, c, d, message @ ..] = rest {
            rest = &message[u32::from_be_bytes([*a, *b, *c, *d]) as usize..];
            messages += 1;
        }
        messages
    }

    fn write(&self, to: &mut TcpStream) -> io::Result<()> {
        let [_, length @ ..] = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let head = [&length[..], &[self.kind, self.flags], &self.stream.to_be_bytes()];
        to.write_all(&[&head.concat()[..], &self.payload].concat())
    }
}
