import brave.Span;
import brave.grpc.GrpcTracing;
import com.google.protobuf.ByteString;
import io.grpc.CallOptions;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import sun.misc.Signal;

/** Makes one call in a span of its own, and tells of it as one line of JSON. */
final class GrpcClient {
    private GrpcClient() {}

    static void run(Options options) throws Exception {
        var out = new LinkedHashMap<String, Object>();
        try (var traced = new Traced(options, "cache service client")) {
            ManagedChannel channel = NettyChannelBuilder.forAddress(Peer.address(options.text("connect", "")))
                .usePlaintext()
                .intercept(GrpcTracing.create(traced.tracing).newClientInterceptor())
                .build();
            Span span = traced.start(options.text("under", "callGet"));
            out.put("trace", span.context().traceIdString());
            var cancellable = Context.current().withCancellation();
            Signal.handle(new Signal("INT"), signal -> cancellable.cancel(null));
            try (var scope = traced.tracing.tracer().withSpanInScope(span)) {
                cancellable.run(() -> call(channel, options.rest(), out));
            } finally {
                span.finish();
                channel.shutdownNow();
            }
        }
        Peer.tell(out);
    }

    private static void call(ManagedChannel channel, List<String> arguments, Map<String, Object> out) {
        out.put("code", "OK");
        try {
            switch (arguments.get(0)) {
                case "get" -> {
                    var request = CacheService.Message.of(ByteString.copyFromUtf8(arguments.get(1)));
                    var reply = ClientCalls.blockingUnaryCall(channel, CacheService.GET, CallOptions.DEFAULT, request);
                    out.put("value", numbers(reply.first()));
                }
                case "store" -> {
                    var request = new CacheService.Message(
                        ByteString.copyFromUtf8(arguments.get(1)), ByteString.copyFromUtf8(arguments.get(2)));
                    ClientCalls.blockingUnaryCall(channel, CacheService.STORE, CallOptions.DEFAULT, request);
                }
                case "dump" -> {
                    var items = new LinkedHashMap<String, Object>();
                    out.put("items", items);
                    ClientCalls.blockingServerStreamingCall(
                            channel, CacheService.DUMP, CallOptions.DEFAULT, CacheService.Message.EMPTY)
                        .forEachRemaining(item -> items.put(item.first().toStringUtf8(), numbers(item.second())));
                }
                default -> throw new IllegalArgumentException("get KEY | store KEY VALUE | dump, and not " + arguments);
            }
        } catch (StatusRuntimeException e) {
            out.put("code", e.getStatus().getCode().toString());
            out.put("message", String.valueOf(e.getStatus().getDescription()));
        }
    }

    private static List<Integer> numbers(ByteString bytes) {
        var numbers = new ArrayList<Integer>();
        for (byte b : bytes) {
            numbers.add(b & 0xff);
        }
        return numbers;
    }
}
