import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What stands on the command line: flags as {@code --name value} or {@code --name=value}, then what to do. */
record Options(Map<String, String> flags, Map<String, String> baggage, Map<String, String> baggageKeys, List<String> rest) {
    static Options parse(String[] arguments, int from) {
        var options = new Options(new HashMap<>(), new LinkedHashMap<>(), new LinkedHashMap<>(), new ArrayList<>());
        for (int i = from; i < arguments.length; i++) {
            String argument = arguments[i];
            if (!argument.startsWith("--")) {
                options.rest.add(argument);
                continue;
            }
            int equals = argument.indexOf('=');
            boolean follows = equals < 0 && i + 1 < arguments.length && !arguments[i + 1].startsWith("--");
            String name = equals < 0 ? argument.substring(2) : argument.substring(2, equals);
            String value = switch (name) {
                case "debug", "trace-id-128" -> equals < 0 ? "true" : argument.substring(equals + 1);
                default -> equals >= 0 ? argument.substring(equals + 1) : follows ? arguments[++i] : "";
            };
            switch (name) {
                case "baggage" -> pair(options.baggage, value);
                case "baggage-key" -> pair(options.baggageKeys, value);
                default -> options.flags.put(name, value);
            }
        }
        return options;
    }

    private static void pair(Map<String, String> pairs, String value) {
        int equals = value.indexOf('=');
        if (equals < 0) {
            throw new IllegalArgumentException("key=value, and not " + value);
        }
        pairs.put(value.substring(0, equals), value.substring(equals + 1));
    }

    String text(String name, String usual) {
        return flags.getOrDefault(name, usual);
    }

    boolean is(String name, boolean usual) {
        return Boolean.parseBoolean(text(name, String.valueOf(usual)));
    }
}
