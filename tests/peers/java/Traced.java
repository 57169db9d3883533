import brave.Span;
import brave.Tracing;
import brave.baggage.BaggageField;
import brave.baggage.BaggagePropagation;
import brave.baggage.BaggagePropagationConfig.SingleBaggageField;
import brave.propagation.B3Propagation;
import brave.propagation.Propagation;
import brave.propagation.TraceContextOrSamplingFlags;
import brave.sampler.Sampler;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import zipkin2.reporter.BytesMessageSender;
import zipkin2.reporter.brave.AsyncZipkinSpanHandler;
import zipkin2.reporter.urlconnection.URLConnectionSender;

/** Brave, set up as the command line says. Closing it waits until Zipkin has every span. */
final class Traced implements AutoCloseable {
    final Tracing tracing;
    private final Options options;
    private final BytesMessageSender sender;
    private final AsyncZipkinSpanHandler handler;
    private final Map<String, BaggageField> fields = new LinkedHashMap<>();

    Traced(Options options, String service) {
        this.options = options;
        var builder = Tracing.newBuilder()
            .localServiceName(options.text("service", service))
            .sampler(options.is("sample", true) ? Sampler.ALWAYS_SAMPLE : Sampler.NEVER_SAMPLE)
            .traceId128Bit(options.is("trace-id-128", false))
            .supportsJoin(options.is("join", true))
            .propagationFactory(propagation());
        String zipkin = options.text("zipkin", "");
        sender = zipkin.isEmpty() ? null : URLConnectionSender.create(zipkin);
        handler = sender == null
            ? null
            : AsyncZipkinSpanHandler.newBuilder(sender).messageTimeout(20, TimeUnit.MILLISECONDS).build();
        if (handler != null) {
            builder.addSpanHandler(handler);
        }
        tracing = builder.build();
    }

    private Propagation.Factory propagation() {
        var format = switch (options.text("b3", "multi")) {
            case "single" -> B3Propagation.Format.SINGLE;
            case "multi" -> B3Propagation.Format.MULTI;
            default -> throw new IllegalArgumentException("--b3 single or multi");
        };
        var b3 = B3Propagation.newFactoryBuilder().injectFormat(Span.Kind.CLIENT, format).build();
        if (options.baggageKeys().isEmpty()) {
            return b3;
        }
        var baggage = BaggagePropagation.newFactoryBuilder(b3);
        options.baggageKeys().forEach((key, headers) -> {
            BaggageField field = BaggageField.create(key);
            fields.put(key, field);
            var named = SingleBaggageField.newBuilder(field);
            for (String header : headers.split(",")) {
                named.addKeyName(header);
            }
            baggage.add(named.build());
        });
        return baggage.build();
    }

    /** A span of the program's own that a call is made in, with the baggage of the command line. */
    Span start(String name) {
        var flags = options.is("debug", false) ? TraceContextOrSamplingFlags.DEBUG : TraceContextOrSamplingFlags.EMPTY;
        Span span = tracing.tracer().nextSpan(flags).name(name).start();
        options.baggage().forEach((key, value) -> {
            if (!fields.containsKey(key)) {
                throw new IllegalArgumentException("--baggage-key " + key + "=HEADER says how it travels");
            }
            fields.get(key).updateValue(span.context(), value);
        });
        return span;
    }

    /** What a server sees of its caller's baggage. */
    Map<String, String> baggage() {
        var seen = new LinkedHashMap<String, String>();
        fields.forEach((key, field) -> {
            String value = field.getValue();
            if (value != null) {
                seen.put(key, value);
            }
        });
        return seen;
    }

    void query() {
        tracing.tracer().nextSpan().name("db query user").start().finish();
    }

    @Override
    public void close() {
        if (handler != null) {
            handler.flush();
            handler.close();
        }
        tracing.close();
        if (sender != null) {
            try {
                sender.close();
            } catch (java.io.IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        }
    }
}
