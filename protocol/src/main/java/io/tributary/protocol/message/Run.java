// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.security.InvalidKeyException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.HexFormat;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * One submission of a job. Its secret travels with the job's graph alone, so a value that is made
 * of it can only come from the job: a member its token, and everybody the proof that the job has
 * ended. Its public name is the hash of that proof, so everybody can check the proof, and nobody
 * can make it. Immutable and thread-safe.
 *
 * @param id its public name: the first half of the SHA-256 of {@link #end()}, in hex
 * @param secret known to the job's tasks
 */
public record Run(String id, String secret) implements Serializable {

    private static final String ALGORITHM = "HmacSHA256";
    private static final int SECRET_BYTES = 32;

    public Run {
        Names.check("run", id);
    }

    /** The submission with that secret. */
    public static Run of(String secret) {
        return new Run(name(hmac(secret, "end")), secret);
    }

    /** A new submission. */
    public static Run draw() {
        byte[] secret = new byte[SECRET_BYTES];
        new SecureRandom().nextBytes(secret);
        return of(HexFormat.of().formatHex(secret));
    }

    /** What a member of this run shows with each chunk that it sends. */
    public String token(String trainer, String instance) {
        return hmac(secret, "token", trainer, instance);
    }

    /** Whether this run has given {@code token} to that client of that trainer. */
    public boolean gave(String token, String trainer, String instance) {
        return same(token, token(trainer, instance));
    }

    /** What a plan with state ENDED shows, so that nobody else can end the job. */
    public String end() {
        return hmac(secret, "end");
    }

    /** Whether {@code plan} ends this run. */
    public boolean endsWith(RoundPlan plan) {
        return plan.run().equals(id) && ends(plan);
    }

    /** Whether {@code plan} ends the run that it names, which only that run can say. */
    public static boolean ends(RoundPlan plan) {
        return plan.state() == RoundPlan.State.ENDED && same(name(plan.end()), plan.run());
    }

    private static String name(String end) {
        try {
            byte[] hash =
                    MessageDigest.getInstance("SHA-256")
                            .digest(end.getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(hash, 0, hash.length / 2);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JVM has SHA-256", e);
        }
    }

    private static boolean same(String shown, String expected) {
        return MessageDigest.isEqual(
                shown.getBytes(StandardCharsets.UTF_8), expected.getBytes(StandardCharsets.UTF_8));
    }

    private static String hmac(String secret, String... parts) {
        try {
            Mac mac = Mac.getInstance(ALGORITHM);
            mac.init(new SecretKeySpec(secret.getBytes(StandardCharsets.UTF_8), ALGORITHM));
            // Names have no line feeds, so the parts cannot be cut otherwise.
            return HexFormat.of()
                    .formatHex(
                            mac.doFinal(String.join("\n", parts).getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException | InvalidKeyException e) {
            throw new IllegalStateException("every JVM has " + ALGORITHM, e);
        }
    }

    @Override
    public String toString() {
        // The secret must not get into a log.
        return id;
    }
}
