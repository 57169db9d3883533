import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.net.InetSocketAddress;
import java.util.Map;

/** Servers and clients that are traced by Brave, for tests: see the usage. */
public final class Peer {
    private static final Gson JSON = new GsonBuilder().disableHtmlEscaping().create();

    private Peer() {}

    public static void main(String[] arguments) throws Exception {
        String what = arguments.length == 0 ? "" : arguments[0];
        Options options = Options.parse(arguments, 1);
        switch (what) {
            case "grpc-server" -> GrpcServer.run(options);
            case "grpc-client" -> GrpcClient.run(options);
            case "http-server" -> WebServer.run(options);
            case "http-client" -> WebClient.run(options);
            default -> {
                System.err.println("""
                    usage: Peer grpc-server|http-server [--listen HOST:PORT] FLAGS
                           Peer grpc-client --connect HOST:PORT FLAGS get KEY | store KEY VALUE | dump
                           Peer http-client --connect HOST:PORT FLAGS get PATH
                    flags: --zipkin http://…/api/v2/spans --service NAME --b3 single|multi --debug --sample=false
                           --trace-id-128 --join=false --under SPAN --baggage KEY=VALUE --baggage-key KEY=HEADER[,HEADER]""");
                System.exit(2);
            }
        }
    }

    /** One line of JSON on standard output. */
    static void tell(Map<String, ?> what) {
        System.out.println(JSON.toJson(what));
    }

    static InetSocketAddress address(String text) {
        String plain = text.replaceFirst("^http://", "").replaceFirst("/$", "");
        int colon = plain.lastIndexOf(':');
        if (colon < 0) {
            throw new IllegalArgumentException("HOST:PORT, and not " + text);
        }
        return new InetSocketAddress(plain.substring(0, colon), Integer.parseInt(plain.substring(colon + 1)));
    }
}
