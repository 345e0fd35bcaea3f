// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.MappedFile;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionHeader;
import io.tributary.memory.region.RegionLayout.State;
import io.tributary.protocol.RejectReason;
import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkPart;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.RoundId;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.message.UpdateKind;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.sources.base.message.Message;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ChunkAssemblerTest {

    private static final int CHUNK = ChunkPart.MIN_CHUNK_BYTES;
    private static final Run RUN = Run.of("secret");
    private static final SafetensorsHeader HEADER =
            SafetensorsHeader.create(
                    List.of(SafetensorsHeader.tensor("w", DType.F32, 1100)), Map.of());
    private static final ModelLayout MODEL = new ModelLayout(HEADER, 10_000);

    @TempDir Path temp;

    private final AtomicInteger done = new AtomicInteger();
    private final AtomicLong clock = new AtomicLong(1);
    private final List<TrainerEvent> events = new ArrayList<>();
    private ChunkAssembler assembler;

    @BeforeEach
    void start() {
        assembler = assembler(temp, 1 << 20);
    }

    private ChunkAssembler assembler(Path directory, long quota) {
        return new ChunkAssembler(
                "job", RUN, MODEL, regions(directory, quota), limits(false), clock::get);
    }

    private static StagingRegions regions(Path directory, long quota) {
        JobDirectory files = JobDirectory.of(directory, "regions").staged("mqtt");
        return new StagingRegions(files, files.regions(quota));
    }

    private static ChunkAssembler.Limits limits(boolean ordered) {
        return new ChunkAssembler.Limits(
                3, Duration.ofSeconds(10), Duration.ofSeconds(3), Duration.ofSeconds(60), ordered);
    }

    private static byte[] update(float value) {
        ByteBuffer bytes =
                ByteBuffer.allocate((int) HEADER.fileLength()).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(HEADER.bytes());
        while (bytes.hasRemaining()) {
            bytes.putFloat(value);
        }
        return bytes.array();
    }

    private List<Message> chunks(String trainer, long attempt, byte[] update) {
        int count = ChunkPart.count(update.length, CHUNK);
        List<Message> chunks = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            byte[] part =
                    Arrays.copyOfRange(update, i * CHUNK, Math.min(update.length, (i + 1) * CHUNK));
            ChunkHeader header =
                    new ChunkHeader(
                            "job",
                            trainer,
                            4,
                            0,
                            "i",
                            RUN.token(trainer, "i"),
                            attempt,
                            10,
                            UpdateKind.WEIGHTS,
                            Map.of("loss", 0.5),
                            new ChunkPart(
                                    i,
                                    count,
                                    CHUNK,
                                    update.length,
                                    ChunkPart.crc(ByteBuffer.wrap(update)),
                                    ChunkPart.crc(ByteBuffer.wrap(part))));
            chunks.add(chunk(trainer, header.toProperties(), part));
        }
        return chunks;
    }

    private Message chunk(String trainer, Map<String, String> properties, byte[] payload) {
        return new Message(
                "topic/" + trainer, 3, -1, trainer, properties, payload, done::incrementAndGet);
    }

    private Message with(Message chunk, String property, String value) {
        Map<String, String> properties = new HashMap<>(chunk.properties());
        properties.put(property, value);
        return chunk(chunk.sender(), properties, chunk.payload());
    }

    private void accept(List<Message> chunks) throws IOException {
        for (Message chunk : chunks) {
            assembler.accept(chunk, events::add);
        }
    }

    private Claim claim(int event) {
        return ((TrainerEvent.UpdateStaged) events.get(event)).claim();
    }

    private void assertRejected(RejectReason reason, boolean answer, String... words) {
        TrainerEvent.InputRejected rejected =
                (TrainerEvent.InputRejected) events.get(events.size() - 1);
        assertThat(rejected.deadLetter().reason()).isEqualTo(reason);
        assertThat(rejected.answer()).isEqualTo(answer);
        assertThat(rejected.deadLetter().text()).contains(words).doesNotContain("\n");
    }

    private long regions() throws IOException {
        try (Stream<Path> files = Files.walk(temp.resolve("regions"))) {
            return files.filter(f -> f.toString().endsWith(".region")).count();
        }
    }

    @Test
    void chunksInAnyOrderMakeTheUpdate() throws IOException {
        byte[] update = update(1.5f);
        List<Message> chunks = chunks("t-1", 1, update);
        Collections.shuffle(chunks, new Random(1));

        accept(chunks);

        assertThat(events).hasSize(1);
        assertThat(done).hasValue(chunks.size());
        assertThat(claim(0).trainer()).isEqualTo("t-1");
        assertThat(claim(0).samples()).isEqualTo(10);
        assertThat(claim(0).metrics()).isEqualTo(Map.of("loss", 0.5));
        try (MappedFile mapped = MappedFile.open(claim(0).payload())) {
            assertThat(mapped.slice(0, update.length)).isEqualTo(ByteBuffer.wrap(update));
        }
    }

    @Test
    void aChunkThatComesTwiceIsADeadLetterAndTheUpdateGoesOn() throws IOException {
        List<Message> chunks = chunks("t-1", 1, update(1));
        assembler.accept(chunks.get(0), events::add);
        assembler.accept(chunks.get(0), events::add);
        assertRejected(RejectReason.CHUNK_DUPLICATE, false, "trainer t-1 for round 4.0");
        accept(chunks.subList(1, chunks.size()));
        assertThat(claim(1).trainer()).isEqualTo("t-1");
        assembler.accept(chunks.get(2), events::add);
        assertRejected(RejectReason.CHUNK_DUPLICATE, false, "has been dealt with");
        assertThat(done).hasValue(chunks.size() + 2);
    }

    @Test
    void damagedAndOutOfRangeChunksAreDeadLettersAndTheUpdateGoesOn() throws IOException {
        List<Message> chunks = chunks("t-1", 1, update(1));
        byte[] damaged = chunks.get(0).payload().clone();
        damaged[7] ^= 1;
        assembler.accept(chunk("t-1", chunks.get(0).properties(), damaged), events::add);
        assertRejected(RejectReason.CHUNK_CORRUPT, false, "should have CRC32C");
        assembler.accept(with(chunks.get(0), "chunk", "77"), events::add);
        assertRejected(RejectReason.CHUNK_OUT_OF_RANGE, false, "chunk 77 of");
        accept(chunks);
        assertThat(claim(2).trainer()).isEqualTo("t-1");
    }

    @Test
    void anUpdateThatIsTooLargeLeavesTheCurrentOneAlone() throws IOException {
        List<Message> chunks = chunks("t-1", 1, update(1));
        accept(chunks.subList(0, 2));
        List<Message> large = chunks("t-1", 2, new byte[2 << 20]);
        for (int i = 0; i < 3; i++) {
            assembler.accept(large.get(i), events::add);
        }
        assertRejected(RejectReason.CHUNK_DUPLICATE, false, "has been dealt with");
        accept(chunks.subList(2, chunks.size()));
        assertThat(assembler.staging()).isLessThanOrEqualTo(1);
        assembler.close();
        assertThat(regions()).isLessThanOrEqualTo(1);
    }

    @Test
    void aLateChunkOfAnEarlierRoundDoesNotDisturb() throws IOException {
        List<Message> chunks = chunks("t-1", 2, update(1));
        Message late = with(chunks("t-1", 1, update(2)).get(0), "round", "3");
        accept(chunks.subList(0, 2));
        assembler.accept(late, events::add);
        assertRejected(RejectReason.CHUNK_UNKNOWN_ATTEMPT, false, "round 4.0 already");
        accept(chunks.subList(2, chunks.size()));
        assertThat(claim(1).round()).isEqualTo(4);
    }

    private long ready() {
        return RegionDirectory.list(temp.resolve("regions")).stream()
                .filter(file -> RegionHeader.read(file).state() == State.READY)
                .count();
    }

    @Test
    void whatWasStagedBeforeARestoreIsClaimedAgain() throws IOException {
        accept(chunks("t-1", 1, update(1)));
        accept(chunks("t-2", 1, update(2)).subList(0, 1));
        JobDirectory directory = JobDirectory.of(temp, "regions").staged("mqtt");
        assertThat(regions()).isEqualTo(2);

        // The reader before closes in its own time, or is killed; what it staged stays claimed.
        assembler.close();
        assertThat(regions()).isEqualTo(1);
        UpdateDecoder restored =
                new UpdateDecoder(directory, assembler(temp, 1 << 20), () -> {}, false);
        for (int lane = 0; lane < Topics.LANES; lane++) {
            restored.begin(lane, false);
        }
        List<TrainerEvent> claims = new ArrayList<>();
        restored.tick((lane, event) -> claims.add(event));
        assertThat(claims)
                .singleElement()
                .usingRecursiveComparison()
                .ignoringFields("claim.bound")
                .isEqualTo(new TrainerEvent.UpdateStaged(claim(0)));
        assertThat(regions()).as("the half staged one is gone").isEqualTo(1);
        RegionDirectory.release(claim(0).payload());
        assertThat(regions()).as("nobody takes it back").isZero();

        for (int lane = 0; lane < Topics.LANES; lane++) {
            restored.begin(lane, true);
        }
        restored.tick((lane, event) -> Assertions.fail("a fresh job claims nothing"));
        assertThat(regions()).isZero();
    }

    @Test
    void aNewerAttemptSupersedesAnOlderOne() throws IOException {
        List<Message> first = chunks("t-1", 5, update(1));
        List<Message> second = chunks("t-1", 6, update(2));
        accept(first.subList(0, 2));
        accept(second.subList(0, 1));
        assembler.accept(first.get(2), events::add);
        assertRejected(RejectReason.CHUNK_UNKNOWN_ATTEMPT, false, "attempt 5 was superseded");
        accept(second.subList(1, second.size()));
        assertThat(claim(1).trainer()).isEqualTo("t-1");
        assertThat(regions()).isEqualTo(1);
        assembler.accept(first.get(3), events::add);
        assertRejected(RejectReason.CHUNK_UNKNOWN_ATTEMPT, false, "superseded");
    }

    @Test
    void aResendOfTheSameBytesGoesOnWhereTheFirstSendingWas() throws IOException {
        List<Message> first = chunks("t-1", 5, update(1));
        List<Message> second = chunks("t-1", 6, update(1));
        accept(first.subList(0, 4));
        accept(second.subList(0, 2));
        assertThat(events).as("chunks that were written before are no mistake").isEmpty();
        assembler.accept(second.get(1), events::add);
        assertRejected(RejectReason.CHUNK_DUPLICATE, false, "has come already");

        assembler.accept(second.get(4), events::add);
        assertThat(claim(1).trainer()).isEqualTo("t-1");
        accept(second.subList(2, 4));
        assertThat(events).as("what follows of the sending is no mistake").hasSize(2);
    }

    @Test
    void aHostileHeaderIsNotRead() throws IOException {
        byte[] update =
                ByteBuffer.allocate(2_000_000)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(1_900_000)
                        .array();
        accept(chunks("t-1", 1, Arrays.copyOf(update, 1_040_000)));
        assertRejected(RejectReason.MALFORMED, true, "header of 1900000 bytes, allowed are 2 to");
    }

    @Test
    void oneAttemptIsOneUpdate() throws IOException {
        assembler.accept(chunks("t-1", 1, update(1)).get(0), events::add);
        assembler.accept(chunks("t-1", 1, update(2)).get(1), events::add);
        assertRejected(RejectReason.CHUNK_UNKNOWN_ATTEMPT, false, "contradicts the first chunk");
    }

    @Test
    void updatesThatCannotBeFoldedAreRejectedAndLeaveNoRegion() throws IOException {
        accept(chunks("t-1", 1, update(Float.NaN)));
        assertRejected(RejectReason.NOT_FINITE, true, "tensor 'w' has NaN at index [0]");
        SafetensorsHeader other =
                SafetensorsHeader.create(
                        List.of(SafetensorsHeader.tensor("w", DType.F32, 1200)), Map.of());
        byte[] small = Arrays.copyOf(other.bytes(), (int) other.fileLength());
        accept(chunks("t-2", 1, small));
        assertRejected(
                RejectReason.WRONG_SHAPE,
                true,
                "update from trainer t-2 for round 4.0: tensor 'w' has shape [1200], the model has"
                        + " [1100]");
        accept(chunks("t-3", 1, Arrays.copyOf("this is not a safetensors file".getBytes(), 5000)));
        assertRejected(RejectReason.MALFORMED, true, "is this a safetensors file?");
        List<Message> wrongSum = chunks("t-4", 1, update(1));
        wrongSum.replaceAll(c -> with(c, "crc32c", "00000001"));
        accept(wrongSum);
        assertRejected(RejectReason.CHECKSUM, true, "should have CRC32C 00000001");
        assertThat(ready()).isZero();
        accept(chunks("t-1", 2, update(1)));
        assertThat(claim(events.size() - 1).trainer()).isEqualTo("t-1");
    }

    @Test
    void whatIsNotAnUpdateOfThisJobIsRejected() throws IOException {
        Message chunk = chunks("t-1", 1, update(1)).get(0);
        assembler.accept(chunk("t-1", Map.of(), new byte[3]), events::add);
        assertRejected(RejectReason.MALFORMED, false, "message from t-1");
        assembler.accept(with(chunk, "job", "other"), events::add);
        assertRejected(RejectReason.WRONG_JOB, true, "'other'");
        assembler.accept(with(chunk, "trainer", "t-2"), events::add);
        assertRejected(RejectReason.MALFORMED, false, "the sender is 't-1'");
        assertThat(done).hasValue(3);
    }

    @Test
    void anUpdateLargerThanTheModelsIsRejectedAtItsFirstChunk() throws IOException {
        int chunkBytes = 1 << 20;
        long length = 1L << 40;
        byte[] payload = new byte[chunkBytes];
        ChunkHeader header =
                new ChunkHeader(
                        "job",
                        "t-1",
                        1,
                        0,
                        "i",
                        RUN.token("t-1", "i"),
                        1,
                        1,
                        UpdateKind.WEIGHTS,
                        Map.of(),
                        new ChunkPart(
                                0,
                                (int) (length / chunkBytes),
                                chunkBytes,
                                length,
                                0,
                                ChunkPart.crc(ByteBuffer.wrap(payload))));
        assembler.accept(chunk("t-1", header.toProperties(), payload), events::add);
        assertRejected(RejectReason.TOO_LARGE, true, "1099511627776 bytes");
        assertThat(regions()).isZero();
    }

    @Test
    void withoutRoomChunksWaitAndOthersGoOn() throws IOException {
        assembler = assembler(temp, 4096 + HEADER.fileLength());
        List<Message> first = chunks("t-1", 1, update(1));
        List<Message> second = chunks("t-2", 1, update(2));
        accept(first.subList(0, 1));
        accept(second.subList(0, 3));
        assertThat(assembler.waiting()).isEqualTo(3);
        assertThat(done).as("not done, so the transport holds back").hasValue(1);

        accept(first.subList(1, first.size()));
        assertThat(claim(0).trainer()).isEqualTo("t-1");
        assembler.tick((lane, event) -> events.add(event));
        assertThat(assembler.waiting()).isEqualTo(3);
        RegionDirectory.release(claim(0).payload());
        assembler.tick((lane, event) -> events.add(event));
        assertThat(assembler.waiting()).isZero();
        accept(second.subList(3, second.size()));
        assertThat(claim(1).trainer()).isEqualTo("t-2");
    }

    @Test
    void whoFindsNoRoomIsAskedAgainInTurn() throws IOException {
        assembler = assembler(temp, 4096 + HEADER.fileLength());
        List<Message> first = chunks("t-1", 1, update(1));
        accept(first.subList(0, 1));
        accept(chunks("t-2", 1, update(2)));
        accept(chunks("t-3", 1, update(3)));
        assertThat(assembler.deferred()).isEqualTo(2);
        assertThat(assembler.waiting()).isZero();
        accept(first.subList(1, first.size()));
        accept(chunks("t-4", 1, update(4)));

        for (String next : List.of("t-2", "t-3", "t-4")) {
            RegionDirectory.release(claim(events.size() - 1).payload());
            assembler.tick((lane, event) -> events.add(event));
            assertThat(events.get(events.size() - 1))
                    .isEqualTo(new TrainerEvent.CapacityFreed(next, new RoundId(4, 0), 1));
            accept(chunks("t-9", 1, update(9)).subList(0, 1));
            accept(chunks(next, 2, update(7)));
            assertThat(claim(events.size() - 1).trainer()).isEqualTo(next);
        }
    }

    @Test
    void roomThatNobodyTakesGoesToTheNext() throws IOException {
        assembler = assembler(temp, 4096 + HEADER.fileLength());
        accept(chunks("t-1", 1, update(1)));
        accept(chunks("t-2", 1, update(2)));
        accept(chunks("t-3", 1, update(3)));
        RegionDirectory.release(claim(0).payload());
        assembler.tick((lane, event) -> events.add(event));
        assertThat(events.get(1))
                .isEqualTo(new TrainerEvent.CapacityFreed("t-2", new RoundId(4, 0), 1));
        clock.addAndGet(Duration.ofSeconds(11).toNanos());
        assembler.tick((lane, event) -> events.add(event));
        assertThat(events.get(2))
                .isEqualTo(new TrainerEvent.CapacityFreed("t-3", new RoundId(4, 0), 1));
    }

    @Test
    void aClockThatIsSetBackDoesNotShutATrainerOut() throws IOException {
        accept(chunks("t-1", 86_400_000, update(1)).subList(0, 2));
        accept(chunks("t-1", 5, update(1)));
        assertThat(claim(0).trainer()).isEqualTo("t-1");
        accept(chunks("t-1", 3, update(1)));
        assertThat(claim(1).trainer()).as("asks for its receipt again").isEqualTo("t-1");
    }

    @Test
    void aLaneIsNeededFromItsFirstUnfinishedUpdateOn() throws IOException {
        List<Message> first = chunks("t-1", 1, update(1));
        List<Message> second = chunks("t-2", 1, update(2));
        accept(at(10, first.subList(0, 2)));
        accept(at(12, second));
        assertThat(assembler.neededFrom(3)).hasValue(10);
        assertThat(assembler.neededFrom(4)).isEmpty();
        accept(at(20, first.subList(2, first.size())));
        assertThat(assembler.neededFrom(3)).isEmpty();
    }

    private static List<Message> at(long position, List<Message> messages) {
        List<Message> all = new ArrayList<>();
        for (Message m : messages) {
            all.add(
                    new Message(
                            m.source(),
                            m.lane(),
                            position + all.size(),
                            m.sender(),
                            m.properties(),
                            m.payload(),
                            m.done()));
        }
        return all;
    }

    @Test
    void inOrderWhatHasNoBeginningIsALeftover() throws IOException {
        assembler =
                new ChunkAssembler(
                        "job", RUN, MODEL, regions(temp, 1 << 20), limits(true), clock::get);
        List<Message> chunks = chunks("t-1", 1, update(1));
        accept(chunks.subList(1, chunks.size()));
        assertThat(regions()).isZero();
        assertThat(events).isEmpty();
        accept(chunks("t-1", 2, update(1)));
        assertThat(claim(0).trainer()).isEqualTo("t-1");
    }

    @Test
    void unfinishedUpdatesDoNotHoldTheirRoomForEver() throws IOException {
        accept(chunks("t-1", 1, update(1)).subList(0, 1));
        assertThat(regions()).isEqualTo(1);
        clock.addAndGet(Duration.ofSeconds(11).toNanos());
        assembler.tick((lane, event) -> events.add(event));
        accept(chunks("t-2", 1, update(2)));
        assertThat(regions()).as("used again").isEqualTo(1);
        assertThat(assembler.staging()).isZero();
    }

    /** Item 2: who is no member reserves nothing, whatever it sends. */
    @Test
    void strangersReserveNothingAndAreToldOnce() throws IOException {
        Message chunk = chunks("t-1", 1, update(1)).get(0);
        for (Map<String, String> lie :
                List.of(
                        Map.of("token", ""),
                        Map.of("token", RUN.token("t-2", "i")),
                        Map.of("token", Run.of("guess").token("t-1", "i")),
                        Map.of("instance", "another"),
                        Map.of("token", "x", "round", "2147483647"))) {
            Message lying = chunk;
            for (Map.Entry<String, String> property : lie.entrySet()) {
                lying = with(lying, property.getKey(), property.getValue());
            }
            lying = with(lying, "attempt", "" + (100 + events.size()));
            assembler.accept(lying, events::add);
            assertRejected(RejectReason.UNKNOWN_TRAINER, true, "join again");
            int told = events.size();
            for (int i = 0; i < 1000; i++) {
                assembler.accept(lying, events::add);
            }
            assertThat(events).as("a sending is answered once").hasSize(told);
        }
        assertThat(regions()).isZero();
        assertThat(assembler.staging() + assembler.waiting() + assembler.deferred()).isZero();
        events.clear();
        accept(chunks("t-1", 2, update(1)));
        assertThat(claim(0).trainer()).as("the honest one is not disturbed").isEqualTo("t-1");
    }

    /** Item 2: a million messages of a stranger do not make the job send two million. */
    @Test
    void strangersAreNotAnsweredFasterThanTheirBudgetAndMembersStillAre() throws IOException {
        Message strange = with(chunks("t-1", 1, update(1)).get(0), "token", "guess");
        for (int i = 0; i < 20_000; i++) {
            String attempt = Integer.toString(1 + i);
            assembler.accept(with(strange, "attempt", attempt), events::add);
            assembler.accept(with(strange, "job", "job-" + i), events::add);
        }
        assertThat(events).hasSize(1_000);

        Message wrong = with(chunks("t-2", 1, update(1)).get(0), "samples", "none");
        assembler.accept(wrong, events::add);
        assertThat(events).as("a member has a budget of its own").hasSize(1_001);
        for (int i = 0; i < 20_000; i++) {
            assembler.accept(wrong, events::add);
        }
        assertThat(events).hasSize(1_100);

        clock.addAndGet(Duration.ofSeconds(1).toNanos());
        for (int i = 0; i < 20_000; i++) {
            assembler.accept(with(strange, "attempt", "" + (50_000 + i)), events::add);
        }
        assertThat(events).as("a hundred each second").hasSize(1_200);
        assertThat(((TrainerEvent.InputRejected) events.get(1_100)).deadLetter().text())
                .contains("38999 rejections before this one", "its token was not given");
        assertThat(((TrainerEvent.InputRejected) events.get(1_101)).deadLetter().text())
                .doesNotContain("rejections before");
    }

    @Test
    void whatIsWrongBesideTheNameIsAnsweredUnderIt() throws IOException {
        Message chunk = chunks("t-1", 9, update(1)).get(0);
        for (Map<String, String> wrong :
                List.of(
                        Map.of("samples", "1.5"),
                        Map.of("epoch", "-1"),
                        Map.of("round", "0"),
                        Map.of("kind", "MODEL"),
                        Map.of("samples", "9".repeat(1_200_000)))) {
            Map.Entry<String, String> property = wrong.entrySet().iterator().next();
            assembler.accept(with(chunk, property.getKey(), property.getValue()), events::add);
            assertRejected(RejectReason.MALFORMED, true, property.getKey());
            TrainerEvent.InputRejected rejected =
                    (TrainerEvent.InputRejected) events.get(events.size() - 1);
            assertThat(rejected.deadLetter().trainer()).isEqualTo("t-1");
            assertThat(rejected.attempt()).isEqualTo(9);
        }
        for (String metrics : List.of("{\"loss\": NaN}", "{\"loss\": \"x\"}", "[", "7", "")) {
            accept(
                    chunks("t-" + events.size(), 9, update(1)).stream()
                            .map(c -> with(c, "metrics", metrics))
                            .toList());
            assertThat(claim(events.size() - 1).metrics()).as(metrics).isEmpty();
        }
    }

    /** Item 2: a chunk that comes again is no progress. */
    @Test
    void aRepeatedChunkKeepsNothingAlive() throws IOException {
        List<Message> chunks = chunks("t-1", 1, update(1));
        for (int second = 0; second < 11; second++) {
            assembler.accept(with(chunks.get(0), "attempt", "" + (1 + second)), events::add);
            clock.addAndGet(Duration.ofSeconds(1).toNanos());
            assembler.tick((lane, event) -> events.add(event));
        }
        assertThat(assembler.staging()).isZero();
    }

    @Test
    void nothingIsStagedForEver() throws IOException {
        List<Message> chunks = chunks("t-1", 1, update(1));
        for (int second = 0; second < 63; second += 9) {
            if (second / 9 < 4) {
                assembler.accept(chunks.get(second / 9), events::add);
            } else {
                assembler.accept(with(chunks.get(0), "attempt", "" + second), events::add);
            }
            clock.addAndGet(Duration.ofSeconds(9).toNanos());
            assembler.tick((lane, event) -> events.add(event));
        }
        assertThat(assembler.staging()).isZero();
    }

    private void tickAfter(Duration time) throws IOException {
        clock.addAndGet(time.toNanos());
        assembler.tick((lane, event) -> events.add(event));
    }

    /** Item 2: who does not go on gives way to those that wait, and gets through all the same. */
    @Test
    void theIdleGoFirstWhenOthersWaitAndASlowTrainerGetsThrough() throws IOException {
        assembler = assembler(temp, 4096 + HEADER.fileLength());
        List<Message> slow = chunks("slow", 1, update(1));
        assembler.accept(slow.get(0), events::add);
        accept(chunks("t-2", 1, update(2)));
        accept(chunks("t-3", 1, update(3)));
        assertThat(assembler.deferred()).isEqualTo(2);
        tickAfter(Duration.ofSeconds(2));
        assertThat(events).as("it may still go on").isEmpty();

        tickAfter(Duration.ofSeconds(2));
        assertThat(events)
                .containsExactly(new TrainerEvent.CapacityFreed("t-2", new RoundId(4, 0), 1));
        assembler.accept(slow.get(1), events::add);
        assertThat(assembler.staging()).as("the rest of its sending is let go").isEqualTo(1);
        accept(chunks("t-2", 2, update(2)));
        RegionDirectory.release(claim(1).payload());
        tickAfter(Duration.ofSeconds(2));
        assertThat(events.get(2))
                .as("it has its place before those who came later")
                .isEqualTo(new TrainerEvent.CapacityFreed("slow", new RoundId(4, 0), 1));

        // It is as slow as before, and t-3 waits; this time it keeps its region.
        for (Message chunk : chunks("slow", 2, update(1))) {
            assembler.accept(chunk, events::add);
            tickAfter(Duration.ofSeconds(8));
        }
        assertThat(claim(3).trainer()).isEqualTo("slow");
        RegionDirectory.release(claim(3).payload());
        tickAfter(Duration.ofSeconds(2));
        assertThat(events.get(4))
                .isEqualTo(new TrainerEvent.CapacityFreed("t-3", new RoundId(4, 0), 1));
    }

    /** Item 2: forty messages of one byte and an honest trainer. */
    @Test
    void manyUpdatesThatNeverComeDoNotKeepAnHonestOneAway() throws IOException {
        assembler = assembler(temp, 4 * (4096 + HEADER.fileLength()));
        for (int i = 0; i < 40; i++) {
            assembler.accept(chunks("m-" + i, 1, update(1)).get(0), events::add);
        }
        accept(chunks("honest", 1, update(2)));
        int seconds = 0;
        while (events.stream()
                        .noneMatch(
                                a ->
                                        a instanceof TrainerEvent.CapacityFreed r
                                                && r.trainer().equals("honest"))
                && seconds < 600) {
            tickAfter(Duration.ofSeconds(1));
            seconds++;
        }
        accept(chunks("honest", 2, update(2)));
        assertThat(claim(events.size() - 1).trainer()).isEqualTo("honest");
        assertThat(seconds).isLessThan(200);
    }

    /** Item 3. */
    @Test
    void chunksOfABytePieceAndTooShortUpdatesCostNothing() throws IOException {
        Message chunk = chunks("t-1", 1, update(1)).get(0);
        Message tiny =
                chunk(
                        "t-1",
                        with(
                                        with(
                                                with(chunk, "chunk-bytes", "1"),
                                                "chunks",
                                                "200000000"),
                                        "length",
                                        "200000000")
                                .properties(),
                        new byte[1]);
        assembler.accept(tiny, events::add);
        assertRejected(RejectReason.CHUNK_OUT_OF_RANGE, false, "expected 1024 or more");
        accept(chunks("t-2", 1, new byte[1]));
        assertRejected(RejectReason.WRONG_SHAPE, true, "it has 1 bytes");
        assertThat(regions()).isZero();
    }

    /** Whatever comes, each message is done or waits, and nothing but a rejection comes out. */
    @Property(tries = 200)
    void garbageIsRejected(@ForAll Map<String, String> properties, @ForAll byte[] payload)
            throws IOException {
        Path directory = Files.createTempDirectory("assembler");
        AtomicInteger handled = new AtomicInteger();
        List<TrainerEvent> out = new ArrayList<>();
        try (ChunkAssembler any = assembler(directory, 1 << 20)) {
            any.accept(
                    new Message("topic", 3, -1, "t", properties, payload, handled::incrementAndGet),
                    out::add);
        }
        Files.delete(directory.resolve("regions"));
        Files.delete(directory);
        assertThat(handled).hasValue(1);
        assertThat(out).singleElement().isInstanceOf(TrainerEvent.InputRejected.class);
    }

    /** Who sends it is read first, and told; what is wrong is then judged under that name. */
    @ParameterizedTest
    @CsvSource({
        "samples, 1.5, MALFORMED",
        "epoch, -1, MALFORMED",
        "round, 0, MALFORMED",
        "kind, GRADIENTS, MALFORMED",
        "chunk, one, MALFORMED",
        "length, x, MALFORMED",
        "crc32c, zz, MALFORMED",
        "job, other, WRONG_JOB"
    })
    void whateverAMemberGetsWrongItIsToldUnderItsSending(
            String property, String value, RejectReason reason) throws IOException {
        accept(List.of(with(chunks("t", 5, update(1)).get(0), property, value)));

        assertThat(events)
                .singleElement()
                .isInstanceOfSatisfying(
                        TrainerEvent.InputRejected.class,
                        rejected -> {
                            assertThat(rejected.answer()).isTrue();
                            assertThat(rejected.attempt()).isEqualTo(5);
                            assertThat(rejected.deadLetter().trainer()).isEqualTo("t");
                            assertThat(rejected.deadLetter().reason()).isEqualTo(reason);
                        });
        assertThat(done).hasValue(1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"loss\": NaN}", "not json", "[]", "{\"loss\": \"high\"}"})
    void metricsNeverDecideAboutAnUpdate(String metrics) throws IOException {
        for (Message chunk : chunks("t", 5, update(1))) {
            accept(List.of(with(chunk, "metrics", metrics)));
        }
        assertThat(events).singleElement().isInstanceOf(TrainerEvent.UpdateStaged.class);
    }
}
