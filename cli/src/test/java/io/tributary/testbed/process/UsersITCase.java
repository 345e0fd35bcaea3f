// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Issue 13, items 1 and 5: several users of one host, and root's agent, by the command line. */
@Timeout(240)
class UsersITCase {

    /** Users and a group that Debian has. */
    private static final String NOBODY = "nobody";

    private static final String DAEMON = "daemon";
    private static final String GAMES = "games";

    private static final String BPF_AND_NET_ADMIN = "0000008000001000";

    @TempDir static Path shared;

    /** Where all users can read it. */
    private static Path home;

    @TempDir Path temp;

    private final Path memory = Path.of("/dev/shm/tributary-it-" + UUID.randomUUID());
    private List<String> before = List.of();
    private Optional<String> sudo = Optional.empty();
    private final List<Process> running = new ArrayList<>();

    @BeforeAll
    static void install() throws Exception {
        Assumptions.assumeTrue("root".equals(System.getProperty("user.name")), "needs root");
        Path built = Path.of(System.getProperty("tributary.home"));
        Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxr-xr-x"));
        home = Files.createDirectories(shared.resolve("tributary"));
        Path target = Files.createDirectories(home.resolve("cli/target"));
        run("cp", built.resolve("tributary").toString(), home.toString());
        for (String part : List.of("tributary-cli.jar", "lib")) {
            run(
                    "cp",
                    "-r",
                    built.resolve("cli/target").resolve(part).toString(),
                    target.toString());
        }
        run("chmod", "-R", "a+rX", home.toString());
    }

    private static void run(String... command) throws Exception {
        assertThat(new ProcessBuilder(command).inheritIO().start().waitFor()).isZero();
    }

    @AfterEach
    void stop() throws Exception {
        for (Process process : running) {
            process.destroy();
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        }
        run("rm", "-rf", memory.toString());
    }

