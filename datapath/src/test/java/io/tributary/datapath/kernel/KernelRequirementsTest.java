// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.node.agent.BpfRequirements;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KernelRequirementsTest {

    @ParameterizedTest
    @CsvSource({
        "5.15.0-91-generic, true, false",
        "6.1.0-18-amd64, true, false",
        "6.10.3, true, true",
        "6.18.44, true, true",
        "7.0, true, true",
        "5.4.0, false, false",
        "unknown, false, false"
    })
    void versionsAreCompared(String release, boolean networks, boolean congestionControl) {
        assertThat(BpfRequirements.atLeast(release, 5, 15)).isEqualTo(networks);
        assertThat(BpfRequirements.atLeast(release, 6, 10)).isEqualTo(congestionControl);
    }
}
