import brave.grpc.GrpcTracing;
import com.google.protobuf.ByteString;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CountDownLatch;

/**
 * A cache. Two kinds of keys are never looked up, so that clients can ask for every ending of a call: {@code code:5} ends
 * it with that code, {@code wait} when the client cancels. Dump meets those that were stored.
 */
final class GrpcServer {
    private static final Context.Key<Map<String, String>> HEADERS = Context.key("headers");

    private final Traced traced;
    private final Map<String, ByteString> values = new ConcurrentSkipListMap<>();

    private GrpcServer(Traced traced) {
        this.traced = traced;
        values.put("123", ByteString.copyFrom(new byte[] {123}));
        values.put("231", ByteString.copyFrom(new byte[] {(byte) 231}));
    }

    static void run(Options options) throws Exception {
        var traced = new Traced(options, "cache server");
        var grpc = GrpcTracing.create(traced.tracing);
        var server = new GrpcServer(traced);
        var service = ServerServiceDefinition.builder(CacheService.NAME)
            .addMethod(CacheService.GET, ServerCalls.asyncUnaryCall(server::get))
            .addMethod(CacheService.STORE, ServerCalls.asyncUnaryCall(server::store))
            .addMethod(CacheService.DUMP, ServerCalls.asyncServerStreamingCall(server::dump))
            .build();
        InetSocketAddress listen = Peer.address(options.text("listen", "127.0.0.1:0"));
        var running = NettyServerBuilder.forAddress(listen)
            .addService(service)
            // The last one is called first.
            .intercept(new Headers())
            .intercept(grpc.newServerInterceptor())
            .build()
            .start();
        System.out.println(listen.getAddress().getHostAddress() + ":" + running.getPort());
        running.awaitTermination();
    }

    private void get(CacheService.Message request, StreamObserver<CacheService.Message> observer) {
        received(CacheService.GET.getFullMethodName());
        traced.query();
        String key = request.first().toStringUtf8();
        try {
            ending(key);
            observer.onNext(CacheService.Message.of(values.getOrDefault(key, ByteString.EMPTY)));
            observer.onCompleted();
        } catch (StatusRuntimeException e) {
            observer.onError(e);
        } catch (CancellationException e) {
            // Nobody waits for an answer; Brave ends the span when the call is closed, and not before.
            observer.onCompleted();
        }
    }

    private void store(CacheService.Message request, StreamObserver<CacheService.Message> observer) {
        received(CacheService.STORE.getFullMethodName());
        values.put(request.first().toStringUtf8(), request.second());
        observer.onNext(CacheService.Message.EMPTY);
        observer.onCompleted();
    }

    private void dump(CacheService.Message request, StreamObserver<CacheService.Message> observer) {
        received(CacheService.DUMP.getFullMethodName());
        try {
            for (var item : values.entrySet()) {
                ending(item.getKey());
                observer.onNext(new CacheService.Message(ByteString.copyFromUtf8(item.getKey()), item.getValue()));
            }
            observer.onCompleted();
        } catch (StatusRuntimeException e) {
            observer.onError(e);
        } catch (CancellationException e) {
            // Nobody waits for an answer; Brave ends the span when the call is closed, and not before.
            observer.onCompleted();
        }
    }

    private static void ending(String key) {
        if (key.equals("wait")) {
            var cancelled = new CountDownLatch(1);
            Context.current().addListener(context -> cancelled.countDown(), Runnable::run);
            try {
                cancelled.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            throw new CancellationException();
        }
        if (key.startsWith("code:")) {
            int code = Integer.parseInt(key.substring("code:".length()));
            throw Status.fromCodeValue(code).withDescription("as asked").asRuntimeException();
        }
    }

    private void received(String method) {
        Peer.tell(Map.of("method", "/" + method, "headers", HEADERS.get(), "baggage", traced.baggage()));
    }

    private static final class Headers implements ServerInterceptor {
        @Override
        public <Q, S> ServerCall.Listener<Q> interceptCall(ServerCall<Q, S> call, Metadata headers, ServerCallHandler<Q, S> next) {
            var texts = new TreeMap<String, String>();
            for (String name : headers.keys()) {
                if (!name.endsWith(Metadata.BINARY_HEADER_SUFFIX)) {
                    texts.put(name, headers.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER)));
                }
            }
            return Contexts.interceptCall(Context.current().withValue(HEADERS, texts), call, headers, next);
        }
    }
}
