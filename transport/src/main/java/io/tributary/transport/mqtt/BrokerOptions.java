// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import io.tributary.protocol.ShortText;
import io.tributary.transport.HostPort;
import java.io.Serializable;
import java.time.Duration;
import java.util.Map;
import java.util.Set;

/**
 * How to reach an MQTT broker. Immutable; the {@code with…} methods return changed copies.
 *
 * @param url {@code mqtt://HOST:PORT}, {@code mqtts://HOST:PORT} for TLS, {@code
 *     ws://HOST:PORT/PATH} for WebSocket, {@code wss://HOST:PORT/PATH} for both
 * @param userName empty for none
 * @param password empty for none; it may be kept elsewhere ({@link io.tributary.transport.Secret})
 * @param caFile PEM file with the certificates to trust; empty for the JVM's own
 * @param certificateFile PEM file with the client's certificate chain; empty for none
 * @param keyFile PEM file with the client's PKCS #8 key; empty for none
 * @param patience how long a broker may be away before that is an error
 */
public record BrokerOptions(
        String url,
        String userName,
        String password,
        String caFile,
        String certificateFile,
        String keyFile,
        Duration patience)
        implements Serializable {

    /**
     * How MQTT is carried.
     *
     * @param paho Paho's word for it
     * @param path whether an address may have a path
     */
    private record Carrier(String paho, boolean path) {}

    private static final Map<String, Carrier> CARRIERS =
            Map.of(
                    "mqtt", new Carrier("tcp", false),
                    "mqtts", new Carrier("ssl", false),
                    "ws", new Carrier("ws", true),
                    "wss", new Carrier("wss", true));

    /** The schemes of a broker's URL. */
    public static final Set<String> SCHEMES = Set.copyOf(CARRIERS.keySet());

    public BrokerOptions {
        serverUri(url);
        if (certificateFile.isEmpty() != keyFile.isEmpty()) {
            throw new IllegalArgumentException(
                    "a client certificate and its key go together; give both files or neither");
        }
    }

    /** Without a password, without TLS, with 30 s of patience. */
    public static BrokerOptions of(String url) {
        return new BrokerOptions(url, "", "", "", "", "", Duration.ofSeconds(30));
    }

    /** With user name and password. */
    public BrokerOptions withPassword(String user, String secret) {
        return new BrokerOptions(url, user, secret, caFile, certificateFile, keyFile, patience);
    }

    /** Trusting the certificates of a PEM file. */
    public BrokerOptions withCaFile(String file) {
        return new BrokerOptions(url, userName, password, file, certificateFile, keyFile, patience);
    }

    /** Showing a client certificate, from PEM files. */
    public BrokerOptions withCertificate(String certificate, String key) {
        return new BrokerOptions(url, userName, password, caFile, certificate, key, patience);
    }

    /** With another patience. */
    public BrokerOptions withPatience(Duration time) {
        return new BrokerOptions(url, userName, password, caFile, certificateFile, keyFile, time);
    }

    /** Whether the connection is encrypted. */
    public boolean tls() {
        return url.startsWith("mqtts:") || url.startsWith("wss:");
    }

    /** The URL as Paho reads it, with its port. */
    String serverUri() {
        return serverUri(url);
    }

    private static String serverUri(String url) {
        String[] parts = url.split("://", 2);
        Carrier carrier = CARRIERS.get(parts[0]);
        if (parts.length < 2 || carrier == null) {
            throw new IllegalArgumentException(
                    "broker '%s': expected mqtt://HOST:PORT, mqtts://HOST:PORT, ws://HOST:PORT/PATH or wss://HOST:PORT/PATH"
                            .formatted(ShortText.of(url, 200)));
        }
        int slash = carrier.path() ? parts[1].indexOf('/') : -1;
        String authority = slash < 0 ? parts[1] : parts[1].substring(0, slash);
        String path = slash < 0 ? "" : parts[1].substring(slash);
        try {
            return "%s://%s%s".formatted(carrier.paho(), HostPort.parse(authority), path);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("broker " + e.getMessage(), e);
        }
    }

    @Override
    public String toString() {
        return url;
    }
}
