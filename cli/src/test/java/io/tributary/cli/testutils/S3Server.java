// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.testutils;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.tributary.node.agent.FreePorts;
import io.tributary.testbed.process.ChildProcess;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Assumptions;

/**
 * A server that speaks S3, and a gateway before it that can refuse a request. Requests made here go
 * to the server itself.
 */
public final class S3Server implements AutoCloseable {

    /** The only bucket. */
    public static final String BUCKET = "federation";

    private static final Path SCRIPT =
            Path.of(System.getProperty("tributary.home"), "cli/src/test/scripts/s3-server");

    /** What an HTTP client sets itself. */
    private static final Set<String> OWN =
            Set.of(
                    "host",
                    "connection",
                    "content-length",
                    "expect",
                    "upgrade",
                    "transfer-encoding",
                    "date");

    private static final Pattern KEY = Pattern.compile("<Key>([^<]*)</Key>");

    /** Errors of a store: one is permanent, and one asks to try again later. */
    public enum Refusal {
        ACCESS_DENIED(403, "AccessDenied", "Access Denied"),
        SLOW_DOWN(503, "SlowDown", "Please reduce your request rate.");

        private final int status;
        private final String body;

        Refusal(int status, String code, String message) {
            this.status = status;
            this.body =
                    "<Error><Code>%s</Code><Message>%s</Message></Error>".formatted(code, message);
        }
    }

    /** What the gateway does with a request. */
    @FunctionalInterface
    public interface Gate {

        /**
         * Looks at a request before the server does.
         *
         * @return the error that the store answers with; empty where the request is let through
         */
        Optional<Refusal> look(String method, String uri);
    }

    private final ChildProcess server;
    private final int port;
    private final HttpServer gateway;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private volatile Gate gate = (method, uri) -> Optional.empty();

    private S3Server(ChildProcess server, int port) throws IOException {
        this.server = server;
        this.port = port;
        this.gateway =
                HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        gateway.setExecutor(threads);
        gateway.createContext("/", this::carry);
        gateway.start();
    }

    /** Starts one with an empty bucket; skips a test where there is no Python. */
    public static S3Server start(Path work) throws Exception {
        Assumptions.assumeTrue(
                System.getenv("TRIBUTARY_REQUIRE_PYTHON") != null || python(),
                "python3 -m venv is not possible here");
        if (new ProcessBuilder(SCRIPT.toString()).inheritIO().start().waitFor() != 0) {
            throw new IllegalStateException(SCRIPT + " cannot install what it needs, see above");
        }
        int port = FreePorts.next();
        ChildProcess server =
                ChildProcess.start(
                        List.of(SCRIPT.toString(), Integer.toString(port)),
                        work.resolve("s3-server.out"));
        server.awaitListening("127.0.0.1", port, "the S3 server");
        S3Server started = new S3Server(server, port);
        started.put("", new byte[0]);
        return started;
    }

    private static boolean python() throws IOException, InterruptedException {
        return new ProcessBuilder("python3", "-c", "import ensurepip, venv").start().waitFor() == 0;
    }

    /** Flink's settings that lead to the gateway. */
    public Map<String, String> settings() {
        return Map.of(
                "s3.endpoint",
                "http://127.0.0.1:" + gateway.getAddress().getPort(),
                "s3.path.style.access",
                "true",
                "s3.access-key",
                "key",
                "s3.secret-key",
                "secret");
    }

    /** From now on each request passes this. */
    public void gate(Gate newGate) {
        gate = newGate;
    }

    private void carry(HttpExchange exchange) throws IOException {
        try (exchange) {
            byte[] body = exchange.getRequestBody().readAllBytes();
            String uri = exchange.getRequestURI().toString();
            Optional<Refusal> refusal = gate.look(exchange.getRequestMethod(), uri);
            if (refusal.isPresent()) {
                byte[] error = refusal.get().body.getBytes(StandardCharsets.UTF_8);
                exchange.sendResponseHeaders(refusal.get().status, error.length);
                exchange.getResponseBody().write(error);
                return;
            }
            HttpRequest.Builder request =
                    request(uri)
                            .method(exchange.getRequestMethod(), BodyPublishers.ofByteArray(body));
            exchange.getRequestHeaders()
                    .forEach(
                            (name, values) -> {
                                if (!OWN.contains(name.toLowerCase(Locale.ROOT))) {
                                    values.forEach(value -> request.header(name, value));
                                }
                            });
            HttpResponse<byte[]> answer = client.send(request.build(), BodyHandlers.ofByteArray());
            answer.headers()
                    .map()
                    .forEach(
                            (name, values) -> {
                                if (!OWN.contains(name) || name.equals("content-length")) {
                                    exchange.getResponseHeaders().put(name, values);
                                }
                            });
            boolean head = exchange.getRequestMethod().equals("HEAD");
            long length = head || answer.body().length == 0 ? -1 : answer.body().length;
            exchange.sendResponseHeaders(answer.statusCode(), length);
            if (length > 0) {
                exchange.getResponseBody().write(answer.body());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create("http://127.0.0.1:%d%s".formatted(port, path)));
    }

    private HttpResponse<byte[]> send(HttpRequest.Builder request) throws IOException {
        try {
            return client.send(request.build(), BodyHandlers.ofByteArray());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while the store was asked", e);
        }
    }

    /** Writes an object. */
    public void put(String key, byte[] bytes) throws IOException {
        send(request("/" + BUCKET + "/" + key).PUT(BodyPublishers.ofByteArray(bytes)));
    }

    /** Reads an object; empty where there is none. */
    public Optional<byte[]> get(String key) throws IOException {
        HttpResponse<byte[]> answer = send(request("/" + BUCKET + "/" + key).GET());
        return Optional.of(answer)
                .filter(response -> response.statusCode() == 200)
                .map(HttpResponse::body);
    }

    /** The keys that begin so. */
    public Set<String> keys(String prefix) throws IOException {
        String listing =
                new String(
                        send(request("/%s?list-type=2&prefix=%s".formatted(BUCKET, prefix)).GET())
                                .body(),
                        StandardCharsets.UTF_8);
        Set<String> keys = new TreeSet<>();
        for (Matcher key = KEY.matcher(listing); key.find(); ) {
            keys.add(key.group(1));
        }
        return keys;
    }

    @Override
    public void close() {
        gateway.stop(0);
        threads.shutdownNow();
        server.close();
    }
}
