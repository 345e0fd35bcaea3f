// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.zip.CRC32C;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class Crc32cTest {

    private static int crc(byte[] bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }

    @Property
    void theChecksumOfPartsIsThatOfTheWhole(
            @ForAll @Size(max = 300) byte[] first, @ForAll @Size(max = 3000) byte[] second) {
        byte[] whole = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, whole, first.length, second.length);
        assertThat(Crc32c.join(crc(first), crc(second), second.length)).isEqualTo(crc(whole));
    }

    @Test
    void aLongPartOfZeros() {
        byte[] zeros = new byte[(1 << 24) + 5];
        CRC32C crc = new CRC32C();
        crc.update(7);
        int first = (int) crc.getValue();
        crc.update(zeros);
        assertThat(Crc32c.join(first, crc(zeros), zeros.length)).isEqualTo((int) crc.getValue());
    }
}
