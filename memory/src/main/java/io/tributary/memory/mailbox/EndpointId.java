// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.mailbox;

import java.nio.charset.StandardCharsets;
import java.util.UUID;

/**
 * Who a descriptor is for: the name-based UUID (version 3, RFC 4122) of the endpoint's name.
 *
 * @param high the upper 64 bits
 * @param low the lower 64 bits
 */
public record EndpointId(long high, long low) {

    /** Nobody. */
    public static final EndpointId NONE = new EndpointId(0, 0);

    /** The endpoint with this name. */
    public static EndpointId of(String name) {
        UUID uuid = UUID.nameUUIDFromBytes(name.getBytes(StandardCharsets.UTF_8));
        return new EndpointId(uuid.getMostSignificantBits(), uuid.getLeastSignificantBits());
    }

    /** The reader of a lane of a job's updates. */
    public static EndpointId lane(String job, int lane) {
        return of("%s/lane/%d".formatted(job, lane));
    }

    /** A trainer of a job. */
    public static EndpointId trainer(String job, String trainer) {
        return of("%s/trainer/%s".formatted(job, trainer));
    }

    @Override
    public String toString() {
        return new UUID(high, low).toString();
    }
}
