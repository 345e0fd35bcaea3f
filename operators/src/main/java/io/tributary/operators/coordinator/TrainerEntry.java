// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.PayloadRef;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What the coordinator remembers of one trainer. Immutable. Openings are counted from 1; where one
 * is named, 0 stands for none.
 *
 * @param present whether it takes part
 * @param instance the client object that joined
 * @param group its group
 * @param transport the scheme of the transport by which it speaks; empty where that is not known
 * @param since the last opening before it joined: rounds that are opened later wait for it
 * @param left the opening during which it left
 * @param settled the opening that does not wait for it, because its update was rejected for good
 * @param counted its last update that counted
 * @param past those before it, the newest first; at most {@value #PAST}
 */
record TrainerEntry(
        boolean present,
        String instance,
        String group,
        String transport,
        int since,
        int left,
        int settled,
        Optional<Counted> counted,
        List<Past> past) {

    /** Updates of a trainer that are told from new ones, besides its last. */
    static final int PAST = 3;

    /**
     * An update that counted.
     *
     * @param opening the opening that it is for
     * @param number its place in the order in which the round's updates counted, from 0
     * @param crc32c CRC32C of its payload
     * @param samples its weight
     * @param leaf the tree node that folds it
     * @param node the host on which it is folded; empty where that does not matter
     * @param payload tells its payload from others
     * @param claim the update, if it is folded at the close
     */
    record Counted(
            int opening,
            int number,
            int crc32c,
            long samples,
            String leaf,
            String node,
            long payload,
            Optional<Claim> claim) {

        /**
         * An update that counts now.
         *
         * @param keepsClaim whether it is folded at the close
         */
        static Counted of(
                Claim claim,
                int opening,
                int number,
                String leaf,
                String node,
                boolean keepsClaim) {
            return new Counted(
                    opening,
                    number,
                    claim.crc32c(),
                    claim.samples(),
                    leaf,
                    node,
                    fingerprint(claim.payload()),
                    keepsClaim ? Optional.of(claim) : Optional.empty());
        }

        /** A number that two payloads hardly share. */
        static long fingerprint(PayloadRef payload) {
            long hash = payload.offset() * 31 + payload.generation();
            for (String part : new String[] {payload.path(), payload.node()}) {
                for (int i = 0; i < part.length(); i++) {
                    // 64-bit FNV-1a.
                    hash = (hash ^ part.charAt(i)) * 0x100000001b3L;
                }
            }
            return hash;
        }
    }

    /**
     * An update that counted in an earlier round.
     *
     * @param opening the opening that it was for
     * @param crc32c CRC32C of its payload
     */
    record Past(int opening, int crc32c) {}

    TrainerEntry {
        past = List.copyOf(past);
    }

    /** Whether an update of it counts in an opening. */
    boolean countedIn(int opening) {
        return counted.isPresent() && counted.get().opening() == opening;
    }

    /**
     * The CRC32C of its update that counted in an opening; empty where none did, or it is long ago.
     */
    OptionalInt crcIn(int opening) {
        if (countedIn(opening)) {
            return OptionalInt.of(counted.get().crc32c());
        }
        return past.stream().filter(p -> p.opening() == opening).mapToInt(Past::crc32c).findFirst();
    }

    /** Whether there is an update of it that may come again. */
    boolean remembers() {
        return counted.isPresent() || !past.isEmpty();
    }

    /** A client of it takes part. */
    TrainerEntry joined(String itsInstance, String itsGroup, String itsTransport, int itsSince) {
        return new TrainerEntry(
                true, itsInstance, itsGroup, itsTransport, itsSince, 0, settled, counted, past);
    }

    /** It takes no more part. */
    TrainerEntry gone(int opening) {
        return new TrainerEntry(false, "", group, "", since, opening, settled, counted, past);
    }

    /** No round is to wait for it in this opening. */
    TrainerEntry settledIn(int opening) {
        return new TrainerEntry(
                present, instance, group, transport, since, left, opening, counted, past);
    }

    /**
     * An update of it counts.
     *
     * @param keepsLast whether the last one did in the end: the round was not abandoned
     */
    TrainerEntry counting(Counted update, boolean keepsLast) {
        List<Past> before = new ArrayList<>(past);
        if (keepsLast && counted.isPresent()) {
            before.add(0, new Past(counted.get().opening(), counted.get().crc32c()));
        }
        return new TrainerEntry(
                present,
                instance,
                group,
                transport,
                since,
                left,
                settled,
                Optional.of(update),
                before.subList(0, Math.min(PAST, before.size())));
    }

    /** Its last update does not count after all. */
    TrainerEntry withoutLast() {
        return new TrainerEntry(
                present, instance, group, transport, since, left, settled, Optional.empty(), past);
    }
}
