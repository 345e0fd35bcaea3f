// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.security.InvalidKeyException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.UUID;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * One submission of a job. Its secret travels with the job's graph alone, so whoever knows
 * something that is made of it has it from the job: a member its token, and everybody the proof
 * that the job has ended. Immutable and thread-safe.
 *
 * @param id its public name, drawn at submission
 * @param secret known to the job's tasks
 */
public record Run(String id, String secret) implements Serializable {

    private static final String ALGORITHM = "HmacSHA256";
    private static final int SECRET_BYTES = 32;

    public Run {
        Names.check("run", id);
    }

    /** A new submission. */
    public static Run draw() {
        byte[] secret = new byte[SECRET_BYTES];
        new SecureRandom().nextBytes(secret);
        return new Run(UUID.randomUUID().toString(), HexFormat.of().formatHex(secret));
    }

    /** What a member of this run shows with each chunk that it sends. */
    public String token(String trainer, String instance) {
        return hmac("token", trainer, instance);
    }

    /** Whether this run has given {@code token} to that client of that trainer. */
    public boolean gave(String token, String trainer, String instance) {
        return same(token, token(trainer, instance));
    }

    /** What a plan with state ENDED shows, so that nobody else can end the job. */
    public String end() {
        return hmac("end");
    }

    /** Whether {@code plan} ends this run. */
    public boolean endsWith(RoundPlan plan) {
        return plan.state() == RoundPlan.State.ENDED
                && plan.run().equals(id)
                && same(plan.end(), end());
    }

    private static boolean same(String shown, String expected) {
        return MessageDigest.isEqual(
                shown.getBytes(StandardCharsets.UTF_8), expected.getBytes(StandardCharsets.UTF_8));
    }

    private String hmac(String... parts) {
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
