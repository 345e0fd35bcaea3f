// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Starts JVMs. */
public final class JavaProcess {

    private static final int COMPLAINS = 24;

    private JavaProcess() {}

    /** JNA, Flink and ND4J need it; from JDK 24 on a JVM complains where it is not asked for. */
    private static final List<String> ACCESS = access(Runtime.version().feature());

    static List<String> access(int jdk) {
        List<String> access =
                new ArrayList<>(
                        List.of(
                                "--add-opens=java.base/java.util=ALL-UNNAMED",
                                "--add-opens=java.base/java.lang=ALL-UNNAMED"));
        if (jdk >= COMPLAINS) {
            access.add("--enable-native-access=ALL-UNNAMED");
            access.add("--sun-misc-unsafe-memory-access=allow");
        }
        return List.copyOf(access);
    }

    /**
     * What is started.
     *
     * @param before what stands before the command, to run it elsewhere; mostly nothing
     * @param classpath its class path
     * @param jvm arguments of the JVM
     * @param main its main class
     * @param arguments arguments of the main class
     */
    public record Command(
            List<String> before,
            String classpath,
            List<String> jvm,
            String main,
            List<String> arguments) {

        /** On this process's class path, which knows everything. */
        public static Command here(List<String> jvm, String main, List<String> arguments) {
            return new Command(
                    List.of(), System.getProperty("java.class.path"), jvm, main, arguments);
        }

        /** The same on a host. */
        public Command on(NetnsHosts.Host host) {
            return behind(host.enter());
        }

        /** The same with something before it, and before what stands there already. */
        public Command behind(List<String> more) {
            List<String> all = new ArrayList<>(more);
            all.addAll(before);
            return new Command(all, classpath, jvm, main, arguments);
        }
    }

    /**
     * Starts a JVM.
     *
     * @param log where its output is appended
     */
    public static ChildProcess start(Command command, Path log) {
        List<String> line = new ArrayList<>(command.before());
        line.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        line.add("-Djava.awt.headless=true");
        line.addAll(ACCESS);
        line.addAll(command.jvm());
        line.add("-cp");
        line.add(command.classpath());
        line.add(command.main());
        line.addAll(command.arguments());
        return ChildProcess.start(line, log);
    }
}
