// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.RoundLedger;
import io.tributary.protocol.message.RoundLedger.Entry;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LedgerFileTest {

    @TempDir Path temp;

    private static List<Entry> entries(int from, int to) {
        return IntStream.range(from, to)
                .mapToObj(i -> new Entry("t-" + i, i, "%08x".formatted(i)))
                .toList();
    }

    private static RoundLedger ledger(List<Entry> updates) {
        return new RoundLedger("job", 3, 7, 8, "", updates);
    }

    private RoundLedger joined(LedgerFile parts, List<Entry> last) throws Exception {
        Path file = temp.resolve("model-3.json");
        parts.join(ledger(last), file);
        return Json.decode(Files.readAllBytes(file), RoundLedger.class);
    }

    @Test
    void partsAndTheLastBecomeOneLedgerInTheirOrder() throws Exception {
        LedgerFile parts = new LedgerFile(temp.resolve("3.8.ledger"));
        for (int part = 0; part < 12; part++) {
            parts.write(part, entries(2 * part, 2 * part + 2));
        }
        parts.force();
        assertThat(joined(parts, entries(24, 27))).isEqualTo(ledger(entries(0, 27)));
    }

    /** After a restore a part is said again. */
    @Test
    void aPartThatComesAgainCountsOnce() throws Exception {
        LedgerFile parts = new LedgerFile(temp.resolve("3.8.ledger"));
        parts.write(0, entries(0, 5));
        parts.write(0, entries(0, 2));
        assertThat(joined(parts, entries(2, 3))).isEqualTo(ledger(entries(0, 3)));
    }

    @Test
    void aSmallLedgerHasNoParts() throws Exception {
        LedgerFile parts = new LedgerFile(temp.resolve("3.8.ledger"));
        assertThat(parts.joined()).isFalse();
        assertThat(joined(parts, entries(0, 2))).isEqualTo(ledger(entries(0, 2)));
        assertThat(joined(parts, List.of())).isEqualTo(ledger(List.of()));
    }

    @Test
    void partsThatWereJoinedAreNotMissed() throws Exception {
        LedgerFile parts = new LedgerFile(temp.resolve("3.8.ledger"));
        parts.write(0, entries(0, 2));
        assertThat(parts.joined()).isFalse();
        parts.remove();
        assertThat(parts.joined()).isTrue();
    }
}
