package lastword.compat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.net.Socket;
import java.nio.ByteBuffer;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.Readable;

/**
 * Any request of Kafka's, exactly as given, and the whole answer: what the admin client would hide.
 *
 * <p>Reads one JSON object a line from the standard input, {@code {"at": "host:port", "api": "DescribeConfigs",
 * "version": 4, "request": {...}}}, with the field names of Kafka's protocol (camel case) and every field of that
 * version, and writes one a line: {@code {"answer": {...}}} or {@code {"closed": "why"}}. The bytes are made and read
 * by Kafka's own generated classes. A connection is kept for each broker.
 */
final class WireProbe {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String MESSAGES = "org.apache.kafka.common.message.";

    private WireProbe() {
    }

    static void run(String bootstrap, String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            JsonNode asked = JSON.readTree(line);
            ObjectNode told = JsonNodeFactory.instance.objectNode();
            String at = asked.has("at") ? asked.get("at").asText() : bootstrap;
            try (Socket socket = connect(at)) {
                told.set("answer", call(socket, asked.get("api").asText(), (short) asked.get("version").asInt(),
                    asked.get("request")));
            } catch (IOException problem) {
                told.put("closed", Checks.inOneLine(problem));
            }
            System.out.println(told);
        }
    }

    private static Socket connect(String at) throws IOException {
        int colon = at.lastIndexOf(':');
        Socket socket = new Socket(at.substring(0, colon), Integer.parseInt(at.substring(colon + 1)));
        socket.setSoTimeout(30_000);
        return socket;
    }

    private static JsonNode call(Socket socket, String name, short version, JsonNode body) throws Exception {
        ApiKeys key = null;
        for (ApiKeys candidate : ApiKeys.values()) {
            key = candidate.name.equals(name) ? candidate : key;
        }
        if (key == null) {
            throw new IllegalArgumentException("no API " + name);
        }
        Message request = (Message) invoke(name + "RequestDataJsonConverter", "read",
            new Class<?>[] {JsonNode.class, short.class}, body, version);
        RequestHeaderData header = new RequestHeaderData().setRequestApiKey(key.id).setRequestApiVersion(version)
            .setCorrelationId(7).setClientId("compat");
        socket.getOutputStream().write(frame(header, key.requestHeaderVersion(version), request, version));
        DataInputStream in = new DataInputStream(socket.getInputStream());
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        ByteBufferAccessor readable = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
        new ResponseHeaderData(readable, key.responseHeaderVersion(version));
        Class<?> type = Class.forName(MESSAGES + name + "ResponseData");
        ApiMessage response = (ApiMessage) type.getConstructor(Readable.class, short.class)
            .newInstance(readable, version);
        if (readable.remaining() != 0) {
            throw new IOException(readable.remaining() + " bytes after the answer");
        }
        return (JsonNode) invoke(name + "ResponseDataJsonConverter", "write", new Class<?>[] {type, short.class},
            response, version);
    }

    private static byte[] frame(RequestHeaderData header, short headerVersion, Message body, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        int size = header.size(cache, headerVersion) + body.size(cache, version);
        ByteBuffer buffer = ByteBuffer.allocate(4 + size);
        ByteBufferAccessor writable = new ByteBufferAccessor(buffer);
        writable.writeInt(size);
        header.write(writable, cache, headerVersion);
        body.write(writable, cache, version);
        return buffer.array();
    }

    private static Object invoke(String type, String method, Class<?>[] types, Object... values) throws Exception {
        try {
            return Class.forName(MESSAGES + type).getMethod(method, types).invoke(null, values);
        } catch (InvocationTargetException problem) {
            throw problem.getCause() instanceof Exception cause ? cause : problem;
        }
    }
}
