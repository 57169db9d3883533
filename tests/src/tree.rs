//! A trace of Zipkin's JSON as a tree of text.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

/// The spans of one trace, nested by `parentId`; its `Display` is what tests compare:
///
/// ```text
/// call [@shop]
///   get /price [CLIENT @shop]
///     get /price [SERVER shared @prices]
///       query [@prices] error=boom
/// ```
///
/// Each line has the name, the kind, `shared`, the service, and the `error` tag, as far as there are any. Siblings stand in
/// the order of their timestamps, or by name after [`TraceTree::by_name`].
///
/// Two spans may share one id: the halves of a call, the server's marked `shared`. The server's half then stands under
/// the client's, and a child under the half of its own service, or else under the server's, as Zipkin's UI has it.
#[derive(Debug, Clone)]
pub struct TraceTree {
    spans: Vec<Value>,
    /// Depth and position in `spans`, from the root down.
    lines: Vec<(usize, usize)>,
}

impl TraceTree {
    /// The tree of a whole trace: one root without a parent.
    ///
    /// # Panics
    /// With what is wrong and the spans, if they are not one tree: no span, several trace ids, two spans with the same id
    /// of which not exactly one is shared, a parent that is not there, several roots, a cycle.
    #[track_caller]
    #[must_use]
    pub fn of(spans: &[Value]) -> TraceTree {
        TraceTree::build(spans, None)
    }

    /// The tree of a trace that started elsewhere: its root's parent, which is not among `spans`, has the id `upstream`.
    /// The root may also have that id itself, when it is the shared half of a call.
    ///
    /// # Panics
    /// As [`TraceTree::of`].
    #[track_caller]
    #[must_use]
    pub fn below(upstream: &str, spans: &[Value]) -> TraceTree {
        TraceTree::build(spans, Some(upstream))
    }

    #[track_caller]
    fn build(spans: &[Value], upstream: Option<&str>) -> TraceTree {
        match nest(spans, upstream) {
            Ok(children) => {
                let mut tree = TraceTree { spans: spans.to_vec(), lines: Vec::with_capacity(spans.len()) };
                tree.lay_out(&children, |span| (span["timestamp"].as_u64(), text(span, "name").to_owned()));
                tree
            }
            Err(fault) => panic!("not one tree: {fault}\n{}", listing(spans)),
        }
    }

    /// The same tree with siblings ordered by name, kind and service: for spans that run at the same time.
    #[must_use]
    pub fn by_name(mut self) -> TraceTree {
        let mut children = HashMap::<Option<usize>, Vec<usize>>::new();
        let mut above = Vec::new();
        for &(depth, at) in &self.lines {
            above.truncate(depth);
            children.entry(above.last().copied()).or_default().push(at);
            above.push(at);
        }
        self.lines.clear();
        self.lay_out(&children, describe);
        self
    }

    /// Writes `lines` from `children`, siblings ordered by `key`.
    fn lay_out<K: Ord>(&mut self, children: &HashMap<Option<usize>, Vec<usize>>, key: impl Fn(&Value) -> K) {
        let mut open = vec![(0, None)];
        while let Some((depth, at)) = open.pop() {
            if let Some(at) = at {
                self.lines.push((depth - 1, at));
            }
            let mut below = children.get(&at).cloned().unwrap_or_default();
            below.sort_by_key(|&child| key(&self.spans[child]));
            open.extend(below.into_iter().rev().map(|child| (depth + 1, Some(child))));
        }
    }

    /// The span of this name.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[track_caller]
    #[must_use]
    pub fn span(&self, name: &str) -> &Value {
        let mut named = self.spans.iter().filter(|span| text(span, "name") == name);
        match (named.next(), named.next()) {
            (Some(span), None) => span,
            (None, _) => panic!("no span is named `{name}`:\n{self}"),
            (Some(_), Some(_)) => panic!("several spans are named `{name}`:\n{self}"),
        }
    }

