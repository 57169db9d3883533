//! What two peers must agree in.

use std::fmt;

use serde_json::Value;

use crate::TraceTree;

/// A trace without what differs from run to run and from tracer to tracer: ids, times, endpoints.
///
/// Its lines are the spans from the root down, each with its service, kind, flags and name, the name of its parent, and
/// `joined` if another span has the same id; then its tags, and its annotations after an `@`:
///
/// ```text
/// shop: CLIENT get /price < order
///     http.method=GET
/// prices: SERVER shared get /price < order, joined
///     http.method=GET
///     @ found
/// ```
///
/// Left aside is the tag `lc`, which the recorder of zipkin-go-opentracing adds to local spans.
#[derive(Clone, PartialEq, Eq)]
pub struct Shape {
    spans: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    service: String,
    text: String,
}

impl Shape {
    /// The shape of a whole trace.
    ///
    /// # Panics
    /// When it is not one tree: see [`TraceTree::of`].
    #[track_caller]
    #[must_use]
    pub fn of(spans: &[Value]) -> Shape {
        let tree = TraceTree::of(spans);
        let spans = tree
            .spans()
            .map(|span| Line { service: text(&span["localEndpoint"]["serviceName"]), text: describe(span, spans) });
        Shape { spans: spans.collect() }
    }

    /// What one service reported of it.
    ///
    /// # Panics
    /// When that is nothing.
    #[track_caller]
    #[must_use]
    pub fn of_service(&self, service: &str) -> Shape {
        let spans: Vec<_> = self.spans.iter().filter(|span| span.service == service).cloned().collect();
        assert!(!spans.is_empty(), "no span of {service} in\n{self}");
        Shape { spans }
    }

    /// Compares it with its text, indented in whatever way.
    ///
    /// # Panics
    /// When they differ.
    #[track_caller]
    pub fn assert(&self, expected: &str) {
        let plain = |text: &str| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.collect::<Vec<_>>().join("\n")
        };
        assert!(plain(&self.to_string()) == plain(expected), "the trace is\n{self}\nand not\n{expected}");
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spans.iter().try_for_each(|span| write!(f, "{}: {}", span.service, span.text))
    }
}

/// As `Display`, for assertions that two are equal.
impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn describe(span: &Value, all: &[Value]) -> String {
    let mut words = Vec::new();
    words.extend(span["kind"].as_str());
    words.extend(["shared", "debug"].into_iter().filter(|flag| span[flag] == true));
    words.extend(span["name"].as_str());
    let mut line = words.join(" ");
    if let Some(parent) = span["parentId"].as_str() {
        let halves = || all.iter().filter(|other| other["id"] == parent);
        let service = |span: &Value| span["localEndpoint"]["serviceName"].clone();
        let own = halves().find(|half| service(half) == service(span));
        let parent = own.or_else(|| halves().next()).map_or("elsewhere".to_owned(), |parent| text(&parent["name"]));
        line += &format!(" < {parent}");
    }
    if all.iter().any(|other| other["id"] == span["id"] && other["kind"] != span["kind"]) {
        line += ", joined";
    }
    line.push('\n');
    let tags = span["tags"].as_object().into_iter().flatten().filter(|(key, _)| *key != "lc");
    for (key, value) in tags {
        line += &format!("    {key}={}\n", text(value));
    }
    for annotation in span["annotations"].as_array().into_iter().flatten() {
        line += &format!("    @ {}\n", text(&annotation["value"]));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call() -> Vec<Value> {
        let shop = json!({"serviceName": "shop"});
        let prices = json!({"serviceName": "prices", "ipv4": "127.0.0.1"});
        vec![
            json!({"traceId": "1", "id": "1", "name": "order", "timestamp": 1, "localEndpoint": shop, "tags": {"lc": "shop"}}),
            json!({"traceId": "1", "id": "2", "parentId": "1", "name": "get", "kind": "CLIENT", "timestamp": 2,
                "localEndpoint": shop, "tags": {"a": "b"}}),
            json!({"traceId": "1", "id": "2", "parentId": "1", "name": "get", "kind": "SERVER", "timestamp": 3,
                "localEndpoint": prices, "shared": true, "debug": true, "annotations": [{"timestamp": 4, "value": "found"}]}),
            json!({"traceId": "1", "id": "3", "parentId": "2", "name": "query", "timestamp": 4, "localEndpoint": prices}),
        ]
    }

    #[test]
    fn a_call_of_two_services() {
        let shape = Shape::of(&call());
        shape.assert(
            "
            shop: order
            shop: CLIENT get < order, joined
                a=b
            prices: SERVER shared debug get < order, joined
                @ found
            prices: query < get
            ",
        );
        shape.of_service("prices").assert(
            "
            prices: SERVER shared debug get < order, joined
                @ found
            prices: query < get
            ",
        );
    }

    #[test]
    #[should_panic(expected = "the trace is\nshop: order\n")]
    fn another_text_fails() {
        Shape::of(&call()).of_service("shop").assert("shop: order");
    }

    #[test]
    #[should_panic(expected = "no span of stock in\nshop: order\n")]
    fn a_service_that_reported_nothing_fails() {
        drop(Shape::of(&call()).of_service("stock"));
    }
}
