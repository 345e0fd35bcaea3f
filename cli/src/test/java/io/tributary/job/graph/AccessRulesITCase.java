// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.cli.testutils.Cli;
import io.tributary.cli.testutils.Mosquitto;
import io.tributary.cli.testutils.PythonTrainers;
import io.tributary.cli.testutils.TestJob;
import io.tributary.job.config.ForeignClient;
import io.tributary.job.testutils.SmallModel;
import io.tributary.node.agent.FreePorts;
import io.tributary.protocol.message.Topics;
import io.tributary.testbed.process.ChildProcess;
import io.tributary.testbed.process.JavaProcess;
import io.tributary.testbed.process.KafkaProcess;
import io.tributary.trainer.TrainerClient;
import io.tributary.trainer.TrainerTransport;
import io.tributary.transport.kafka.KafkaOptions;
import io.tributary.transport.kafka.KafkaTopics;
import io.tributary.transport.kafka.TopicAccess;
import io.tributary.transport.kafka.TopicSetup;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.BrokerRejectedException;
import io.tributary.transport.mqtt.PublishAccess;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Item 4: the access rules of docs/security.md, at brokers that follow them. */
@Timeout(240)
class AccessRulesITCase {

    private static final Path HOME = Path.of(System.getProperty("tributary.home"));
    private static final List<String> TRAINERS = List.of("t-1", "t-2");
    private static final Topics TOPICS = new Topics("digits");

    @TempDir Path temp;

    private Mosquitto mosquitto(int port) throws Exception {
        Path passwords = temp.resolve("passwords");
        Files.createFile(passwords);
        for (String user : List.of("job", "t-1", "t-2")) {
            Process process =
                    new ProcessBuilder(
                                    Mosquitto.executable("mosquitto_passwd"),
                                    "-b",
                                    passwords.toString(),
                                    user,
                                    "of-" + user)
                            .start();
            assertThat(process.waitFor()).isZero();
        }
        return Mosquitto.start(
                port,
                "allow_anonymous false",
                "password_file " + passwords,
                "acl_file " + HOME.resolve("docs/examples/mosquitto.acl"));
    }

    private void run(TestJob job, JobTransport transport, Ways ways) throws Exception {
        try (LocalFlink flink = job.start(TRAINERS.size(), 2, transport)) {
            CompletableFuture.allOf(
                            TRAINERS.stream()
                                    .map(
                                            id ->
                                                    CompletableFuture.runAsync(
                                                            () -> {
                                                                try (TrainerClient client =
                                                                        job.client(
                                                                                id, ways.of(id))) {
                                                                    client.join();
                                                                    TestJob.train(client);
                                                                }
                                                            }))
                                    .toArray(CompletableFuture[]::new))
                    .get();
            flink.check();
        }
        assertThat(job.error(2, TRAINERS)).isLessThan(1e-6);
    }

    private interface Ways {
        TrainerTransport of(String trainer);
    }

