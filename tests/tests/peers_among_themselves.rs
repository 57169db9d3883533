//! What two peers of one kind make of a call among themselves: the reference for calls between them and us.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use traced_tests::Zipkin;
use traced_tests::peers::{self, Brave, Go, Server, Shape, call};

const SOON: Duration = Duration::from_secs(60);

#[track_caller]
fn shape(zipkin: &Zipkin, told: &Value, spans: usize) -> Shape {
    Shape::of(&trace(zipkin, told, spans))
}

#[track_caller]
fn trace(zipkin: &Zipkin, told: &Value, spans: usize) -> Vec<Value> {
    zipkin.wait_for_trace(told["trace"].as_str().unwrap(), spans)
}

/// The B3 headers of a call, without the ids, which are checked for their length.
#[track_caller]
fn b3(received: &Value, trace_id: usize) -> Vec<String> {
    let headers = received["headers"].as_object().unwrap();
    let of_b3 = headers.iter().filter(|(name, _)| name.starts_with("x-b3-") || *name == "b3");
    let lines = of_b3.map(|(name, value)| {
        // The Go peer tells all values of a header.
        let value = value.as_str().or(value[0].as_str()).unwrap();
        let digits = if name == "x-b3-traceid" { trace_id } else { 16 };
        match name.as_str() {
            "x-b3-traceid" | "x-b3-spanid" | "x-b3-parentspanid" => {
                assert_eq!(value.len(), digits, "{name}: {value}");
                name.clone()
            }
            _ => format!("{name}={value}"),
        }
    });
    lines.collect()
}

mod go {
    use super::*;

    /// A Go server, and clients of it.
    struct Pair {
        zipkin: &'static Zipkin,
        go: &'static Go,
        server: Server,
    }

    impl Pair {
        /// The one that tests share which leave the server as it was.
        #[track_caller]
        fn shared() -> Option<&'static Pair> {
            static SHARED: OnceLock<Pair> = OnceLock::new();
            // Each test says by itself what it lacks.
            Go::find()?;
            Zipkin::shared()?;
            Some(SHARED.get_or_init(|| Pair::start(&[]).unwrap()))
        }

        #[track_caller]
        fn start(flags: &[&str]) -> Option<Pair> {
            let go = Go::find()?;
            let zipkin = Zipkin::shared()?;
            let server = flags.iter().fold(go.server(zipkin), |server, flag| server.arg(flag));
            Some(Pair { zipkin, go, server: Server::start(server) })
        }

        /// What the client tells of a call.
        #[track_caller]
        fn call(&self, arguments: &[&str]) -> Value {
            call(self.go.client(self.zipkin, self.server.address()), arguments)
        }