    /** A command line, by a user, of a group beside its own. */
    private Process start(Path out, String user, String group, String... arguments)
            throws IOException {
        List<String> command = new ArrayList<>(before);
        if (!user.equals("root")) {
            command.addAll(
                    List.of("setpriv", "--reuid=" + user, "--regid=" + group, "--clear-groups"));
        }
        command.add(home.resolve("tributary").toString());
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).directory(shared.toFile());
        builder.environment().put("HOME", "/nonexistent");
        builder.environment().remove("SUDO_USER");
        sudo.ifPresent(caller -> builder.environment().put("SUDO_USER", caller));
        Process process = builder.redirectErrorStream(true).redirectOutput(out.toFile()).start();
        running.add(process);
        return process;
    }

    private record Ended(int exit, String out) {}

    private Ended call(String user, String group, String... arguments) throws Exception {
        Path out = Files.createTempFile(temp, "call", ".out");
        Process process = start(out, user, group, arguments);
        assertThat(process.waitFor(120, TimeUnit.SECONDS)).isTrue();
        return new Ended(process.exitValue(), Files.readString(out));
    }

    @Test
    void twoUsersAndRootRunJobsAtTheSameTime() throws Exception {
        List<Process> demos = new ArrayList<>();
        List<Path> outs = new ArrayList<>();
        for (String user : List.of(NOBODY, DAEMON, "root")) {
            Path out = temp.resolve(user + ".out");
            String group = user.equals(NOBODY) ? "nogroup" : user;
            demos.add(
                    start(
                            out,
                            user,
                            group,
                            "demo",
                            "--transport",
                            "shm",
                            "--trainers",
                            "2",
                            "--rounds",
                            "1"));
            outs.add(out);
        }
        for (int i = 0; i < demos.size(); i++) {
            assertThat(demos.get(i).waitFor(180, TimeUnit.SECONDS)).isTrue();
            assertThat(demos.get(i).exitValue()).as(Files.readString(outs.get(i))).isZero();
        }
        Ended other = call(NOBODY, "nogroup", "doctor", "--dir", "/dev/shm/tributary-0");
        assertThat(other.exit()).isEqualTo(1);
        assertThat(other.out())
                .containsPattern(
                        "MISSING  regions +region directory /dev/shm/tributary-0 cannot be used; choose another: it belongs to user 0, expected 65534");
        assertThat(call(NOBODY, "nogroup", "doctor").out())
                .containsPattern("OK       regions +/dev/shm/tributary-65534: ")
                .containsPattern("OK       agent +relay in user space");
    }

    private int agent(String... arguments) throws Exception {
        int port = io.tributary.node.agent.FreePorts.next(4);
        List<String> all = new ArrayList<>(List.of("agent", "--port", Integer.toString(port)));
        all.addAll(List.of(arguments));
        Path out = temp.resolve("agent-%d.out".formatted(port));
        Process agent = start(out, "root", "root", all.toArray(String[]::new));
        await().atMost(Duration.ofSeconds(60))
                .until(() -> !agent.isAlive() || Files.readString(out).contains("descriptors:"));
        assertThat(agent.isAlive()).as(Files.readString(out)).isTrue();
        return port;
    }

    private String status(String key) throws IOException {
        long pid = running.get(running.size() - 1).pid();
        return Files.readAllLines(Path.of("/proc", Long.toString(pid), "status")).stream()
                .filter(line -> line.startsWith(key + ":"))
                .map(line -> line.substring(key.length() + 1).strip())
                .findFirst()
                .orElseThrow();
    }

    /** What it may do as root is what eBPF needs, and nothing to files of others. */
    @Test
    void rootsAgentKeepsOfRootWhatItNeedsAndNoMore() throws Exception {
        agent("--dir", memory.toString(), "--bpf", "require");
        assertThat(status("Uid")).startsWith("0");
        for (String set : List.of("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")) {
            assertThat(status(set)).as(set).isEqualTo(BPF_AND_NET_ADMIN);
        }
        assertThat(status("NoNewPrivs")).isEqualTo("1");

        // Another process of its user has no way into it.
        long pid = running.get(running.size() - 1).pid();
        Process attach =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "jcmd").toString(),
                                Long.toString(pid),
                                "VM.version")
                        .redirectErrorStream(true)
                        .start();
        assertThat(new String(attach.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                .doesNotContain("OpenJDK");
        assertThat(attach.waitFor()).isNotZero();
    }

    /** However its command line begins. */
    /** Its own port and those beside it, and that for other nodes. */
    @Test
    void portZeroIsAnyThatIsFree() throws Exception {
        Path out = temp.resolve("agent.out");
        start(
                out,
                "root",
                "root",
                "agent",
                "--port",
                "0",
                "--bpf",
                "off",
                "--node",
                "n1",
                "--listen",
                "127.0.0.1:0",
                "--secret",
                temp.resolve("secret").toString(),
                "--dir",
                memory.toString());
        Awaitility.await()
                .atMost(Duration.ofMinutes(1))
                .untilAsserted(
                        () ->
                                assertThat(Files.readString(out))
                                        .containsPattern("node n1 on 127.0.0.1:[1-9][0-9]+,"));
        String said = Files.readString(out);
        String agent = said.replaceAll("(?s)agent on 127.0.0.1:([0-9]+),.*", "$1");
        assertThat(call("root", "root", "agent", "status", "--port", agent).exit()).isZero();
        Ended nodes =
                call(
                        "root",
                        "root",
                        "regions",
                        "nodes",
                        "--port",
                        agent,
                        "--dir",
                        memory.toString());
        assertThat(nodes.out())
                .contains(said.replaceAll("(?s).*node n1 on (127.0.0.1:[0-9]+),.*", "$1"));
    }

    @Test
    void rootCannotStartAnAgentThatKeepsAll() throws Exception {
        Ended kept = call("root", "root", "--debug", "agent", "--dir", memory.toString());
        assertThat(kept.exit()).isEqualTo(2);
        assertThat(kept.out()).contains("root starts an agent as './tributary agent");
        Path file = Files.writeString(temp.resolve("arguments"), "agent --dir " + memory);
        assertThat(call("root", "root", "@" + file).out())
                .contains("root starts an agent as './tributary agent");
        assertThat(call("root", "root", "--debug", "doctor", "--dir", memory.toString()).out())
                .containsPattern("MISSING  agent +is not tried with all of root's rights");
    }

    /** As in a container that was given no more than that, where root may not become anybody. */
    @Test
    void aRootThatHasNoMoreThanEbpfNeedsCanStartTheAgent() throws Exception {
        before =
                List.of(
                        "setpriv",
                        "--bounding-set=-all,+bpf,+net_admin",
                        "--inh-caps=-all",
                        "--no-new-privs");
        agent("--dir", memory.toString(), "--bpf", "require");
        assertThat(status("CapEff")).isEqualTo(BPF_AND_NET_ADMIN);
        assertThat(call("root", "root", "agent", "--run-as", DAEMON).out())
                .contains("--run-as daemon: this root may not become that user");
    }

    @Test
    void rootsAgentRunsAsTheUserThatIsNamed() throws Exception {
        agent("--dir", memory.toString(), "--bpf", "require", "--run-as", DAEMON);
        assertThat(status("Uid")).startsWith("1");
        assertThat(status("Gid")).startsWith("1");
        assertThat(status("CapEff")).isEqualTo(BPF_AND_NET_ADMIN);
        assertThat(Files.getOwner(memory).getName()).isEqualTo(DAEMON);
    }

    @Test
    void rootsAgentRunsAsWhoCalledSudo() throws Exception {
        sudo = Optional.of(GAMES);
        agent("--dir", memory.toString());
        assertThat(status("Uid")).startsWith("5");
        assertThat(Files.getOwner(memory).getName()).isEqualTo(GAMES);
    }

    /** As in a container that maps ids: what is above the directory is nobody's that it knows. */
    @Test
    void aUserNamespaceHasADirectoryOfItsOwn() throws Exception {
        Files.createDirectory(memory);
        run("chown", DAEMON + ":" + DAEMON, memory.toString());
        before =
                List.of(
                        "setpriv",
                        "--reuid=" + DAEMON,
                        "--regid=" + DAEMON,
                        "--clear-groups",
                        "unshare",
                        "--user",
                        "--map-root-user");
        Assumptions.assumeTrue(
                new ProcessBuilder(concat(before, "true")).start().waitFor() == 0,
                "this machine lets users make no namespaces");
        Ended own = call("root", "root", "doctor", "--dir", memory.toString());
        assertThat(own.out())
                .containsPattern("OK       regions +" + memory + ".*huge pages: never")
                .containsPattern(
                        "MISSING  agent +relay in user space: .*it must have no user namespace of its own");
        Ended hosts = call("root", "root", "doctor", "--dir", temp.toString());
        assertThat(hosts.out()).contains("it belongs to user 65534, expected 0");
    }

    private static List<String> concat(List<String> before, String command) {
        List<String> all = new ArrayList<>(before);
        all.add(command);
        return all;
    }

    @Test
    void aGroupSharesADirectoryAndItsAgent() throws Exception {
        Path secret = Files.createDirectory(temp.resolve("secret"));
        Files.setPosixFilePermissions(temp, PosixFilePermissions.fromString("rwxr-xr-x"));
        run("chown", DAEMON, secret.toString());
        String directory = memory.toString();
        int port =
                agent(
                        "--dir",
                        directory,
                        "--group",
                        GAMES,
                        "--run-as",
                        DAEMON,
                        "--node",
                        "n",
                        "--secret",
                        secret.resolve("node.secret").toString());
        assertThat(Files.getOwner(memory).getName()).isEqualTo("root");
        assertThat((int) Files.getAttribute(memory, "unix:mode") & 07777).isEqualTo(03770);

        String[] allocate = {
            "regions", "allocate", "n", "notes/x", "16", "--port", port + "", "--dir", directory
        };
        assertThat(call(GAMES, GAMES, allocate)).extracting(Ended::exit).isEqualTo(0);
        Path made = memory.resolve("notes/x.region");
        assertThat(Files.getOwner(made).getName()).isEqualTo(DAEMON);
        assertThat((int) Files.getAttribute(made, "unix:mode") & 0777).isEqualTo(0640);
        assertThat(Files.getAttribute(made, "unix:gid"))
                .isEqualTo(Files.getAttribute(memory, "unix:gid"));

        // Two of the group, neither the agent's user; the directory's is root.
        for (String user : List.of(GAMES, "bin")) {
            Ended demo =
                    call(
                            user,
                            GAMES,
                            "demo",
                            "--transport",
                            "shm",
                            "--dir",
                            directory,
                            "--trainers",
                            "2",
                            "--rounds",
                            "1");
            assertThat(demo.exit()).as(demo.out()).isZero();
        }

        // What is the agent's alone is no matter for others of the group.
        Ended doctor = call(GAMES, GAMES, "doctor", "--dir", directory, "--agent-port", port + "");
        assertThat(doctor.out())
                .containsPattern("OK       regions +" + directory)
                .containsPattern("OK       agent +runs on port " + port);
        assertThat(call(GAMES, GAMES, "regions", "ls", "--dir", directory))
                .satisfies(ls -> assertThat(ls.out()).contains("notes/x.region"))
                .extracting(Ended::exit)
                .isEqualTo(0);

        Ended stranger =
                call(
                        NOBODY, "nogroup", "regions", "list", "n", "--port", port + "", "--dir",
                        directory);
        assertThat(stranger.exit()).isNotZero();
        assertThat(stranger.out()).contains("Permission denied");
        // The port is open to all; without a token nobody gets in.
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("127.0.0.1", port + 2));
            byte[] list = "{\"op\":\"members\"}".getBytes(StandardCharsets.UTF_8);
            socket.getOutputStream().write(new byte[] {(byte) list.length, 0, 0, 0});
            socket.getOutputStream().write(list);
            assertThat(new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                    .doesNotContain("incarnation");
        }
    }

    @Test
    void whatRootCannotTrustItDoesNotTouch() throws Exception {
        Files.setPosixFilePermissions(temp, PosixFilePermissions.fromString("rwxr-xr-x"));
        Path theirs = Files.createDirectory(temp.resolve("theirs"));
        run("chown", NOBODY, theirs.toString());
        String below = theirs.resolve("regions").toString();
        Ended rejected = call("root", "root", "agent", "--group", GAMES, "--dir", below);
        assertThat(rejected.exit()).isEqualTo(2);
        assertThat(rejected.out()).contains("%s belongs to user 65534, mode 755".formatted(theirs));
        assertThat(theirs.resolve("regions")).doesNotExist();

        Files.createDirectory(memory);
        assertThat(call("root", "root", "agent", "--group", GAMES, "--dir", memory + "").out())
                .contains(
                        "expected a directory, user 0, group games, mode 3770, found a directory");
        assertThat(call("root", "root", "agent", "--group", GAMES).out())
                .contains("--group games: expected --dir DIR with it");
        assertThat(call("root", "root", "agent", "--group", "nosuch", "--dir", below).out())
                .contains("--group nosuch: there is no such group");
        assertThat(call("root", "root", "agent", "--run-as", "nosuch").out())
                .contains("--run-as nosuch: there is no such user");
        assertThat(call(NOBODY, "nogroup", "agent", "--run-as", "root").out())
                .contains("--run-as root: only root may become another user, this is nobody");
        Files.setPosixFilePermissions(home, PosixFilePermissions.fromString("rwx------"));
        try {
            assertThat(call("root", "root", "agent", "--run-as", NOBODY).out())
                    .contains("--run-as nobody: that user cannot read");
        } finally {
            Files.setPosixFilePermissions(home, PosixFilePermissions.fromString("rwxr-xr-x"));
        }
    }
}
