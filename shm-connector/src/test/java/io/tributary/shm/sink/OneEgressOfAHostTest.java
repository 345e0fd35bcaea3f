// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.sink;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.JobLock;
import io.tributary.node.PayloadStore;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.sources.base.sink.Egress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where there are many hosts, all subtasks of a sink get all values, and one of a host sends. */
class OneEgressOfAHostTest {

    @TempDir Path temp;

    private Egress<DeadLetter> open() throws IOException {
        return new ShmEgresses("job", new PayloadStore.Place(temp.toString(), 1), 1 << 20, 1)
                .deadLetters()
                .open("writer");
    }

    private static DeadLetter letter(String text) {
        return new DeadLetter("topic", "t", 1, 0, RejectReason.MALFORMED, text);
    }

    private List<String> sent() throws IOException {
        Path file = JobDirectory.of(temp, "job").deadLetters();
        return Files.exists(file)
                ? Files.readAllLines(file).stream()
                        .map(line -> line.replaceAll(".*\"text\":\"([^\"]*)\".*", "$1"))
                        .toList()
                : List.of();
    }

    @Test
    void oneSendsAndAnotherTakesOverWithWhatCameLast() throws IOException {
        try (Egress<DeadLetter> first = open();
                Egress<DeadLetter> second = open()) {
            for (String text : List.of("a", "b")) {
                first.send(letter(text));
                second.send(letter(text));
            }
            assertThat(sent()).containsExactly("a", "b");

            first.close();
            second.send(letter("c"));
            assertThat(sent()).containsExactly("a", "b", "b", "c");
        }
    }

    @Test
    void oneOfAnEarlierAttemptIsWaitedFor() throws IOException {
        JobLock before =
                JobLock.one(JobDirectory.of(temp, "job").path(), "dead-letters-writer")
                        .orElseThrow();
        try (Egress<DeadLetter> egress = open()) {
            egress.send(letter("a"));
            assertThat(sent()).isEmpty();
            before.close();
            egress.send(letter("b"));
            assertThat(sent()).containsExactly("a", "b");
        }
    }
}
