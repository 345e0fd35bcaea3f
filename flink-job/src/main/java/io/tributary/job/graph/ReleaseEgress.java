// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.node.PayloadStore;
import io.tributary.operators.coordinator.RegionReleases;
import io.tributary.sources.base.sink.Egress;

/** Gives regions back, on this host and on others. */
record ReleaseEgress(PayloadStore regions) implements Egress<RegionReleases> {

    /** Regions as the hosts of a job have them. */
    static Egress.Factory<RegionReleases> of(PayloadStore.Place regions) {
        return purpose -> new ReleaseEgress(regions.open());
    }

    @Override
    public long send(RegionReleases releases) {
        releases.payloads().forEach(regions::release);
        return 0;
    }

    @Override
    public long flush() {
        regions.releaseAgain();
        return 0;
    }

    @Override
    public void close() {
        regions.close();
    }
}
