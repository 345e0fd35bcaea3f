// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Optional;
import org.junit.jupiter.api.Test;

class VersionTest {

    @Test
    void anotherVersionIsNamed() {
        assertThatThrownBy(() -> Version.requireSame(Optional.of("0.2.0"), Optional.of("0.1.0")))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("the job is of version 0.2.0")
                .hasMessageContaining("lib/ on this host are of version 0.1.0");
    }

    @Test
    void theSameAndAnUnknownOneAreTaken() {
        assertThatCode(() -> Version.requireSame(Optional.of("0.1.0"), Optional.of("0.1.0")))
                .doesNotThrowAnyException();
        assertThatCode(() -> Version.requireSame(Optional.empty(), Optional.of("0.1.0")))
                .doesNotThrowAnyException();
        assertThat(Version.of(Test.class)).isPresent();
    }
}
