// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.transport;

import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.sources.base.staging.Staging;
import io.tributary.testbed.process.EmbeddedBroker;
import io.tributary.transport.mqtt.BrokerOptions;

/** An embedded MQTT broker. */
final class ManagedMqtt implements ManagedTransport {

    private final Staging staging;
    private final EmbeddedBroker broker;

    ManagedMqtt(WorkDirectory work, long quotaBytes) {
        this.staging = ManagedTransport.staging(work, quotaBytes);
        this.broker = EmbeddedBroker.start();
    }

    private BrokerOptions address() {
        return BrokerOptions.of(broker.url());
    }

    @Override
    public JobTransport forJob() {
        return new MqttTransport(address(), staging);
    }

    @Override
    public String description() {
        return "MQTT broker:  " + broker.url();
    }

    @Override
    public void close() {
        broker.close();
    }
}
