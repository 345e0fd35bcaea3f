// SPDX-License-Identifier: Apache-2.0

package io.tributary.job;

import static org.assertj.core.api.Assertions.assertThat;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.junit.jupiter.api.Test;

class JobEntrypointTest {

    private static Configuration from(String path) {
        return new Configuration().set(StateRecoveryOptions.SAVEPOINT_PATH, path);
    }

    /** Which Flink itself finds; the job cannot look into it before. */
    @Test
    void theLastStateOfFlinksOperatorIsNoPath() {
        assertThat(JobEntrypoint.savepoint(from("KUBERNETES_OPERATOR_LAST_STATE"))).isEmpty();
        assertThat(JobEntrypoint.savepoint(from("/data/savepoints/savepoint-1")))
                .hasValue("/data/savepoints/savepoint-1");
        assertThat(JobEntrypoint.savepoint(new Configuration())).isEmpty();
    }
}
