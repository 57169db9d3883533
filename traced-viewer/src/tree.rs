//! The spans of a trace as a tree: Zipkin's rules for halves that share an id, parts, and parents that are missing.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::endpoint::Endpoint;
use crate::id::SpanId;
use crate::span::{Kind, Span, Tag, Tags};
use crate::steps::{counted, steps};

/// Spans by caller and called.
#[derive(Debug)]
pub(crate) struct Tree {
    spans: Vec<Span>,
    nodes: Vec<Node>,
    root: usize,
}

#[derive(Debug, Default)]
struct Node {
    /// `None`: it stands for a root that is missing.
    span: Option<usize>,
    parent: Option<usize>,
    children: Vec<usize>,
}

/// What a span is found by: the two halves of a call share their id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Own(SpanId),
    /// The half of the server, of which there may be several.
    Shared(SpanId, Option<Box<Endpoint>>),
}

impl Tree {
    /// Of the spans of one trace.
    pub(crate) fn of(spans: &[Arc<Span>]) -> Self {
        let spans = merged(spans);
        let mut parents: IndexMap<Key, Option<Key>> = IndexMap::new();
        for span in &spans {
            if span.shared {
                parents.insert(Key::Shared(span.id, span.local_endpoint.clone()), Some(Key::Own(span.id)));
            } else {
                parents.insert(Key::Own(span.id), span.parent_id.map(Key::Own));
            }
        }
        let mut nodes: Vec<Node> = Vec::new();
        let mut by_key: HashMap<Key, usize> = HashMap::new();
        let mut root = None;
        steps(spans.len());
        for (at, span) in spans.iter().enumerate() {
            let node = nodes.len();
            nodes.push(Node { span: Some(at), ..Node::default() });
            if span.shared {
                by_key.insert(Key::Shared(span.id, span.local_endpoint.clone()), node);
                by_key.insert(Key::Shared(span.id, None), node);
                continue;
            }
            if let Some(parent) = span.parent_id {
                // The server's half is nearer than the client's.
                let nearer = Key::Shared(parent, span.local_endpoint.clone());
                if parents.contains_key(&nearer) {
                    parents.insert(Key::Own(span.id), Some(nearer));
                }
            } else if root.is_none() {
                root = Some(node);
                // Once: there is one root.
                #[expect(clippy::disallowed_methods, reason = "the order of the others is Zipkin's")]
                parents.shift_remove(&Key::Own(span.id));
                continue;
            }
            by_key.insert(Key::Own(span.id), node);
        }
        let root = root.unwrap_or_else(|| {
            nodes.push(Node::default());
            nodes.len() - 1
        });
        for (key, parent) in parents {
            let Some(child) = by_key.get(&key).copied() else { continue };
            let parent = parent.and_then(|parent| by_key.get(&parent).copied()).filter(|parent| *parent != child);
            let parent = parent.unwrap_or(root);
            nodes[child].parent = Some(parent);
            nodes[parent].children.push(child);
        }
        Self { spans, nodes, root }
    }

    /// The span of a node; none if the node stands for a root that is missing.
    pub(crate) fn span(&self, at: usize) -> Option<&Span> {
        self.nodes.get(at)?.span.and_then(|span| self.spans.get(span))
    }

    /// All nodes are below this number.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node at the top.
    pub(crate) fn root(&self) -> usize {
        self.root
    }

    /// The nodes below a node.
    pub(crate) fn children(&self, at: usize) -> &[usize] {
        &self.nodes[at].children
    }

    /// The nodes that hang together with the root, level by level.
    pub(crate) fn breadth_first(&self) -> Vec<usize> {
        let mut order = Vec::new();
        let mut queue = VecDeque::from([self.root]);
        while let Some(at) = queue.pop_front() {
            steps(1);
            queue.extend(&self.nodes[at].children);
            order.push(at);
        }
        order
    }

    /// The nearest node above each that crosses to another process: local ones may lie between. Only nodes that hang
    /// together with the root have one.
    pub(crate) fn remote_ancestors(&self) -> Vec<Option<usize>> {
        let mut ancestors = vec![None; self.nodes.len()];
        // Parents come first, so that a node needs to ask its own parent alone.
        for at in self.breadth_first() {
            let own = self.span(at).filter(|span| span.kind.is_some()).map(|_| at);
            let nearest = own.or(ancestors[at]);
            for child in &self.nodes[at].children {
                ancestors[*child] = nearest;
            }
        }
        ancestors
    }
}

