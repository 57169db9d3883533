import brave.Span;
import brave.Tracer;
import brave.http.HttpServerHandler;
import brave.http.HttpServerRequest;
import brave.http.HttpServerResponse;
import brave.http.HttpTracing;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executors;

/** An HTTP server with the routes {@code /users/{id}}, {@code /err} and {@code /redir}, and {@code /boom}, which throws. */
final class WebServer {
    private final Traced traced;
    private final HttpServerHandler<HttpServerRequest, HttpServerResponse> handler;

    private WebServer(Traced traced) {
        this.traced = traced;
        handler = HttpServerHandler.create(HttpTracing.create(traced.tracing));
    }

    static void run(Options options) throws IOException {
        InetSocketAddress listen = Peer.address(options.text("listen", "127.0.0.1:0"));
        var server = HttpServer.create(listen, 0);
        var web = new WebServer(new Traced(options, "web server"));
        server.createContext("/", web::handle);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
        System.out.println(listen.getAddress().getHostAddress() + ":" + server.getAddress().getPort());
    }

    /** What a path leads to: a route, or the empty one, or {@code null} where nobody asked for routes. */
    private record Reply(String route, int status, String body) {}

    private void handle(HttpExchange exchange) throws IOException {
        Span span = handler.handleReceive(new Request(exchange));
        Reply reply = null;
        Throwable error = null;
        try (Tracer.SpanInScope scope = traced.tracing.tracer().withSpanInScope(span)) {
            reply = reply(exchange);
        } catch (IllegalStateException e) {
            error = e;
            reply = new Reply(null, 500, "");
        } finally {
            handler.handleSend(new Response(exchange, reply, error), span);
        }
        byte[] body = reply.body.getBytes(StandardCharsets.UTF_8);
        if (reply.status == 302) {
            exchange.getResponseHeaders().set("Location", "/users/7");
        }
        exchange.sendResponseHeaders(reply.status, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private Reply reply(HttpExchange exchange) {
        String path = exchange.getRequestURI().getPath();
        var headers = new TreeMap<String, String>();
        exchange.getRequestHeaders().forEach((name, values) -> headers.put(name.toLowerCase(), String.join(",", values)));
        Peer.tell(Map.of("method", path, "headers", headers, "baggage", traced.baggage()));
        if (path.startsWith("/users/")) {
            traced.query();
            return new Reply("/users/{id}", 200, path.substring("/users/".length()));
        }
        return switch (path) {
            case "/err" -> new Reply("/err", 500, "err");
            case "/redir" -> new Reply("/redir", 302, "");
            case "/boom" -> throw new IllegalStateException("boom");
            default -> new Reply("", 404, "not found");
        };
    }

    private static final class Request extends HttpServerRequest {
        private final HttpExchange exchange;

        Request(HttpExchange exchange) {
            this.exchange = exchange;
        }

        @Override
        public Object unwrap() {
            return exchange;
        }

        @Override
        public String method() {
            return exchange.getRequestMethod();
        }

        @Override
        public String path() {
            return exchange.getRequestURI().getPath();
        }

        @Override
        public String url() {
            return "http://" + header("Host") + exchange.getRequestURI();
        }

        @Override
        public String header(String name) {
            return exchange.getRequestHeaders().getFirst(name);
        }

        @Override
        public boolean parseClientIpAndPort(Span span) {
            InetSocketAddress remote = exchange.getRemoteAddress();
            return parseClientIpFromXForwardedFor(span)
                || span.remoteIpAndPort(remote.getAddress().getHostAddress(), remote.getPort());
        }
    }

    private static final class Response extends HttpServerResponse {
        private final HttpExchange exchange;
        private final Reply reply;
        private final Throwable error;

        Response(HttpExchange exchange, Reply reply, Throwable error) {
            this.exchange = exchange;
            this.reply = reply;
            this.error = error;
        }

        @Override
        public Object unwrap() {
            return exchange;
        }

        @Override
        public String method() {
            return exchange.getRequestMethod();
        }

        @Override
        public String route() {
            return reply.route;
        }

        @Override
        public int statusCode() {
            return reply.status;
        }

        @Override
        public Throwable error() {
            return error;
        }
    }
}
