// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.source;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.Owner;
import io.tributary.memory.region.TrainerPresence;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.WireMessage;
import io.tributary.protocol.message.ControlMessage.Type;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainerRegisterTest {

    private static final Set<Integer> LANES =
            IntStream.range(0, Topics.LANES).boxed().collect(Collectors.toSet());

    @TempDir Path temp;

    private JobDirectory directory;
    private TrainerRegister register;

    @BeforeEach
    void open() {
        directory = JobDirectory.of(temp, "job");
        register = new TrainerRegister("job", directory, true);
    }

    private List<TrainerEvent> scan() {
        List<TrainerEvent> events = new ArrayList<>();
        register.scan(LANES, Set.of(), events::add);
        return events;
    }

    private Path appear(String instance) {
        Path file = directory.trainer("t");
        JobDirectory.replace(file, new TrainerPresence("t", instance, "g", Owner.self(temp)));
        return file;
    }

    private static Type type(TrainerEvent event) {
        return ((TrainerEvent.Control) event).message().type();
    }

    @Test
    void aFileIsAJoinThenASignOfLifeAndWithoutItALeave() throws Exception {
        Path file = appear("i-1");
        assertThat(scan()).extracting(TrainerRegisterTest::type).containsExactly(Type.JOIN);
        assertThat(scan()).extracting(TrainerRegisterTest::type).containsExactly(Type.HEARTBEAT);
        appear("i-2");
        assertThat(scan())
                .as("another client has taken the id over")
                .extracting(TrainerRegisterTest::type)
                .containsExactly(Type.LEAVE, Type.JOIN);
        Files.delete(file);
        assertThat(scan()).extracting(TrainerRegisterTest::type).containsExactly(Type.LEAVE);
    }

    /** Without an agent there is no other way to ask, and a job that was resumed is asked again. */
    @Test
    void aFileThatIsWrittenAgainAsksAgain() {
        appear("i-1");
        assertThat(scan()).extracting(TrainerRegisterTest::type).containsExactly(Type.JOIN);
        appear("i-1");
        assertThat(scan()).extracting(TrainerRegisterTest::type).containsExactly(Type.JOIN);
        assertThat(scan()).extracting(TrainerRegisterTest::type).containsExactly(Type.HEARTBEAT);
    }

    /** A newer client is told why it cannot join, once. */
    @Test
    void aFileThatMustBeReadOtherwiseIsAnswered() throws Exception {
        Path file = appear("i-1");
        ObjectNode json = (ObjectNode) Json.tree(Files.readAllBytes(file));
        json.putArray(WireMessage.MUST_FIELD).add("masks");
        Files.write(file, Json.encode(json));
        assertThat(scan())
                .singleElement()
                .isInstanceOfSatisfying(
                        TrainerEvent.InputRejected.class,
                        rejected -> {
                            assertThat(rejected.instance()).isEqualTo("i-1");
                            assertThat(rejected.deadLetter().trainer()).isEqualTo("t");
                            assertThat(rejected.deadLetter().reason())
                                    .isEqualTo(RejectReason.UNSUPPORTED);
                        });
        assertThat(scan()).isEmpty();
    }

    @Test
    void theNextClientOfTheIdIsToldToo() throws Exception {
        for (String instance : List.of("i-1", "i-2")) {
            Path file = appear(instance);
            ObjectNode json = (ObjectNode) Json.tree(Files.readAllBytes(file));
            json.putArray(WireMessage.MUST_FIELD).add("masks");
            Files.write(file, Json.encode(json));
            assertThat(scan())
                    .singleElement()
                    .isInstanceOfSatisfying(
                            TrainerEvent.InputRejected.class,
                            rejected -> assertThat(rejected.instance()).isEqualTo(instance));
            Files.delete(file);
            assertThat(scan()).isEmpty();
        }
    }

    @Test
    void garbageIsNobodysAndIsToldOnce() throws Exception {
        Files.createDirectories(directory.trainer("t").getParent());
        Files.writeString(directory.trainer("t"), "garbage");
        assertThat(scan())
                .singleElement()
                .isInstanceOfSatisfying(
                        TrainerEvent.InputRejected.class,
                        rejected -> {
                            assertThat(rejected.instance()).isEmpty();
                            assertThat(rejected.deadLetter().trainer()).isEmpty();
                        });
        assertThat(scan()).isEmpty();
    }
}