    @Test
    void mosquitto() throws Exception {
        int port = FreePorts.next();
        BrokerOptions broker =
                BrokerOptions.of("mqtt://127.0.0.1:" + port).withPatience(Duration.ofSeconds(10));
        TestJob job = new TestJob("digits", temp, 1);
        try (Mosquitto running = mosquitto(port)) {
            run(
                    job,
                    new MqttTransport(broker.withPassword("job", "of-job"), job.staging(1 << 26)),
                    id -> TrainerTransport.mqtt(broker.withPassword(id, "of-" + id)));
            BrokerOptions trainer = broker.withPassword("t-1", "of-t-1");
            for (String own : List.of(TOPICS.control("t-1"), TOPICS.update("t-1"))) {
                assertThat(PublishAccess.admits(trainer, own)).as(own).isTrue();
            }
            for (String foreign :
                    List.of(
                            TOPICS.control("t-2"),
                            TOPICS.update("t-2"),
                            TOPICS.receipt("t-1"),
                            TOPICS.receipt("t-2"),
                            TOPICS.round(),
                            TOPICS.model(),
                            TOPICS.modelChunk(0),
                            TOPICS.status(),
                            TOPICS.deadLetter(),
                            TOPICS.probe(),
                            new Topics("other").round())) {
                assertThat(PublishAccess.admits(trainer, foreign)).as(foreign).isFalse();
            }
            for (BrokerOptions someone : List.of(broker, trainer)) {
                assertThat(
                                new ForeignClient(Optional.of(someone), Optional.empty())
                                        .warning("digits"))
                        .isEmpty();
            }
            assertThat(
                            new ForeignClient(
                                            Optional.of(broker.withPassword("t-1", "wrong")),
                                            Optional.empty())
                                    .warning("digits"))
                    .as("nothing has been tried")
                    .hasValueSatisfying(
                            w -> assertThat(w).contains("could not be told", "rejects user 't-1'"));
            TrainerClient another = job.client("t-2", TrainerTransport.mqtt(trainer));
            assertThatThrownBy(another::join)
                    .isInstanceOf(BrokerRejectedException.class)
                    .hasMessageContaining("user 't-1' publish to " + TOPICS.control("t-2"))
                    .hasMessageContaining("a trainer's user is its id");
            another.close();
            assertThat(
                            new ForeignClient(
                                            Optional.of(broker.withPassword("job", "of-job")),
                                            Optional.empty())
                                    .warning("digits"))
                    .hasValueSatisfying(w -> assertThat(w).contains("user 'job' publish"));
        }
    }

    @Test
    void doctorSaysWhatABrokerLetsOthersDo() throws Exception {
        int port = FreePorts.next();
        Path config = temp.resolve("job.yaml");
        Files.copy(HOME.resolve("docs/examples/schema.json"), temp.resolve("schema.json"));
        SmallModel.write(temp.resolve("model.safetensors"), 1);
        String yaml =
                """
                job.name: digits
                topology: schema.json
                model: {initial: model.safetensors, directory: models}
                checkpoints.directory: checkpoints
                transports: [mqtt://127.0.0.1:%d]
                """
                        .formatted(port);
        Files.writeString(config, yaml);
        try (Mosquitto open = Mosquitto.start(port, "allow_anonymous true")) {
            Cli doctor = Cli.run("doctor", "--config", config.toString());
            assertThat(doctor.exit()).isEqualTo(1);
            assertThat(doctor.out())
                    .containsPattern("MISSING +broker +the broker mqtt://127.0.0.1:" + port)
                    .contains("lets anybody publish for the job")
                    .contains("docs/security.md");
        }
        Files.writeString(
                config, yaml + "mqtt:\n  trainer-user: t-1\n  trainer-password: of-t-1\n");
        try (Mosquitto ruled = mosquitto(port)) {
            assertThat(Cli.run("doctor", "--config", config.toString()).out())
                    .containsPattern("OK +broker +lets nobody else speak for job 'digits'");
        }
        assertThat(Cli.run("doctor", "--config", config.toString()).out())
                .containsPattern("MISSING +broker +it could not be told");
    }

    private static Map<String, String> plain(String user) {
        return Map.of(
                "security.protocol",
                "SASL_PLAINTEXT",
                "sasl.mechanism",
                "PLAIN",
                "sasl.jaas.config",
                "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"%s\" password=\"of-%s\";"
                        .formatted(user, user));
    }

    /** A broker with the rules of the documentation. */
    private KafkaProcess guarded() throws Exception {
        KafkaProcess.Access access =
                new KafkaProcess.Access(
                        "SASL_PLAINTEXT",
                        """
                        authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
                        super.users=User:admin;User:ANONYMOUS
                        allow.everyone.if.no.acl.found=false
                        sasl.enabled.mechanisms=PLAIN
                        sasl.mechanism.inter.broker.protocol=PLAIN
                        listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="of-admin" user_admin="of-admin" user_job="of-job" user_trainer="of-trainer";
                        """,
                        plain("admin"));
        KafkaProcess kafka = KafkaProcess.start(temp.resolve("kafka"), access);
        for (String rule : rules()) {
            acl(kafka.options().bootstrapServers(), rule);
        }
        return kafka;
    }

