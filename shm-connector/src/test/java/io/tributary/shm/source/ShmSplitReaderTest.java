// SPDX-License-Identifier: Apache-2.0

package io.tributary.shm.source;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.region.JobDirectory;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.node.agent.AgentOptions;
import io.tributary.node.agent.FreePorts;
import io.tributary.node.agent.NodeAgent;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.tensor.DType;
import io.tributary.protocol.tensor.ModelLayout;
import io.tributary.protocol.tensor.SafetensorsHeader;
import io.tributary.sources.base.source.LaneSplit;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.flink.connector.base.source.reader.RecordsWithSplitIds;
import org.apache.flink.connector.base.source.reader.splitreader.SplitsAddition;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class ShmSplitReaderTest {

    private static final SafetensorsHeader HEADER =
            SafetensorsHeader.create(
                    List.of(SafetensorsHeader.tensor("w", DType.F32, 10)), Map.of());
    private static final String UPDATE =
            "{\"job\":\"job\",\"trainer\":\"t\",\"round\":1,\"epoch\":2,\"attempt\":7,\"samples\":3,\"kind\":\"WEIGHTS\",\"metrics\":{}}";

    @TempDir Path temp;

    private ShmSplitReader reader(boolean manyHosts, int port) {
        ShmSplitReader reader =
                new ShmSplitReader(
                        "job",
                        Run.of("secret"),
                        JobDirectory.of(temp, "job"),
                        new UpdateInspector("job", new ModelLayout(HEADER, 100), false),
                        manyHosts,
                        port,
                        UnregisteredMetricsGroup.createSourceReaderMetricGroup());
        reader.handleSplitsChanges(new SplitsAddition<>(List.of(new LaneSplit(0, false))));
        return reader;
    }

    /** Other hosts could not read it, and a task that fails once fails again and again. */
    @Test
    void whereThereAreOtherHostsAnUpdateWaitsForTheAgent() throws Exception {
        int port = FreePorts.next(2);
        Path file = JobDirectory.of(temp, "job").update(0, new UUID(0, 1));
        try (OwnedRegion region =
                new RegionDirectory(file.getParent(), 1 << 28)
                        .own(
                                file.getFileName().toString().replace(RegionDirectory.SUFFIX, ""),
                                HEADER.fileLength())
                        .orElseThrow()) {
            region.memory().slice(0, HEADER.bytes().length).put(HEADER.bytes());
            region.publish(UPDATE);
            ShmSplitReader reader = reader(true, port);
            try {
                assertThat(claims(reader)).isZero();
                try (NodeAgent agent =
                        NodeAgent.start(new AgentOptions(port, AgentOptions.Bpf.OFF, temp))) {
                    int claims = 0;
                    while (claims == 0) {
                        claims = claims(reader);
                    }
                    assertThat(claims).isOne();
                }
            } finally {
                reader.close();
            }
        }
    }

    private static int claims(ShmSplitReader reader) {
        RecordsWithSplitIds<TrainerEvent> records = reader.fetch();
        int claims = 0;
        while (records.nextSplit() != null) {
            for (TrainerEvent event = records.nextRecordFromSplit();
                    event != null;
                    event = records.nextRecordFromSplit()) {
                claims += event instanceof TrainerEvent.UpdateStaged ? 1 : 0;
            }
        }
        return claims;
    }
}
