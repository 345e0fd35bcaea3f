// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.transport;

import io.tributary.job.graph.JobTransport;
import io.tributary.job.graph.KafkaTransport;
import io.tributary.job.graph.WorkDirectory;
import io.tributary.sources.base.staging.Staging;
import io.tributary.testbed.process.KafkaProcess;

/** A Kafka broker in a process of its own. */
final class ManagedKafka implements ManagedTransport {

    private final Staging staging;
    private final KafkaProcess kafka;
    private final Thread hook;

    ManagedKafka(WorkDirectory work, long quotaBytes) {
        this.staging = ManagedTransport.staging(work, quotaBytes);
        this.kafka = KafkaProcess.start(work.directory("kafka"));
        // A process outlives a demo that is ended by a signal.
        this.hook = new Thread(kafka::kill, "kill-kafka");
        Runtime.getRuntime().addShutdownHook(hook);
    }

    @Override
    public JobTransport forJob() {
        return new KafkaTransport(kafka.options(), staging, true);
    }

    @Override
    public String description() {
        return "Kafka broker: kafka://" + kafka.options().bootstrapServers();
    }

    @Override
    public void close() {
        kafka.close();
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException expected) {
            // The JVM is ending, and the hook runs.
        }
    }
}
