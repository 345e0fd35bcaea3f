// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

/**
 * One opening of one round.
 *
 * @param round 1 and up; 0 stands for the initial model
 * @param epoch tells openings of a round apart, also those of two jobs that were restored from one
 *     checkpoint: its upper half counts, rising when a round is opened again and when the job is
 *     restored; its lower 32 bits are a nonce, drawn whenever the job starts or is restored. 0 to
 *     2^53 − 1, so that it is a JSON number in every language
 */
public record RoundId(int round, long epoch) implements Comparable<RoundId> {

    /** The largest epoch. */
    public static final long MAX_EPOCH = (1L << 53) - 1;

    /** The epoch with a count and a nonce. */
    public static long epoch(int count, int nonce) {
        return (long) count << Integer.SIZE | Integer.toUnsignedLong(nonce);
    }

    /** The count of an epoch. */
    public static int count(long epoch) {
        return (int) (epoch >>> Integer.SIZE);
    }

    /** The epoch with the next count and the same nonce. */
    public static long next(long epoch) {
        return epoch(count(epoch) + 1, (int) epoch);
    }

    @Override
    public int compareTo(RoundId other) {
        return round != other.round
                ? Integer.compare(round, other.round)
                : Long.compare(epoch, other.epoch);
    }

    @Override
    public String toString() {
        int nonce = (int) epoch;
        return nonce == 0
                ? "%d.%d".formatted(round, count(epoch))
                : "%d.%d-%08x".formatted(round, count(epoch), nonce);
    }
}
