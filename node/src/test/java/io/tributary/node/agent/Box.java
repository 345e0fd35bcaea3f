// SPDX-License-Identifier: Apache-2.0

package io.tributary.node.agent;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.memory.mailbox.Descriptor;
import io.tributary.memory.mailbox.Descriptor.Kind;
import io.tributary.memory.mailbox.EndpointId;
import io.tributary.memory.mailbox.Mailbox;
import java.nio.file.Path;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A mailbox that keeps what comes. */
final class Box implements AutoCloseable {

    final BlockingQueue<Descriptor> got = new LinkedBlockingQueue<>();
    final BlockingQueue<Descriptor> welcomes = new LinkedBlockingQueue<>();
    final Mailbox mailbox;

    Box(Path directory, int port, EndpointId... ids) throws InterruptedException {
        mailbox =
                Mailbox.open(
                        directory,
                        port,
                        "test",
                        d -> (d.kind() == Kind.WELCOME ? welcomes : got).add(d));
        for (EndpointId id : ids) {
            mailbox.listen(id);
        }
        for (int i = 0; i < ids.length; i++) {
            assertThat(welcomes.poll(5, TimeUnit.SECONDS)).isNotNull();
        }
    }

    Descriptor next() throws InterruptedException {
        Descriptor next = got.poll(5, TimeUnit.SECONDS);
        assertThat(next).as("a descriptor").isNotNull();
        return next;
    }

    @Override
    public void close() {
        mailbox.close();
    }
}