    /** Its client library asks for more than Java's, of which nothing is granted. */
    @Test
    void kafkaForATrainerInPython() throws Exception {
        PythonTrainers.assumeThere();
        TestJob job = new TestJob("digits", temp, 1);
        String options =
                """
                {"kafka": {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
                "sasl.username": "trainer", "sasl.password": "of-trainer"}}
                """;
        try (KafkaProcess kafka = guarded()) {
            KafkaTransport transport =
                    new KafkaTransport(
                            new KafkaOptions(kafka.options().bootstrapServers(), plain("job")),
                            job.staging(1 << 26),
                            false);
            try (LocalFlink flink = job.start(1, 2, transport);
                    ChildProcess trainer =
                            PythonTrainers.start(job, temp, "t-1", 2, transport.uri(), options)) {
                assertThat(trainer.await(TestJob.PATIENCE.toSeconds())).isTrue();
                assertThat(trainer.exitCode()).as(trainer.logTail()).contains(0);
                flink.check();
            }
            assertThat(job.error(2, List.of("t-1"))).isLessThan(1e-6);
        }
    }

    @Test
    void kafka() throws Exception {
        TestJob job = new TestJob("digits", temp, 1);
        try (KafkaProcess kafka = guarded()) {
            String servers = kafka.options().bootstrapServers();
            KafkaOptions trainer = new KafkaOptions(servers, plain("trainer"));
            run(
                    job,
                    new KafkaTransport(
                            new KafkaOptions(servers, plain("job")), job.staging(1 << 26), false),
                    id -> TrainerTransport.kafka(trainer));
            KafkaTopics topics = new KafkaTopics("digits");
            assertThat(TopicAccess.maySpeakForJob(trainer, topics)).isFalse();
            assertThat(TopicAccess.maySpeakForJob(KafkaOptions.of(servers), topics)).isFalse();
            assertThat(TopicAccess.maySpeakForJob(new KafkaOptions(servers, plain("job")), topics))
                    .isTrue();
        }
    }

    @Test
    void kafkaWithoutRulesIsWarnedOf() throws Exception {
        try (KafkaProcess kafka = KafkaProcess.start(temp.resolve("kafka"))) {
            ForeignClient anybody =
                    new ForeignClient(Optional.empty(), Optional.of(kafka.options()));
            assertThat(anybody.warning("digits"))
                    .as("before the job is there")
                    .hasValueSatisfying(w -> assertThat(w).contains("no topic digits.rounds"));
            TopicSetup.ensure(kafka.options(), new KafkaTopics("digits"));
            assertThat(anybody.warning("digits"))
                    .hasValueSatisfying(w -> assertThat(w).contains("lets anybody publish"));
            kafka.kill();
            assertThat(anybody.warning("digits"))
                    .hasValueSatisfying(w -> assertThat(w).contains("could not be told"));
        }
    }

    /** The rules of the page. */
    private static List<String> rules() throws Exception {
        List<String> rules =
                Files.readAllLines(HOME.resolve("docs/security.md")).stream()
                        .filter(line -> line.startsWith("kafka-acls "))
                        .toList();
        assertThat(rules).hasSize(4);
        return rules;
    }

    /** Kafka's own command. */
    private void acl(String servers, String rule) throws Exception {
        Properties admin = new Properties();
        admin.putAll(plain("admin"));
        Path config = temp.resolve("admin.properties");
        try (var out = Files.newBufferedWriter(config)) {
            admin.store(out, null);
        }
        List<String> arguments =
                new ArrayList<>(List.of("--bootstrap-server", servers, "--command-config"));
        arguments.add(config.toString());
        arguments.addAll(Arrays.asList(rule.substring("kafka-acls ".length()).split(" ")));
        try (ChildProcess process =
                JavaProcess.start(
                        JavaProcess.Command.here(
                                List.of("-Xmx128m"),
                                "org.apache.kafka.tools.AclCommand",
                                arguments),
                        temp.resolve("acl.out"))) {
            assertThat(process.await(60)).isTrue();
            assertThat(process.exitCode()).as(process.logTail()).hasValue(0);
        }
    }
}
