// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

/**
 * A path beside its limit.
 *
 * @param path which
 * @param params float32 parameters of an update
 * @param updates updates in a run
 * @param gigabytesPerSecond updates from the broker into the top's sum, or regions from another
 *     host into this one's memory
 * @param limit what the limit is
 * @param limitGigabytesPerSecond the same bytes from the same broker, or over the same link, to
 *     something that only receives
 * @param ratio of the two
 */
record PathReport(
        String path,
        int params,
        int updates,
        double gigabytesPerSecond,
        String limit,
        double limitGigabytesPerSecond,
        double ratio) {

    static PathReport of(
            String path, int params, int updates, double speed, String limit, double limitSpeed) {
        return new PathReport(path, params, updates, speed, limit, limitSpeed, speed / limitSpeed);
    }
}
