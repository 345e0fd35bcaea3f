// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;

/** TLS from PEM files. */
final class TlsContext {

    private TlsContext() {}

    static SSLSocketFactory socketFactory(BrokerOptions options) {
        try {
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(keys(options), trust(options), null);
            return context.getSocketFactory();
        } catch (IOException | GeneralSecurityException e) {
            throw new IllegalArgumentException(
                    "TLS for broker %s cannot be set up: %s".formatted(options, e.getMessage()), e);
        }
    }

    private static TrustManager[] trust(BrokerOptions options)
            throws IOException, GeneralSecurityException {
        if (options.caFile().isEmpty()) {
            return null;
        }
        KeyStore store = empty();
        for (Certificate certificate : certificates(options.caFile())) {
            store.setCertificateEntry("ca-" + store.size(), certificate);
        }
        TrustManagerFactory factory =
                TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory.getTrustManagers();
    }

    private static KeyManager[] keys(BrokerOptions options)
            throws IOException, GeneralSecurityException {
        if (options.keyFile().isEmpty()) {
            return null;
        }
        KeyStore store = empty();
        char[] none = new char[0];
        store.setKeyEntry(
                "client",
                key(options.keyFile()),
                none,
                certificates(options.certificateFile()).toArray(Certificate[]::new));
        KeyManagerFactory factory =
                KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        factory.init(store, none);
        return factory.getKeyManagers();
    }

    private static KeyStore empty() throws IOException, GeneralSecurityException {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        return store;
    }

    private static Collection<? extends Certificate> certificates(String file)
            throws IOException, GeneralSecurityException {
        Collection<? extends Certificate> found =
                CertificateFactory.getInstance("X.509")
                        .generateCertificates(
                                new ByteArrayInputStream(Files.readAllBytes(Path.of(file))));
        if (found.isEmpty()) {
            throw new GeneralSecurityException(file + " holds no certificate");
        }
        return found;
    }

    private static PrivateKey key(String file) throws IOException, GeneralSecurityException {
        String pem = Files.readString(Path.of(file), StandardCharsets.US_ASCII);
        String begin = "-----BEGIN PRIVATE KEY-----";
        if (!pem.contains(begin)) {
            throw new GeneralSecurityException(
                    "%s holds no '%s'; convert it with 'openssl pkcs8 -topk8 -nocrypt'"
                            .formatted(file, begin));
        }
        String body = pem.substring(pem.indexOf(begin) + begin.length());
        byte[] der =
                Base64.getMimeDecoder().decode(body.substring(0, body.indexOf("-----END")).trim());
        for (String algorithm : List.of("RSA", "EC", "Ed25519")) {
            try {
                return KeyFactory.getInstance(algorithm)
                        .generatePrivate(new PKCS8EncodedKeySpec(der));
            } catch (InvalidKeySpecException ignored) {
                // The next algorithm may be the one.
            }
        }
        throw new GeneralSecurityException(
                file + " holds neither an RSA nor an EC nor an Ed25519 key");
    }
}
