// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.demo;

import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.Transport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.node.PayloadStore;
import io.tributary.sources.base.staging.Staging;
import io.tributary.transport.mqtt.BrokerOptions;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** An embedded MQTT broker. */
final class BrokerMeetingPlace implements MeetingPlace {

    private static final Logger LOG = LoggerFactory.getLogger(BrokerMeetingPlace.class);

    /** Longer than trainers take to begin a resend, which goes on with what is staged. */
    private static final Duration STAGING_IDLE = Duration.ofMinutes(5);

    private static final Duration STAGING_DEADLINE = Duration.ofHours(1);

    private final EmbeddedBroker broker = EmbeddedBroker.start();
    private final String regions;
    private final long quotaBytes;

    BrokerMeetingPlace(WorkDirectory work, long quotaBytes) {
        this.regions = work.directory("regions").toString();
        this.quotaBytes = quotaBytes;
    }

    private BrokerOptions address() {
        return BrokerOptions.of(broker.url());
    }

    @Override
    public Transport forJob() {
        return new MqttTransport(
                address(),
                new Staging(
                        new PayloadStore.Place(regions),
                        quotaBytes,
                        STAGING_IDLE,
                        STAGING_DEADLINE));
    }

    @Override
    public io.tributary.trainer.Transport forTrainers() {
        return io.tributary.trainer.Transport.mqtt(address());
    }

    @Override
    public String description() {
        return "MQTT broker:  " + broker.url();
    }

    @Override
    public String trainerOptions() {
        return "--broker " + broker.url();
    }

    @Override
    public void close() {
        broker.close();
    }
}