    /// The span of this name and kind (`CLIENT`, `SERVER`, `PRODUCER`, `CONSUMER`, or `""` for a local one).
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[track_caller]
    #[must_use]
    pub fn span_of_kind(&self, name: &str, kind: &str) -> &Value {
        let mut named = (self.spans.iter()).filter(|span| text(span, "name") == name && text(span, "kind") == kind);
        match (named.next(), named.next()) {
            (Some(span), None) => span,
            (None, _) => panic!("no {kind} span is named `{name}`:\n{self}"),
            (Some(_), Some(_)) => panic!("several {kind} spans are named `{name}`:\n{self}"),
        }
    }

    /// The spans in the order of the lines.
    pub fn spans(&self) -> impl Iterator<Item = &Value> {
        self.lines.iter().map(|&(_, at)| &self.spans[at])
    }
}

impl fmt::Display for TraceTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &(depth, at) in &self.lines {
            writeln!(f, "{:1$}{2}", "", depth * 2, describe(&self.spans[at]))?;
        }
        Ok(())
    }
}

/// The children of each span by position, those of `None` being the root.
fn nest(spans: &[Value], upstream: Option<&str>) -> Result<HashMap<Option<usize>, Vec<usize>>, String> {
    let first = spans.first().ok_or("it has no span")?;
    let mut halves = HashMap::<&str, Vec<usize>>::new();
    for (at, span) in spans.iter().enumerate() {
        if text(span, "traceId") != text(first, "traceId") {
            return Err(format!("{} is of another trace", describe(span)));
        }
        halves.entry(text(span, "id")).or_default().push(at);
    }
    for (id, spans_of_id) in &halves {
        let shared = (spans_of_id.iter()).filter(|&&at| is_shared(&spans[at]));
        if spans_of_id.len() > 2 || spans_of_id.len() == 2 && shared.count() != 1 {
            return Err(format!("{} spans have the id {id}", spans_of_id.len()));
        }
    }
    let mut parents = Vec::new();
    let mut children = HashMap::<Option<usize>, Vec<usize>>::new();
    for (at, span) in spans.iter().enumerate() {
        let parent = parent_of(at, span, spans, &halves, upstream)?;
        parents.push(parent);
        children.entry(parent).or_default().push(at);
    }
    let roots = children.get(&None).map_or(0, Vec::len);
    if roots > 1 {
        return Err(format!("it has {roots} roots"));
    }
    for start in 0..spans.len() {
        let path = std::iter::successors(Some(start), |&at| parents[at]);
        if path.take(spans.len() + 1).count() > spans.len() {
            return Err(format!("{} is in or below a cycle", describe(&spans[start])));
        }
    }
    Ok(children)
}

