// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.config;

import io.tributary.memory.region.TrustedDirectory;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;

/** Keys of {@code job.yaml}: how a job speaks with trainers, and where it keeps what it has. */
public abstract class RuntimeOptions {

    /** Only for {@link JobOptions}, which has all keys. */
    RuntimeOptions() {}

    /** The transports. */
    public static final ConfigOption<List<String>> TRANSPORTS =
            ConfigOptions.key("transports")
                    .stringType()
                    .asList()
                    .noDefaultValue()
                    .withDescription(
                            "How updates and models travel: a list of URIs, at most one of each kind: mqtt://HOST:PORT (mqtts:// with TLS, ws:// and wss:// over WebSocket), kafka://HOST:PORT,HOST:PORT, shm:?agent-port=PORT or just shm. Required.");

    /** The MQTT user. */
    public static final ConfigOption<String> MQTT_USER =
            ConfigOptions.key("mqtt.user")
                    .stringType()
                    .defaultValue("")
                    .withDescription("User name; empty for none.");

    /** The MQTT user's password. */
    public static final ConfigOption<String> MQTT_PASSWORD =
            ConfigOptions.key("mqtt.password")
                    .stringType()
                    .defaultValue("")
                    .withDescription(
                            "Password, best as ${file:PATH} or ${env:NAME}, looked up on each task manager; empty for none.");

    /** The user of trainers. */
    public static final ConfigOption<String> MQTT_TRAINER_USER =
            ConfigOptions.key("mqtt.trainer-user")
                    .stringType()
                    .defaultValue("")
                    .withDescription(
                            "User name of a trainer, with which 'submit' and 'doctor' try whether trainers could speak for the job; empty to try it without a name.");

    /** Its password. */
    public static final ConfigOption<String> MQTT_TRAINER_PASSWORD =
            ConfigOptions.key("mqtt.trainer-password")
                    .stringType()
                    .defaultValue("")
                    .withDescription("Its password; the same.");

    /** Certificates to trust. */
    public static final ConfigOption<String> MQTT_CA_FILE =
            ConfigOptions.key("mqtt.ca-file")
                    .stringType()
                    .defaultValue("")
                    .withDescription("PEM file with certificates to trust; empty for the JVM's.");

    /** The client's certificate. */
    public static final ConfigOption<String> MQTT_CERTIFICATE =
            ConfigOptions.key("mqtt.certificate")
                    .stringType()
                    .defaultValue("")
                    .withDescription("PEM file with the client's certificate; empty for none.");

    /** The certificate's key. */
    public static final ConfigOption<String> MQTT_KEY =
            ConfigOptions.key("mqtt.key")
                    .stringType()
                    .defaultValue("")
                    .withDescription("PEM file with the certificate's PKCS #8 key.");

    /** Properties of Kafka's clients. */
    public static final ConfigOption<Map<String, String>> KAFKA_PROPERTIES =
            ConfigOptions.key("kafka.properties")
                    .mapType()
                    .defaultValue(Map.of())
                    .withDescription(
                            "Properties handed to Kafka's clients as they are, for example those of SASL and TLS; ${file:PATH} and ${env:NAME} are looked up on each task manager.");

    /** Properties of trainers' clients. */
    public static final ConfigOption<Map<String, String>> KAFKA_TRAINER_PROPERTIES =
            ConfigOptions.key("kafka.trainer-properties")
                    .mapType()
                    .defaultValue(Map.of())
                    .withDescription(
                            "Properties of a trainer's Kafka client, with which 'submit' and 'doctor' try whether trainers could speak for the job; none to try it without a name.");

    /** Where regions are. */
    public static final ConfigOption<String> REGIONS =
            ConfigOptions.key("regions.directory")
                    .stringType()
                    .defaultValue(TrustedDirectory.DEFAULT)
                    .withDescription(
                            "Directory of regions, best on a memory file system. {uid} stands for the id of the user whose process it is, the task managers' for a job.");

    /** Where a host's node is. */
    public static final ConfigOption<Integer> NODE_PORT =
            ConfigOptions.key("regions.node-port")
                    .intType()
                    .defaultValue(0)
                    .withDescription(
                            "Where task managers are on several hosts: port of each host's node on 127.0.0.1, that of its agent plus 2. 0 where all are on one host.");

    /** Bound for regions. */
    public static final ConfigOption<MemorySize> QUOTA =
            ConfigOptions.key("regions.quota")
                    .memoryType()
                    .defaultValue(MemorySize.ofMebiBytes(1024))
                    .withDescription(
                            "Bound for all regions of the job on a host, those of updates and those of sums, and for files beside them.");

    /** When unfinished updates are thrown away. */
    public static final ConfigOption<Duration> STAGING_IDLE =
            ConfigOptions.key("regions.staging-idle")
                    .durationType()
                    .defaultValue(Duration.ofMinutes(5))
                    .withDescription(
                            "Time without anything new after which an unfinished update is thrown away.");

    /** When they are thrown away in any case. */
    public static final ConfigOption<Duration> STAGING_DEADLINE =
            ConfigOptions.key("regions.staging-deadline")
                    .durationType()
                    .defaultValue(Duration.ofHours(1))
                    .withDescription(
                            "Time after which an unfinished update is thrown away, however it goes on; more than the slowest trainer needs to send one.");

    /** How often checkpoints are made. */
    public static final ConfigOption<Duration> CHECKPOINT_INTERVAL =
            ConfigOptions.key("checkpoints.interval")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(1))
                    .withDescription(
                            "Time between checkpoints, and so the longest that a receipt waits.");

    /** Where checkpoints are. */
    public static final ConfigOption<String> CHECKPOINTS =
            ConfigOptions.key("checkpoints.directory")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "Directory or URI for checkpoints, a path relative to this file, reachable from all hosts; the job has one of its own below it. Required.");
}
