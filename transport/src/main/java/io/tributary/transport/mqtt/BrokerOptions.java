// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import io.tributary.protocol.ShortText;
import io.tributary.transport.HostPort;
import java.io.Serializable;
import java.time.Duration;

/**
 * How to reach an MQTT broker. Immutable; the {@code with…} methods return changed copies.
 *
 * @param url {@code tcp://host:port}, or {@code ssl://host:port} for TLS
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

    public BrokerOptions {
        String[] parts = url.split("://", 2);
        if (parts.length < 2 || !parts[0].matches("tcp|ssl")) {
            throw new IllegalArgumentException(
                    "broker '%s': expected tcp://HOST:PORT or ssl://HOST:PORT"
                            .formatted(ShortText.of(url, 200)));
        }
        try {
            HostPort.parse(parts[1]);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("broker " + e.getMessage(), e);
        }
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

    @Override
    public String toString() {
        return url;
    }
}