fn parent_of(
    at: usize,
    span: &Value,
    spans: &[Value],
    halves: &HashMap<&str, Vec<usize>>,
    upstream: Option<&str>,
) -> Result<Option<usize>, String> {
    let id = text(span, "id");
    if is_shared(span) {
        if let Some(&client) = halves[id].iter().find(|&&half| half != at) {
            return Ok(Some(client));
        }
        if upstream == Some(id) {
            return Ok(None);
        }
    }
    let parent = text(span, "parentId");
    if parent.is_empty() {
        return Ok(None);
    }
    if let Some(candidates) = halves.get(parent) {
        let service = |at: usize| text(&spans[at]["localEndpoint"], "serviceName");
        let rank = |&&half: &&usize| (service(half) == service(at), is_shared(&spans[half]));
        return Ok(candidates.iter().max_by_key(rank).copied());
    }
    if upstream == Some(parent) {
        return Ok(None);
    }
    Err(format!("the parent {parent} of {} is not there", describe(span)))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn is_shared(span: &Value) -> bool {
    span["shared"] == true
}

fn describe(span: &Value) -> String {
    let kind = text(span, "kind").to_owned();
    let shared = if is_shared(span) { "shared" } else { "" }.to_owned();
    let service = match text(&span["localEndpoint"], "serviceName") {
        "" => String::new(),
        service => format!("@{service}"),
    };
    let about = [kind, shared, service].into_iter();
    let about = about.filter(|word| !word.is_empty()).collect::<Vec<_>>();
    let error = match &span["tags"]["error"] {
        Value::String(error) => format!(" error={error}"),
        _ => String::new(),
    };
    format!("{} [{}]{error}", text(span, "name"), about.join(" "))
}

/// All spans with their ids, for a panic's message.
fn listing(spans: &[Value]) -> String {
    let line = |span: &Value| {
        format!(
            "  trace {} id {} parent {}: {}\n",
            text(span, "traceId"),
            text(span, "id"),
            text(span, "parentId"),
            describe(span)
        )
    };
    spans.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A span of trace `1` whose timestamp is its id.
    fn span(name: &str, id: u64, parent: u64, more: Value) -> Value {
        let mut span = json!({
            "traceId": "1", "id": format!("{id:x}"), "name": name, "timestamp": id,
        });
        if parent != 0 {
            span["parentId"] = format!("{parent:x}").into();
        }
        let more = more.as_object().cloned().unwrap_or_default();
        more.into_iter().for_each(|(name, value)| span[name] = value);
        span
    }

    fn at(service: &str, kind: &str) -> Value {
        let mut more = json!({"localEndpoint": {"serviceName": service}});
        if !kind.is_empty() {
            more["kind"] = kind.into();
        }
        more
    }

    fn shared(service: &str) -> Value {
        let mut more = at(service, "SERVER");
        more["shared"] = true.into();
        more
    }

    #[test]
    fn halves_of_a_call_nest_and_children_follow_their_service() {
        let tree = TraceTree::of(&[
            span("query", 4, 2, json!({"tags": {"error": "boom"}})),
            span("encode", 3, 2, at("shop", "")),
            span("get", 2, 1, shared("prices")),
            span("get", 2, 1, at("shop", "CLIENT")),
            span("call", 1, 0, at("shop", "")),
        ]);
        let expected = "\
call [@shop]
  get [CLIENT @shop]
    get [SERVER shared @prices]
      query [] error=boom
    encode [@shop]
";
        assert_eq!(tree.to_string(), expected);
        assert_eq!(tree.span("query")["id"], "4");
        assert_eq!(tree.span_of_kind("get", "SERVER")["shared"], true);
    }

    #[test]
    fn siblings_stand_by_time_or_by_name() {
        let tree = TraceTree::of(&[
            span("a", 9, 1, json!({})),
            span("b", 3, 1, json!({})),
            span("root", 1, 0, json!({})),
            span("c", 4, 3, json!({})),
        ]);
        assert_eq!(tree.to_string(), "root []\n  b []\n    c []\n  a []\n");
        let tree = tree.by_name();
        assert_eq!(tree.to_string(), "root []\n  a []\n  b []\n    c []\n");
        let names = tree.spans().map(|span| text(span, "name"));
        assert_eq!(names.collect::<Vec<_>>(), ["root", "a", "b", "c"]);
    }

    #[test]
    fn a_trace_may_start_elsewhere() {
        let child = [span("serve", 2, 7, json!({}))];
        assert_eq!(TraceTree::below("7", &child).to_string(), "serve []\n");
        let half = [span("serve", 2, 7, shared("s"))];
        let expected = "serve [SERVER shared @s]\n";
        assert_eq!(TraceTree::below("2", &half).to_string(), expected);
    }

    #[track_caller]
    fn fault(spans: &[Value]) -> String {
        match nest(spans, None) {
            Ok(_) => panic!("it is a tree"),
            Err(fault) => fault,
        }
    }

    #[test]
    fn what_is_no_tree_is_told() {
        let root = span("root", 1, 0, json!({}));
        let none = json!({});
        let mut other = root.clone();
        other["traceId"] = "2".into();
        let lost = span("lost", 2, 7, none.clone());
        let ring = [span("a", 2, 3, none.clone()), span("b", 3, 2, none.clone())];
        assert_eq!(fault(&[]), "it has no span");
        assert_eq!(fault(&[root.clone(), other]), "root [] is of another trace");
        assert_eq!(fault(&[root.clone(), root.clone()]), "2 spans have the id 1");
        assert_eq!(fault(&[root.clone(), lost]), "the parent 7 of lost [] is not there");
        assert_eq!(fault(&[root, span("root", 2, 0, none)]), "it has 2 roots");
        assert_eq!(fault(&ring), "a [] is in or below a cycle");
    }

    #[test]
    #[should_panic(expected = "trace 1 id 2 parent 7: lost []")]
    fn the_panic_lists_the_spans() {
        drop(TraceTree::of(&[span("lost", 2, 7, json!({}))]));
    }
}
