// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class TrainerShareTest {

    /** The same ids and numbers are in the Python client's tests. */
    @Test
    void anIdHasTheSameBucketInEachLanguage() {
        assertThat(TrainerShare.bucket("hospital-7")).isEqualTo(224);
        assertThat(TrainerShare.bucket("trainer")).isEqualTo(105);
        assertThat(TrainerShare.bucket("t-0")).isEqualTo(135);
    }

    @Test
    void bucketsGoOnBehindTheLastOne() {
        TrainerShare some = new TrainerShare(250, 10);
        TrainerShare others = new TrainerShare(4, 246);
        assertThat(IntStream.range(0, 2000).mapToObj(i -> "t-" + i))
                .allSatisfy(id -> assertThat(some.has(id)).isEqualTo(!others.has(id)))
                .anyMatch(some::has)
                .allMatch(TrainerShare.ALL::has);
    }

    @Test
    void aShareThatCannotBeIsRejected() {
        assertThatThrownBy(() -> new TrainerShare(256, 1))
                .hasMessageContaining("expected 0 to 255");
        assertThatThrownBy(() -> new TrainerShare(0, 0)).hasMessageContaining("1 to 256");
    }
}