        #[track_caller]
        fn received(&self, told: &Value) -> Value {
            self.server.received(told["trace"].as_str().unwrap())
        }
    }

    #[test]
    fn share_the_span_of_a_call() {
        let Some(pair) = Pair::shared() else { return };
        let told = pair.call(&["get", "231"]);
        let received = pair.received(&told);
        assert_eq!(told["value"], json!([231]));
        shape(pair.zipkin, &told, 4).assert(
            r#"
            cache service client: callget
            cache service client: CLIENT /grpc1.cacheservice/get < callget, joined
                component=gRPC
                @ gRPCrequest="key:\"231\" "
                @ gRPCresponse="value:\"\\347\" "
            cache server: SERVER shared /grpc1.cacheservice/get < callget, joined
                component=gRPC
                @ gRPCrequest="key:\"231\" "
                @ gRPCresponse="value:\"\\347\" "
            cache server: db query user < /grpc1.cacheservice/get
            "#,
        );
        let multi = ["x-b3-flags=0", "x-b3-parentspanid", "x-b3-sampled=1", "x-b3-spanid", "x-b3-traceid"];
        assert_eq!(b3(&received, 16), multi);
    }

    #[test]
    fn write_an_empty_payload_as_nothing() {
        let Some(pair) = Pair::start(&[]) else { return };
        let told = pair.call(&["store", "k", "é"]);
        let received = pair.received(&told);
        shape(pair.zipkin, &told, 2).assert(
            r#"
            cache service client: CLIENT /grpc1.cacheservice/store, joined
                component=gRPC
                @ gRPCrequest="key:\"k\" value:\"\\303\\251\" "
                @ gRPCresponse=
            cache server: SERVER shared /grpc1.cacheservice/store, joined
                component=gRPC
                @ gRPCrequest="key:\"k\" value:\"\\303\\251\" "
                @ gRPCresponse=
            "#,
        );
        assert_eq!(b3(&received, 16), ["x-b3-flags=0", "x-b3-sampled=1", "x-b3-spanid", "x-b3-traceid"]);
    }

    #[test]
    fn blame_the_client_in_its_own_span_alone() {
        let Some(pair) = Pair::shared() else { return };
        let told = pair.call(&["get", "code:5"]);
        assert_eq!(told["code"], "NotFound");
        shape(pair.zipkin, &told, 4).assert(
            r#"
            cache service client: callget
            cache service client: CLIENT /grpc1.cacheservice/get < callget, joined
                component=gRPC
                error=true
                response_class=4xx
                response_code=NotFound
                @ gRPCrequest="key:\"code:5\" "
                @ event=error message="rpc error: code = NotFound desc = as asked"
            cache server: SERVER shared /grpc1.cacheservice/get < callget, joined
                component=gRPC
                response_class=4xx
                response_code=NotFound
                @ gRPCrequest="key:\"code:5\" "
                @ event=error message="rpc error: code = NotFound desc = as asked"
            cache server: db query user < /grpc1.cacheservice/get
            "#,
        );
    }

    #[test]
    fn name_the_class_of_each_code() {
        let Some(pair) = Pair::shared() else { return };
        let classes = [
            (1, "Canceled", "2xx", false),
            (2, "Unknown", "0xx", false),
            (3, "InvalidArgument", "4xx", false),
            (13, "Internal", "5xx", true),
            (16, "Unauthenticated", "4xx", false),
            (17, "Code(17)", "0xx", false),
        ];
        for (number, code, class, blames_server) in classes {
            let told = pair.call(&["get", &format!("code:{number}")]);
            let spans = trace(pair.zipkin, &told, 4);
            for (kind, error) in [("CLIENT", true), ("SERVER", blames_server)] {
                let tags = &spans.iter().find(|span| span["kind"] == kind).unwrap()["tags"];
                assert_eq!((&tags["response_code"], &tags["response_class"]), (&code.into(), &class.into()));
                assert_eq!(tags["error"] == "true", error, "{kind} {tags}");
            }
        }
    }

    #[test]
    fn call_a_cancelled_call_unknown_on_the_server() {
        let Some(pair) = Pair::start(&[]) else { return };
        let mut client = pair.go.client(pair.zipkin, pair.server.address()).arg("get").arg("wait").start();
        drop(pair.server.received("CacheService/Get"));
        client.signal("INT");
        let told = peers::told(client.wait(SOON));
        assert_eq!(told["code"], "Canceled");
        shape(pair.zipkin, &told, 4).assert(
            r#"
            cache service client: callget
            cache service client: CLIENT /grpc1.cacheservice/get < callget, joined
                component=gRPC
                error=true
                response_class=2xx
                response_code=Canceled
                @ gRPCrequest="key:\"wait\" "
                @ event=error message="rpc error: code = Canceled desc = context canceled"
            cache server: SERVER shared /grpc1.cacheservice/get < callget, joined
                component=gRPC
                response_class=0xx
                response_code=Unknown
                @ gRPCrequest="key:\"wait\" "
                @ event=error message="context canceled"
            cache server: db query user < /grpc1.cacheservice/get
            "#,
        );
    }

    #[test]
    fn keep_payloads_out_of_streams() {
        let Some(pair) = Pair::shared() else { return };
        let told = pair.call(&["dump"]);
        assert_eq!(told["items"], json!({"123": [123], "231": [231]}));
        shape(pair.zipkin, &told, 2).assert(
            "
            cache service client: CLIENT /grpc1.cacheservice/dump, joined
                component=gRPC
            cache server: SERVER shared /grpc1.cacheservice/dump, joined
                component=gRPC
            ",
        );
    }

    #[test]
    fn tell_how_a_stream_failed() {
        let Some(pair) = Pair::start(&[]) else { return };
        drop(pair.call(&["store", "code:13", ""]));
        let told = pair.call(&["dump"]);
        assert_eq!(told["code"], "Internal");
        shape(pair.zipkin, &told, 2).assert(
            r#"
            cache service client: CLIENT /grpc1.cacheservice/dump, joined
                component=gRPC
                error=true
                response_class=5xx
                response_code=Internal
                @ event=error message="rpc error: code = Internal desc = as asked"
            cache server: SERVER shared /grpc1.cacheservice/dump, joined
                component=gRPC
                error=true
                response_class=5xx
                response_code=Internal
                @ event=error message="rpc error: code = Internal desc = as asked"
            "#,
        );
    }

    #[test]
    fn report_nothing_that_is_not_sampled() {
        let Some(pair) = Pair::shared() else { return };
        let unsampled = pair.call(&["--sample=false", "get", "231"]);
        let received = pair.received(&unsampled);
        let multi = ["x-b3-flags=0", "x-b3-parentspanid", "x-b3-sampled=0", "x-b3-spanid", "x-b3-traceid"];
        assert_eq!(b3(&received, 16), multi);
        let sampled = pair.call(&["get", "231"]);
        drop(trace(pair.zipkin, &sampled, 4));
        assert_eq!(pair.zipkin.trace(unsampled["trace"].as_str().unwrap()), None);
    }

    #[test]
    fn send_debug_as_a_flag() {
        let Some(pair) = Pair::shared() else { return };
        let told = pair.call(&["--debug", "get", "123"]);
        let received = pair.received(&told);
        let multi = ["x-b3-flags=1", "x-b3-parentspanid", "x-b3-sampled=1", "x-b3-spanid", "x-b3-traceid"];
        assert_eq!(b3(&received, 16), multi);
        assert!(trace(pair.zipkin, &told, 4).iter().all(|span| span["debug"] == true));
    }

    #[test]
    fn mark_every_span_with_debug_as_the_first_service_did() {
        let Some(pair) = Pair::start(&["--recorder-debug=true"]) else { return };
        let told = pair.call(&["--recorder-debug=true", "get", "123"]);
        let received = pair.received(&told);
        assert!(b3(&received, 16).contains(&"x-b3-flags=0".to_owned()));
        assert!(trace(pair.zipkin, &told, 4).iter().all(|span| span["debug"] == true));
    }

    #[test]
    fn make_a_child_of_a_call_when_told_to() {
        let Some(pair) = Pair::start(&["--same-span=false"]) else { return };
        let told = pair.call(&["--same-span=false", "store", "k", ""]);
        shape(pair.zipkin, &told, 2).assert(
            r#"
            cache service client: CLIENT /grpc1.cacheservice/store
                component=gRPC
                @ gRPCrequest="key:\"k\" "
                @ gRPCresponse=
            cache server: SERVER /grpc1.cacheservice/store < /grpc1.cacheservice/store
                component=gRPC
                @ gRPCrequest="key:\"k\" "
                @ gRPCresponse=
            "#,
        );
    }

    #[test]
    fn carry_baggage_and_long_ids() {
        let Some(pair) = Pair::shared() else { return };
        let told = pair.call(&["--trace-id-128", "--baggage=Tenant=acmé", "get", "123"]);
        let received = pair.received(&told);
        assert_eq!(told["trace"].as_str().unwrap().len(), 32);
        assert_eq!(b3(&received, 32).last().unwrap(), "x-b3-traceid");
        assert_eq!(received["headers"]["ot-baggage-tenant"], json!(["acmé"]));
        assert_eq!(received["baggage"], json!({"tenant": "acmé"}));
        drop(shape(pair.zipkin, &told, 4));
    }
}

