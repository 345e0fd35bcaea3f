// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.tributary.memory.mailbox.Mailbox;
import io.tributary.memory.os.FileBelow;
import io.tributary.memory.region.JobLock;
import io.tributary.memory.region.MappedFile;
import io.tributary.memory.region.OwnedRegion;
import io.tributary.memory.region.RegionDirectory;
import io.tributary.memory.region.RegionEdit;
import io.tributary.memory.region.RegionMappings;
import io.tributary.memory.region.RegionWriter;
import io.tributary.node.agent.AgentOptions;
import io.tributary.node.agent.FreePorts;
import io.tributary.node.agent.NodeAgent;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Item 13: closing twice is no error, and takes nothing from anybody else. */
class CloseTwiceTest {

    @TempDir Path temp;

    private static void twice(AutoCloseable resource) throws Exception {
        resource.close();
        resource.close();
    }

    /** A task may be cancelled at any time. */
    @Test
    void aLockThatWasTakenByWhoIsInterruptedIsFree() throws Exception {
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> JobLock.acquire(temp, "job", "run"))
                .isInstanceOf(RuntimeException.class);
        assertThat(Thread.interrupted()).isTrue();
        try (JobLock lock = JobLock.acquire(temp, "job", "run").orElseThrow()) {
            assertThat(JobLock.holder(temp, "job").orElseThrow().run()).isEqualTo("run");
        }
    }

    @Test
    void regionsAndMappings() throws Exception {
        RegionDirectory directory = new RegionDirectory(temp, 1 << 20);
        OwnedRegion owned = directory.own("owned", 100).orElseThrow();
        owned.publish("{}");
        try (MappedFile other = RegionMappings.acquire(owned.payload())) {
            twice(RegionMappings.acquire(owned.payload()));
            RegionMappings.sweep();
            assertThat(other.slice(0, 1).get(0)).as("still mapped for the other").isZero();
        }
        twice(MappedFile.open(owned.payload()));
        try (FileBelow file = FileBelow.open(temp, temp.relativize(owned.file())).orElseThrow()) {
            twice(RegionEdit.begin(file, 1));
        }
        twice(owned);
        owned.delete();
        owned.abandon();
        OwnedRegion lent = directory.lend("lent", 100).orElseThrow();
        var view = lent.memory().slice(0, 100);
        lent.delete();
        twice(lent);
        assertThat(view.get(99)).as("it may still be looked at").isZero();
        RegionWriter writer = directory.reserve("written", 10).orElseThrow();
        twice(writer);
    }

    @Test
    void aLockThatAnotherHasByNow() throws Exception {
        JobLock first = JobLock.one(temp, "x").orElseThrow();
        first.close();
        try (JobLock second = JobLock.one(temp, "x").orElseThrow()) {
            first.close();
            assertThat(JobLock.one(temp, "x")).as("the second still has it").isEmpty();
            assertThat(second).isNotNull();
        }
    }

    @Test
    void agentAndMailbox() throws Exception {
        int port = FreePorts.next(2);
        NodeAgent agent = NodeAgent.start(new AgentOptions(port, AgentOptions.Bpf.AUTO, temp));
        Mailbox mailbox = Mailbox.open(temp, port, "m", descriptor -> {});
        twice(mailbox);
        twice(agent);
        assertThat(Optional.of(agent)).isPresent();
    }
}
