// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RegionRefTest {

    private static RegionRef ref(long offset, long length) {
        return new RegionRef("node-1", "job/updates/03-a", 2, offset, length);
    }

    @Property
    void piecesCoverTheRangeOnceAndLieWithinMultiples(
            @ForAll @LongRange(min = 0, max = 1L << 40) long offset,
            @ForAll @LongRange(min = 0, max = 100_000) long length,
            @ForAll @IntRange(min = 1, max = 10_000) int bytes) {
        RegionRef whole = ref(offset, length);
        List<RegionRef> pieces = whole.pieces(bytes * 17L);
        long at = offset;
        for (RegionRef piece : pieces) {
            assertThat(piece.offset()).isEqualTo(at);
            assertThat(piece.length()).isPositive();
            assertThat(piece.offset() / (bytes * 17L)).isEqualTo((piece.end() - 1) / (bytes * 17L));
            at = piece.end();
        }
        assertThat(at).isEqualTo(whole.end());
    }

    @Property
    void aPartOfAPartIsAPart(
            @ForAll @LongRange(min = 0, max = 1L << 50) long offset,
            @ForAll @IntRange(max = 1000) int a,
            @ForAll @IntRange(max = 1000) int b,
            @ForAll @IntRange(max = 1000) int count) {
        RegionRef whole = ref(offset, a + b + count);
        assertThat(whole.part(a, b + count).part(b, count)).isEqualTo(whole.part(a + b, count));
        assertThatThrownBy(() -> whole.part(a + 1, (long) b + count))
                .isInstanceOf(RejectedException.class);
    }

    @Property
    void itSurvivesJson(@ForAll @LongRange(min = 0) long offset) {
        RegionRef ref = ref(offset, 0);
        assertThat(Json.decode(Json.encode(ref), RegionRef.class)).isEqualTo(ref);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "", "/a", "a/", "a//b", "../a", "a/..", "a/../b", ".a", "a/.lock", "a\0b", "a b"
            })
    void namesThatLeadElsewhereAreRejected(String name) {
        assertThatThrownBy(() -> new RegionRef("n", name, 1, 0, 1))
                .isInstanceOf(RejectedException.class)
                .hasMessageStartingWith("region '");
    }

    @Test
    void rangesThatAreNoneAreRejected() {
        assertThatThrownBy(() -> ref(-1, 1)).hasMessageContaining("1 bytes at -1");
        assertThatThrownBy(() -> ref(Long.MAX_VALUE, 1))
                .hasMessageContaining("expected a generation");
        assertThatThrownBy(() -> ref(5, 10).part(8, 3))
                .hasMessage(
                        "3 bytes at 8 of job/updates/03-a on node-1: expected no more than its 10");
    }
}
