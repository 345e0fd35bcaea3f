// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whose file a secret may be, and who else may read it. */
class NodeSecretTest {

    private static final int ROOT = 0;
    private static final int NOBODY = 65534;

    @TempDir Path temp;
    private Path file;

    @BeforeEach
    void create() throws IOException {
        file = temp.resolve("node.secret");
        NodeSecret.create(file);
    }

    private int owner() throws IOException {
        return (int) Files.getAttribute(file, "unix:uid");
    }

    private void mode(String mode) throws IOException {
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(mode));
    }

    @Test
    void oneOfThisUserAloneIsRead() throws IOException {
        assertThatCode(() -> NodeSecret.read(file)).doesNotThrowAnyException();
        mode("rw----r--");
        assertThatThrownBy(() -> NodeSecret.read(file))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(
                        "can be read or written by others (rw----r--); expected mode 600");
    }

    @Test
    void ofAnotherUsersGroupsThatMayReadItOnlyRootsIsRead() throws IOException {
        mode("r--r-----");
        if (owner() != ROOT) {
            assertThatThrownBy(() -> NodeSecret.read(file)).hasMessageContaining("r--r-----");
            return;
        }
        assertThatCode(() -> NodeSecret.read(file, NOBODY)).doesNotThrowAnyException();
        mode("r--rw----");
        assertThatThrownBy(() -> NodeSecret.read(file, NOBODY)).hasMessageContaining("r--rw----");
    }

    @Test
    void oneOfAnotherUserIsRejected() throws IOException {
        assumeTrue(owner() == ROOT, "only root can give a file away");
        Files.setAttribute(file, "unix:uid", NOBODY);
        assertThatThrownBy(() -> NodeSecret.read(file))
                .hasMessageContaining("belongs to user 65534; expected one of user 0");
    }
}
