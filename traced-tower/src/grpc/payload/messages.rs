//! The messages in the bytes of a body.

use http::HeaderMap;

/// Takes apart a body as gRPC frames it: for each message a byte that says whether it is compressed, four of its length,
/// and the message. Bytes come in parts of any length.
#[derive(Debug)]
pub(crate) struct Messages {
    /// Bytes of a message that are kept.
    limit: usize,
    head: [u8; HEAD],
    /// Bytes of the head that are there.
    head_len: usize,
    /// Bytes of the message that are still to come, once the head is there.
    left: usize,
    /// Messages that have come as a whole.
    whole: usize,
    /// The first message, if it is not longer than the limit.
    first: Vec<u8>,
    first_size: usize,
    first_is_compressed: bool,
}

const HEAD: usize = 5;

/// The only message of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Only<'a> {
    pub(crate) size: usize,
    pub(crate) is_compressed: bool,
    /// `None`: it was too long to keep.
    pub(crate) bytes: Option<&'a [u8]>,
}

impl Messages {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            head: [0; HEAD],
            head_len: 0,
            left: 0,
            whole: 0,
            first: Vec::new(),
            first_size: 0,
            first_is_compressed: false,
        }
    }

    /// Takes the next bytes of the body.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        // The second message says that it is a stream: nothing more is of interest.
        while !bytes.is_empty() && self.whole < 2 {
            if self.head_len < HEAD {
                let take = bytes.len().min(HEAD - self.head_len);
                self.head[self.head_len..self.head_len + take].copy_from_slice(&bytes[..take]);
                self.head_len += take;
                bytes = &bytes[take..];
                if self.head_len == HEAD {
                    self.begin();
                }
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.left));
            if self.whole == 0 && self.first_size <= self.limit {
                self.first.extend_from_slice(part);
            }
            self.left -= part.len();
            bytes = rest;
            if self.left == 0 {
                self.end();
            }
        }
    }

    fn begin(&mut self) {
        let [compressed, length @ ..] = self.head;
        self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if self.whole == 0 {
            self.first_size = self.left;
            self.first_is_compressed = compressed != 0;
        }
        if self.left == 0 {
            self.end();
        }
    }

    const fn end(&mut self) {
        self.whole += 1;
        self.head_len = 0;
    }

    /// The message, if there was one and no more.
    pub(crate) fn only(&self) -> Option<Only<'_>> {
        let is_kept = self.first_size <= self.limit;
        (self.whole == 1 && self.head_len == 0).then(|| Only {
            size: self.first_size,
            is_compressed: self.first_is_compressed,
            bytes: is_kept.then_some(&*self.first),
        })
    }
}

/// How messages are compressed, as the headers say.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<Box<str>> {
    headers.get("grpc-encoding").and_then(|value| value.to_str().ok()).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).expect("short");
        [&[0], &length.to_be_bytes()[..], message].concat()
    }

    fn read(parts: &[&[u8]], limit: usize) -> Messages {
        let mut messages = Messages::new(limit);
        for part in parts {
            messages.push(part);
        }
        messages
    }

    #[test]
    fn a_message_may_come_in_parts_of_any_length() {
        let bytes = framed(b"message");
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            let messages = read(&[first, second], 7);
            let only = Only { size: 7, is_compressed: false, bytes: Some(b"message") };
            assert_eq!(messages.only(), Some(only), "{at}");
            assert_eq!(read(&[first], 7).only().is_some(), at == bytes.len(), "{at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single, 7).only().and_then(|only| only.bytes), Some(&b"message"[..]));
    }

    #[test]
    fn an_empty_message_is_one_and_no_message_is_none() {
        assert_eq!(read(&[&framed(b"")], 7).only().map(|only| only.bytes), Some(Some(&b""[..])));
        assert_eq!(read(&[], 7).only(), None);
    }

    #[test]
    fn several_messages_are_a_stream() {
        let two = [framed(b"a"), framed(b"b")].concat();
        assert_eq!(read(&[&two], 7).only(), None);
        let begun = [framed(b"a"), vec![0]].concat();
        assert_eq!(read(&[&begun], 7).only(), None, "a second one has begun");
    }

    #[test]
    fn of_a_long_message_only_the_size_is_kept() {
        let long = framed(&[7; 1 << 20]);
        let messages = read(&[&long], 1 << 10);
        assert_eq!(messages.only(), Some(Only { size: 1 << 20, is_compressed: false, bytes: None }));
        assert_eq!(messages.first.capacity(), 0, "nothing of it is kept");
        let lying = [&[1, 0xff, 0xff, 0xff, 0xff][..], &[0; 100]].concat();
        let messages = read(&[&lying], 1 << 10);
        assert_eq!((messages.only(), messages.first.capacity()), (None, 0));
    }
}
