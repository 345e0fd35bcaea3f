// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.tributary.protocol.RejectReason;
import io.tributary.testbed.cluster.LocalCluster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Runs the commands of the README's console blocks, in order, as somebody would who reads it. */
@Tag("alone")
@Timeout(300)
class DocsITCase {

    private static final Path ROOT = Path.of("").toAbsolutePath().getParent();

    @TempDir Path temp;

    @Test
    void theCommandsOfTheReadmeWork() throws Exception {
        List<String> commands = commands("README.md");
        assertThat(commands)
                .anyMatch(c -> c.startsWith("./tributary demo"))
                .anyMatch(c -> c.startsWith("./tributary aggregate"))
                .anyMatch(c -> c.startsWith("./tributary plan"))
                .anyMatch(c -> c.startsWith("./tributary submit"))
                .contains("./tributary test");
        run(commands);
        assertThat(temp.resolve("mean.safetensors")).exists();
    }

    @Test
    void theCommandsOfTheHostsPageWork() throws Exception {
        Assumptions.assumeTrue("root".equals(System.getProperty("user.name")), "needs root");
        List<String> commands = commands("docs/hosts.md");
        assertThat(commands)
                .anyMatch(c -> c.startsWith("./tributary cluster start --hosts 3"))
                .anyMatch(c -> c.startsWith("./tributary cluster on 2"))
                .anyMatch(c -> c.startsWith("./tributary cluster cut"))
                .anyMatch(c -> c.startsWith("./tributary cluster stop"));
        try {
            run(commands);
        } finally {
            new LocalCluster(temp.resolve("hosts")).stop();
        }
    }

    @Test
    void theCommandsOfTheDatapathPageWork() throws Exception {
        Assumptions.assumeTrue("root".equals(System.getProperty("user.name")), "needs root");
        DatapathCommandTest.write(temp);
        Path mount = Files.createDirectory(temp.resolve("bpf"));
        List<String> commands =
                commands("docs/datapath.md").stream()
                        .map(
                                c ->
                                        c.contains("snapshot model")
                                                ? c
                                                : c + " --dir " + mount.resolve("tributary"))
                        .toList();
        assertThat(commands)
                .anyMatch(c -> c.startsWith("./tributary datapath snapshot"))
                .anyMatch(c -> c.startsWith("./tributary datapath switch"));
        List<String> all = new ArrayList<>(List.of("mount -t bpf -o mode=0700 bpf " + mount));
        all.addAll(commands);
        try {
            run(all);
        } finally {
            new ProcessBuilder("umount", mount.toString()).start().waitFor();
        }
        assertThat(temp.resolve("snapshot.safetensors")).exists();
    }

    @Test
    void theCommandsOfThePythonPageWork() throws Exception {
        Assumptions.assumeTrue(
                System.getenv("TRIBUTARY_REQUIRE_PYTHON") != null, "installs packages from PyPI");
        List<String> commands = commands("docs/python.md");
        assertThat(commands)
                .anyMatch(c -> c.contains("pip install"))
                .anyMatch(c -> c.contains("doctor"))
                .anyMatch(c -> c.startsWith("./tributary submit"))
                .anyMatch(c -> c.contains("digits_numpy.py") && c.endsWith("&"))
                .anyMatch(c -> c.startsWith("./tributary cluster stop"));
        try {
            run(commands);
        } finally {
            new LocalCluster(temp.resolve("cluster")).stop();
        }
    }

    private void run(List<String> commands) throws IOException, InterruptedException {
        Path launcher = temp.resolve("tributary");
        Files.writeString(launcher, "exec '%s/tributary' \"$@\"\n".formatted(ROOT));
        for (String name : List.of("docs", "trainer-client")) {
            Files.createSymbolicLink(temp.resolve(name), ROOT.resolve(name));
        }
        for (String command : commands) {
            if (command.equals("./tributary test")) {
                // That is what runs this.
                continue;
            }
            ProcessBuilder builder =
                    new ProcessBuilder(
                                    "bash", "-c", command.replace("./tributary", "bash tributary"))
                            .directory(temp.toFile())
                            .redirectErrorStream(true)
                            .redirectOutput(temp.resolve("output").toFile());
            // This directory stands for the checkout, but has not all of it.
            builder.environment().put("TRIBUTARY_HOME", ROOT.toString());
            Process process = builder.start();
            assertThat(process.waitFor())
                    .as(command + "\n" + Files.readString(temp.resolve("output")))
                    .isZero();
        }
    }

    private static List<String> commands(String document) throws IOException {
        List<String> commands = new ArrayList<>();
        Matcher blocks =
                Pattern.compile("```console\\n(.*?)```", Pattern.DOTALL)
                        .matcher(Files.readString(ROOT.resolve(document)));
        while (blocks.find()) {
            blocks.group(1)
                    .lines()
                    .filter(line -> line.startsWith("$ "))
                    .map(line -> line.substring(2))
                    .forEach(commands::add);
        }
        return commands;
    }

    @Test
    void everyReasonIsInTheProtocol() throws IOException {
        String protocol = Files.readString(ROOT.resolve("docs/protocol.md"));
        for (RejectReason reason : RejectReason.values()) {
            assertThat(protocol).contains("`" + reason + "`");
        }
    }
}
