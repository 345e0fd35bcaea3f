// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.source;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.guard.MemoryGuard;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class UpdateInspectorTest {

    private static final SafetensorsHeader HEADER =
            SafetensorsHeader.create(
                    List.of(SafetensorsHeader.tensor("w", DType.F32, 10)), Map.of());
    private static final ModelLayout MODEL = new ModelLayout(HEADER, 100);
    private static final String GOOD =
            "{'job':'job','trainer':'t','round':1,'epoch':2,'attempt':7,'samples':3,'kind':'WEIGHTS','metrics':{}}";

    @TempDir Path temp;

    private final UpdateInspector inspector = new UpdateInspector("job", MODEL, false);

    @BeforeAll
    static void guard() {
        MemoryGuard.install();
    }

    private OwnedRegion region(long length, String description) throws IOException {
        OwnedRegion region =
                new RegionDirectory(temp.resolve("r"), 1 << 28).own("x", length).orElseThrow();
        region.memory().slice(0, HEADER.bytes().length).put(HEADER.bytes());
        region.publish(description.replace('\'', '"'));
        return region;
    }

    private Optional<TrainerEvent> rung(OwnedRegion region) {
        return inspector.inspect(region.file(), true);
    }

    /** An update that is claimed is not the trainer's to send again; one that is rejected is. */
    private static TrainerEvent.InputRejected rejected(Optional<TrainerEvent> event) {
        return (TrainerEvent.InputRejected) event.orElseThrow();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "'samples':3; 'samples':1.5; MALFORMED",
                "'kind':'WEIGHTS'; 'kind':'GRADIENTS'; MALFORMED",
                "'samples':3,; ; MALFORMED",
                "'job':'job'; 'job':'other'; WRONG_JOB"
            })
    void aDescriptionThatIsWrongIsStillSomebodys(String right, String wrong, RejectReason reason)
            throws IOException {
        try (OwnedRegion region =
                region(HEADER.fileLength(), GOOD.replace(right, wrong == null ? "" : wrong))) {
            TrainerEvent.InputRejected rejected = rejected(rung(region));
            assertThat(rejected.deadLetter().reason()).isEqualTo(reason);
            assertThat(rejected.deadLetter().trainer()).isEqualTo("t");
            assertThat(rejected.answer()).isTrue();
            assertThat(rejected.attempt()).isEqualTo(7);
            assertThat(region.released()).as("it is its trainer's again").isTrue();
        }
    }

    /** Released without an answer, its owner would make it READY again, and ring, for ever. */
    @ParameterizedTest
    @ValueSource(strings = {"{}", "nonsense", "{'trainer':'a b'}", "[1]"})
    void whatNobodyCanBeToldOfStaysAndIsSaidOnce(String description) throws IOException {
        try (OwnedRegion region = region(HEADER.fileLength(), description)) {
            assertThat(rejected(rung(region)).answer()).isFalse();
            assertThat(region.released()).isFalse();
            assertThat(rung(region)).isEmpty();
            assertThat(inspector.inspect(region.file(), false)).isEmpty();
        }
    }

    @Test
    void anUpdateThatIsTooLargeIsCalledSo() throws IOException {
        try (OwnedRegion region = region(MODEL.maxUpdateBytes() + 1, GOOD)) {
            TrainerEvent.InputRejected rejected = rejected(rung(region));
            assertThat(rejected.deadLetter().reason()).isEqualTo(RejectReason.TOO_LARGE);
            assertThat(rejected.deadLetter().text()).contains("at most " + MODEL.maxUpdateBytes());
            assertThat(rejected.answer()).isTrue();
        }
    }

    @Test
    void metricsNeverDecideAboutAnUpdate() throws IOException {
        try (OwnedRegion region =
                region(
                        HEADER.fileLength(),
                        GOOD.replace("'metrics':{}", "'metrics':{'loss':'NaN','x':[]}"))) {
            ByteBuffer zeros = ByteBuffer.allocate(40);
            region.memory().slice(HEADER.dataOffset(), 40).put(zeros);
            assertThat(rung(region).orElseThrow()).isInstanceOf(TrainerEvent.UpdateStaged.class);
        }
    }

    /** A writer that has looked saves the job the reading; one that has not does not. */
    @ParameterizedTest
    @CsvSource({"true, true, true", "true, false, false", "false, true, false"})
    void aPromiseIsTakenWhereThereIsAChecksum(boolean finite, boolean checksum, boolean taken)
            throws IOException {
        try (OwnedRegion region =
                new RegionDirectory(temp.resolve("r"), 1 << 28)
                        .own("x", HEADER.fileLength())
                        .orElseThrow()) {
            region.memory().slice(0, HEADER.bytes().length).put(HEADER.bytes());
            region.memory().slice(HEADER.dataOffset(), 40).putFloat(12, Float.NaN);
            region.publish(
                    new OwnedRegion.Content(
                            checksum ? OptionalInt.of(0xABC) : OptionalInt.empty(), finite),
                    GOOD.replace('\'', '"'));
            TrainerEvent event = rung(region).orElseThrow();
            if (taken) {
                assertThat(((TrainerEvent.UpdateStaged) event).claim())
                        .matches(claim -> !claim.scanned() && claim.crc32c() == 0xABC);
                assertThat(
                                ((TrainerEvent.InputRejected)
                                                new UpdateInspector("job", MODEL, true)
                                                        .inspect(region.file(), true)
                                                        .orElseThrow())
                                        .deadLetter()
                                        .reason())
                        .as("by one that takes no promise")
                        .isEqualTo(RejectReason.CHECKSUM);
            } else {
                assertThat(((TrainerEvent.InputRejected) event).deadLetter().reason())
                        .isEqualTo(checksum ? RejectReason.CHECKSUM : RejectReason.NOT_FINITE);
            }
        }
    }
}
