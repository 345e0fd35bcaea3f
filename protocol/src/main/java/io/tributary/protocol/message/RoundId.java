// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

/**
 * One opening of one round.
 *
 * @param round 1 and up; 0 stands for the initial model
 * @param epoch rises when a round is opened again and when the job is restored, so that what was
 *     made for an opening that no longer counts can be told apart
 */
public record RoundId(int round, int epoch) implements Comparable<RoundId> {

    @Override
    public int compareTo(RoundId other) {
        return round != other.round
                ? Integer.compare(round, other.round)
                : Integer.compare(epoch, other.epoch);
    }

    @Override
    public String toString() {
        return round + "." + epoch;
    }
}
