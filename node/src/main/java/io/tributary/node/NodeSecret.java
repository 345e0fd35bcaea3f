// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Set;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * What all nodes of a federation know and nobody else. It is never sent: each end shows that it has
 * it by an HMAC-SHA256 of numbers drawn by both.
 */
public final class NodeSecret {

    private static final int BYTES = 32;
    private static final int SHORTEST = 16;
    private static final SecureRandom RANDOM = new SecureRandom();
    private static final int ROOT = 0;

    /** What the group and others may not do, and may not with a file of root's that is mounted. */
    private static final Set<PosixFilePermission> OTHERS =
            PosixFilePermissions.fromString("---rwxrwx");

    private static final Set<PosixFilePermission> OTHERS_OF_ROOTS =
            PosixFilePermissions.fromString("----wxrwx");

    private final SecretKeySpec key;

    /**
     * @param secret 16 characters or more
     */
    public NodeSecret(String secret) {
        String trimmed = secret.strip();
        if (trimmed.length() < SHORTEST) {
            throw new IllegalArgumentException(
                    "a secret of %d characters: expected %d or more"
                            .formatted(trimmed.length(), SHORTEST));
        }
        this.key = new SecretKeySpec(trimmed.getBytes(StandardCharsets.UTF_8), "HmacSHA256");
    }

    /**
     * A new secret that only its owner can read, in a directory of its own; one that is there
     * stays.
     */
    public static void create(Path file) throws IOException {
        Path directory = file.toAbsolutePath().getParent();
        Files.createDirectories(
                directory,
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        Path whole =
                Files.createTempFile(
                        directory,
                        ".secret",
                        "",
                        PosixFilePermissions.asFileAttribute(
                                PosixFilePermissions.fromString("rw-------")));
        try {
            Files.writeString(whole, nonce() + "\n");
            Files.createLink(file, whole);
        } catch (FileAlreadyExistsException expected) {
            // It is used.
        } finally {
            Files.delete(whole);
        }
    }

    /**
     * Reads a secret: a file of this user's alone, or one of root's that this user's group may
     * read, as secrets are mounted into a pod.
     *
     * @throws IOException when it is not there, or others may read it
     */
    public static NodeSecret read(Path file) throws IOException {
        return read(file, (int) Files.getAttribute(Path.of("/proc/self"), "unix:uid"));
    }

    static NodeSecret read(Path file, int self) throws IOException {
        if (!Files.exists(file)) {
            throw new IOException(
                    "no secret at %s; copy it from the node that is to be joined".formatted(file));
        }
        int owner = (int) Files.getAttribute(file, "unix:uid");
        if (owner != self && owner != ROOT) {
            throw new IOException(
                    "the secret %s belongs to user %d; expected one of user %d"
                            .formatted(file, owner, self));
        }
        Set<PosixFilePermission> all = Files.getPosixFilePermissions(file);
        if (all.stream().anyMatch((owner == ROOT ? OTHERS_OF_ROOTS : OTHERS)::contains)) {
            throw new IOException(
                    "the secret %s can be read or written by others (%s); expected mode 600, or 440 of a file of root's"
                            .formatted(file, PosixFilePermissions.toString(all)));
        }
        return new NodeSecret(Files.readString(file));
    }

    /** A number drawn for one connection, in hexadecimal. */
    static String nonce() {
        byte[] bytes = new byte[BYTES];
        RANDOM.nextBytes(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    /** Shows that this end has the secret. */
    String proof(String role, String node, String other, String theirNonce, String ownNonce) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(key);
            String text = String.join("\n", role, node, other, theirNonce, ownNonce);
            return HexFormat.of().formatHex(mac.doFinal(text.getBytes(StandardCharsets.UTF_8)));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every JVM has HMAC-SHA256", e);
        }
    }

    /** Compares proofs in a time that does not depend on them. */
    static boolean same(String expected, String found) {
        return MessageDigest.isEqual(
                expected.getBytes(StandardCharsets.UTF_8), found.getBytes(StandardCharsets.UTF_8));
    }
}