mod brave_over_grpc {
    use super::*;

    /// A Java server, and clients of it.
    struct Pair {
        zipkin: &'static Zipkin,
        brave: &'static Brave,
        server: Server,
    }

    impl Pair {
        /// The one that tests share which leave the server as it was.
        #[track_caller]
        fn shared() -> Option<&'static Pair> {
            static SHARED: OnceLock<Pair> = OnceLock::new();
            // Each test says by itself what it lacks.
            Brave::find()?;
            Zipkin::shared()?;
            Some(SHARED.get_or_init(|| Pair::start().unwrap()))
        }

        #[track_caller]
        fn start() -> Option<Pair> {
            let brave = Brave::find()?;
            let zipkin = Zipkin::shared()?;
            let server = brave.grpc_server(zipkin).arg("--baggage-key=tenant=tenant,ot-baggage-tenant");
            Some(Pair { zipkin, brave, server: Server::start(server) })
        }

        #[track_caller]
        fn call(&self, arguments: &[&str]) -> Value {
            call(self.brave.grpc_client(self.zipkin, self.server.address()), arguments)
        }

        #[track_caller]
        fn received(&self, told: &Value) -> Value {
            self.server.received(told["trace"].as_str().unwrap())
        }
    }

    #[test]
    fn share_the_span_of_a_call() {
        let Some(pair) = Pair::shared() else { return };
        let told = pair.call(&["get", "231"]);
        assert_eq!(told["value"], json!([231]));
        shape(pair.zipkin, &told, 4).assert(
            "
            cache service client: callget
            cache service client: CLIENT grpc1.cacheservice/get < callget, joined
                rpc.method=Get
                rpc.service=grpc1.CacheService
            cache server: SERVER shared grpc1.cacheservice/get < callget, joined
                rpc.method=Get
                rpc.service=grpc1.CacheService
            cache server: db query user < grpc1.cacheservice/get
            ",
        );
        let received = pair.received(&told);
        let multi = ["x-b3-parentspanid", "x-b3-sampled=1", "x-b3-spanid", "x-b3-traceid"];
        assert_eq!(b3(&received, 16), multi);
        let root = received["headers"]["x-b3-parentspanid"].as_str();
        assert_eq!(told["trace"].as_str(), root, "the root's id is the trace's");
    }

    #[test]
    fn name_the_code_of_an_error_on_both_sides() {
        let Some(pair) = Pair::shared() else { return };
        let told = pair.call(&["get", "code:5"]);
        assert_eq!(told["code"], "NOT_FOUND");
        shape(pair.zipkin, &told, 4).assert(
            "
            cache service client: callget
            cache service client: CLIENT grpc1.cacheservice/get < callget, joined
                error=NOT_FOUND
                rpc.error_code=NOT_FOUND
                rpc.method=Get
                rpc.service=grpc1.CacheService
            cache server: SERVER shared grpc1.cacheservice/get < callget, joined
                error=NOT_FOUND
                rpc.error_code=NOT_FOUND
                rpc.method=Get
                rpc.service=grpc1.CacheService
            cache server: db query user < grpc1.cacheservice/get
            ",
        );
    }

    #[test]
    fn find_no_error_on_the_server_in_a_cancelled_stream() {
        let Some(pair) = Pair::start() else { return };
        drop(pair.call(&["store", "wait", ""]));
        let mut client = pair.brave.grpc_client(pair.zipkin, pair.server.address()).arg("dump").start();
        drop(pair.server.received("CacheService/Dump"));
        client.signal("INT");
        let told = peers::told(client.wait(SOON));
        assert_eq!(told["code"], "CANCELLED");
        shape(pair.zipkin, &told, 3).assert(
            "
            cache service client: callget
            cache service client: CLIENT grpc1.cacheservice/dump < callget, joined
                error=CANCELLED
                rpc.error_code=CANCELLED
                rpc.method=Dump
                rpc.service=grpc1.CacheService
            cache server: SERVER shared grpc1.cacheservice/dump < callget, joined
                rpc.method=Dump
                rpc.service=grpc1.CacheService
            ",
        );
    }

    #[test]
    fn send_debug_without_a_decision() {
        let Some(pair) = Pair::shared() else { return };
        let told = pair.call(&["--debug", "get", "123"]);
        let flags_alone = ["x-b3-flags=1", "x-b3-parentspanid", "x-b3-spanid", "x-b3-traceid"];
        assert_eq!(b3(&pair.received(&told), 16), flags_alone);
        assert!(trace(pair.zipkin, &told, 4).iter().all(|span| span["debug"] == true));

        let told = pair.call(&["--b3=single", "--debug", "get", "123"]);
        let received = pair.received(&told);
        let b3 = received["headers"]["b3"].as_str().unwrap();
        let fields: Vec<&str> = b3.split('-').collect();
        assert!(matches!(&*fields, [trace, _, "d", parent] if trace == parent && told["trace"] == *trace), "{b3}");
        assert!(trace(pair.zipkin, &told, 4).iter().all(|span| span["debug"] == true));
    }

    #[test]
    fn carry_baggage_and_long_ids() {
        let Some(pair) = Pair::shared() else { return };
        let flags = ["--trace-id-128", "--baggage-key=tenant=ot-baggage-tenant", "--baggage=tenant=acme"];
        let told = pair.call(&[&flags[..], &["--b3=single", "get", "123"]].concat());
        assert_eq!(told["trace"].as_str().unwrap().len(), 32);
        let received = pair.received(&told);
        assert_eq!(received["headers"]["ot-baggage-tenant"], "acme");
        assert_eq!(received["baggage"], json!({"tenant": "acme"}));
        assert!(shape(pair.zipkin, &told, 4).to_string().contains("SERVER shared"));
    }
}

