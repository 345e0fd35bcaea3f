// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import io.tributary.job.graph.KafkaTransport;
import io.tributary.job.graph.MqttTransport;
import io.tributary.job.graph.ShmTransport;
import io.tributary.trainer.Transport;

/** How a trainer on the same network reaches a job. */
public final class TrainerAddress {

    private TrainerAddress() {}

    /** The trainers' side of a job's transport. */
    public static Transport of(io.tributary.job.graph.Transport job) {
        if (job instanceof MqttTransport mqtt) {
            return Transport.mqtt(mqtt.broker());
        }
        if (job instanceof KafkaTransport kafka) {
            return Transport.kafka(kafka.kafka());
        }
        ShmTransport shm = (ShmTransport) job;
        return Transport.shm(shm.regions().path(), shm.agentPort());
    }
}
