import brave.Span;
import brave.Tracer;
import brave.http.HttpClientHandler;
import brave.http.HttpClientRequest;
import brave.http.HttpClientResponse;
import brave.http.HttpTracing;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.LinkedHashMap;

/** Makes one request in a span of its own, and tells of it as one line of JSON. */
final class WebClient {
    private WebClient() {}

    static void run(Options options) throws Exception {
        if (options.rest().size() != 2 || !options.rest().get(0).equals("get")) {
            throw new IllegalArgumentException("get PATH, and not " + options.rest());
        }
        String connect = options.text("connect", "");
        URI uri = URI.create((connect.contains("://") ? connect : "http://" + connect) + options.rest().get(1));
        var out = new LinkedHashMap<String, Object>();
        try (var traced = new Traced(options, "web client")) {
            HttpClientHandler<HttpClientRequest, HttpClientResponse> handler =
                HttpClientHandler.create(HttpTracing.create(traced.tracing));
            Tracer tracer = traced.tracing.tracer();
            // Redirects are not followed: one request, one span.
            var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
            Span outer = traced.start(options.text("under", "callGet"));
            out.put("trace", outer.context().traceIdString());
            try (Tracer.SpanInScope scope = tracer.withSpanInScope(outer)) {
                var request = new Request(uri);
                Span span = handler.handleSend(request);
                HttpResponse<String> response = null;
                Throwable error = null;
                try (Tracer.SpanInScope inner = tracer.withSpanInScope(span)) {
                    response = client.send(request.builder.build(), HttpResponse.BodyHandlers.ofString());
                    out.put("status", response.statusCode());
                    out.put("body", response.body());
                } catch (java.io.IOException e) {
                    error = e;
                    out.put("message", String.valueOf(e.getMessage()));
                } finally {
                    handler.handleReceive(new Response(request, response, error), span);
                }
            } finally {
                outer.finish();
            }
        }
        Peer.tell(out);
    }

    private static final class Request extends HttpClientRequest {
        private final URI uri;
        private final HttpRequest.Builder builder;

        Request(URI uri) {
            this.uri = uri;
            builder = HttpRequest.newBuilder(uri);
        }

        @Override
        public Object unwrap() {
            return builder;
        }

        @Override
        public String method() {
            return "GET";
        }

        @Override
        public String path() {
            return uri.getPath();
        }

        @Override
        public String url() {
            return uri.toString();
        }

        @Override
        public String header(String name) {
            return builder.copy().build().headers().firstValue(name).orElse(null);
        }

        @Override
        public void header(String name, String value) {
            builder.setHeader(name, value);
        }
    }

    private static final class Response extends HttpClientResponse {
        private final Request request;
        private final HttpResponse<String> response;
        private final Throwable error;

        Response(Request request, HttpResponse<String> response, Throwable error) {
            this.request = request;
            this.response = response;
            this.error = error;
        }

        @Override
        public Object unwrap() {
            return response;
        }

        @Override
        public HttpClientRequest request() {
            return request;
        }

        @Override
        public int statusCode() {
            return response == null ? 0 : response.statusCode();
        }

        @Override
        public Throwable error() {
            return error;
        }
    }
}