mod brave_over_http {
    use super::*;

    #[test]
    fn share_the_span_of_a_request() {
        let Some(brave) = Brave::find() else { return };
        let Some(zipkin) = Zipkin::shared() else { return };
        let server = Server::start(brave.http_server(zipkin));
        let request = |path: &str| call(brave.http_client(zipkin, server.address()), &["get", path]);

        let told = request("/users/7?page=2");
        assert_eq!((&told["status"], &told["body"]), (&200.into(), &"7".into()));
        shape(zipkin, &told, 4).assert(
            "
            web client: callget
            web client: CLIENT get < callget, joined
                http.method=GET
                http.path=/users/7
            web server: SERVER shared get /users/{id} < callget, joined
                http.method=GET
                http.path=/users/7
            web server: db query user < get /users/{id}
            ",
        );
        let others = [
            ("/nope", "get not_found", Some("404"), Some("404"), "404"),
            ("/err", "get /err", Some("500"), Some("500"), "500"),
            ("/redir", "get /redir", None, None, "302"),
            ("/boom", "get", Some("500"), Some("boom"), "500"),
        ];
        for (path, name, client_error, server_error, status) in others {
            let spans = trace(zipkin, &request(path), 3);
            let of_kind = |kind| spans.iter().find(|span| span["kind"] == kind).unwrap();
            for (span, name, error) in
                [(of_kind("CLIENT"), "get", client_error), (of_kind("SERVER"), name, server_error)]
            {
                assert_eq!(span["name"], name);
                let tags = &span["tags"];
                assert_eq!(tags["http.status_code"], status);
                assert_eq!(tags["error"].as_str(), error, "{path} {span}");
            }
        }
    }
}