/// The spans of a trace with the parts of one span put together, and the halves of calls told apart.
fn merged(spans: &[Arc<Span>]) -> Vec<Span> {
    let mut sorted: Vec<&Span> = spans.iter().map(|span| &**span).collect();
    sorted.sort_by(counted(|one: &&Span, other: &&Span| place(one).cmp(&place(other))));
    let mut merged: Vec<Span> = Vec::new();
    let mut parts = sorted.into_iter().peekable();
    while let Some(first) = parts.next() {
        let mut more = Vec::new();
        let mut host = Host::default();
        host.takes(first.local_endpoint.as_deref());
        let mut is_part = |next: &&Span| {
            next.id == first.id && next.shared == first.shared && host.takes(next.local_endpoint.as_deref())
        };
        while let Some(part) = parts.next_if(&mut is_part) {
            more.push(part);
        }
        let mut span = with_parts(first, &more);
        if let Some(last) = merged.last().filter(|last| last.id == span.id) {
            // Not all clients set the flag.
            span.shared |= last.kind == Some(Kind::Client) && span.kind == Some(Kind::Server);
            if span.shared && span.parent_id.is_none() {
                span.parent_id = last.parent_id;
            }
        }
        merged.push(span);
    }
    merged
}

/// The order of parts: by id, the caller's half first, then by host: none first, what is not known of them last.
fn place(span: &Span) -> impl Ord + '_ {
    let half = match (span.shared, span.kind) {
        (true, _) => 2,
        (false, Some(Kind::Client)) => 0,
        (false, _) => 1,
    };
    let known = span.local_endpoint.as_deref().map(|endpoint| {
        let name = endpoint.service_name.as_deref();
        (name.is_none(), name, endpoint.ipv4.is_none(), endpoint.ipv4, endpoint.ipv6.is_none(), endpoint.ipv6)
    });
    (span.id, half, known)
}

/// What is known of the host that a span's parts came from.
#[derive(Default)]
struct Host {
    service: Option<Box<str>>,
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    port: Option<u16>,
}

impl Host {
    /// Whether this may be the same host; then it is from now on.
    fn takes(&mut self, endpoint: Option<&Endpoint>) -> bool {
        fn fits<T: PartialEq>(known: Option<&T>, other: Option<&T>) -> bool {
            known.is_none() || other.is_none() || known == other
        }
        let Some(endpoint) = endpoint else { return true };
        let port = (endpoint.port != 0).then_some(endpoint.port);
        let same = fits(self.service.as_ref(), endpoint.service_name.as_ref())
            && fits(self.ipv4.as_ref(), endpoint.ipv4.as_ref())
            && fits(self.ipv6.as_ref(), endpoint.ipv6.as_ref())
            && fits(self.port.as_ref(), port.as_ref());
        if same {
            self.service = self.service.take().or_else(|| endpoint.service_name.clone());
            self.ipv4 = self.ipv4.or(endpoint.ipv4);
            self.ipv6 = self.ipv6.or(endpoint.ipv6);
            self.port = self.port.or(port);
        }
        same
    }
}

/// A span with what other parts of it know.
fn with_parts(first: &Span, more: &[&Span]) -> Span {
    let mut span = first.clone();
    let mut tags: Vec<Tag> = Vec::new();
    for part in more {
        steps(1 + part.annotations.len());
        span.parent_id = span.parent_id.or(part.parent_id);
        span.kind = span.kind.or(part.kind);
        span.name = span.name.take().or_else(|| part.name.clone());
        for (time, other) in [(&mut span.timestamp, part.timestamp), (&mut span.duration, part.duration)] {
            if *time == 0 {
                *time = other;
            }
        }
        merge_endpoint(&mut span.local_endpoint, part.local_endpoint.as_deref());
        merge_endpoint(&mut span.remote_endpoint, part.remote_endpoint.as_deref());
        span.annotations.extend(part.annotations.iter().cloned());
        tags.extend(part.tags.iter().map(|(key, value)| (key.into(), value.into())));
        span.debug |= part.debug;
    }
    if !tags.is_empty() {
        span.tags = Tags::of(std::mem::take(&mut span.tags).into_iter().chain(tags).collect());
    }
    span
}

fn merge_endpoint(endpoint: &mut Option<Box<Endpoint>>, part: Option<&Endpoint>) {
    let Some(part) = part else { return };
    let endpoint = endpoint.get_or_insert_default();
    endpoint.service_name = endpoint.service_name.take().or_else(|| part.service_name.clone());
    endpoint.ipv4 = endpoint.ipv4.or(part.ipv4);
    endpoint.ipv6 = endpoint.ipv6.or(part.ipv6);
    if endpoint.port == 0 {
        endpoint.port = part.port;
    }
}
