import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.CodedOutputStream;
import io.grpc.MethodDescriptor;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;

/** The service {@code grpc1.CacheService}, without generated code. */
final class CacheService {
    static final String NAME = "grpc1.CacheService";
    static final MethodDescriptor<Message, Message> GET = method("Get", MethodDescriptor.MethodType.UNARY);
    static final MethodDescriptor<Message, Message> STORE = method("Store", MethodDescriptor.MethodType.UNARY);
    static final MethodDescriptor<Message, Message> DUMP = method("Dump", MethodDescriptor.MethodType.SERVER_STREAMING);

    private CacheService() {}

    /** Any message of the service: each has at most the fields 1 and 2, and all are strings or bytes. */
    record Message(ByteString first, ByteString second) {
        static final Message EMPTY = new Message(ByteString.EMPTY, ByteString.EMPTY);

        static Message of(ByteString first) {
            return new Message(first, ByteString.EMPTY);
        }
    }

    private static MethodDescriptor<Message, Message> method(String name, MethodDescriptor.MethodType type) {
        return MethodDescriptor.<Message, Message>newBuilder()
            .setType(type)
            .setFullMethodName(MethodDescriptor.generateFullMethodName(NAME, name))
            .setRequestMarshaller(new Marshaller())
            .setResponseMarshaller(new Marshaller())
            .build();
    }

    private static final class Marshaller implements MethodDescriptor.Marshaller<Message> {
        @Override
        public InputStream stream(Message message) {
            var bytes = new ByteArrayOutputStream();
            try {
                var out = CodedOutputStream.newInstance(bytes);
                if (!message.first.isEmpty()) {
                    out.writeBytes(1, message.first);
                }
                if (!message.second.isEmpty()) {
                    out.writeBytes(2, message.second);
                }
                out.flush();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            return new ByteArrayInputStream(bytes.toByteArray());
        }

        @Override
        public Message parse(InputStream stream) {
            ByteString first = ByteString.EMPTY;
            ByteString second = ByteString.EMPTY;
            try {
                var in = CodedInputStream.newInstance(stream);
                for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
                    switch (tag >>> 3) {
                        case 1 -> first = in.readBytes();
                        case 2 -> second = in.readBytes();
                        default -> in.skipField(tag);
                    }
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            return new Message(first, second);
        }
    }
}