mod of_two_kinds {
    use super::*;

    /// Why debug is sent as two headers: otgrpc takes what Brave sends for unsampled.
    #[test]
    fn lose_a_debug_trace_from_brave_to_go() {
        let (Some(go), Some(brave), Some(zipkin)) = (Go::find(), Brave::find(), Zipkin::shared()) else { return };
        let server = Server::start(go.server(zipkin));
        let client = || brave.grpc_client(zipkin, server.address());
        let debug = call(client(), &["--debug", "get", "123"]);
        // And why B3 is sent in several headers: otgrpc does not look at the single one, and begins a trace of its own.
        let single = call(client(), &["--b3=single", "get", "123"]);
        let joined = call(client(), &["get", "123"]);
        drop(trace(zipkin, &joined, 4));
        for told in [debug, single] {
            let spans = trace(zipkin, &told, 2);
            assert!(spans.iter().all(|span| span["localEndpoint"]["serviceName"] == "cache service client"));
        }
    }

    #[test]
    fn carry_baggage_both_ways() {
        let (Some(go), Some(brave), Some(zipkin)) = (Go::find(), Brave::find(), Zipkin::shared()) else { return };
        let key = "--baggage-key=tenant=ot-baggage-tenant";
        let flags = ["--trace-id-128", "--baggage=tenant=acme", "get", "123"];

        let server = Server::start(go.server(zipkin));
        let told = call(brave.grpc_client(zipkin, server.address()).arg(key), &flags);
        assert_eq!(server.received("CacheService/Get")["baggage"]["tenant"], "acme");
        assert!(shape(zipkin, &told, 4).to_string().contains("cache server: SERVER shared"));

        let server = Server::start(brave.grpc_server(zipkin).arg(key));
        let told = call(go.client(zipkin, server.address()), &flags);
        assert_eq!(server.received("CacheService/Get")["baggage"]["tenant"], "acme");
        assert!(shape(zipkin, &told, 4).to_string().contains("cache server: SERVER shared"));
    }
}
