// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What {@code -Pall-processors} packs: the native code for both processors. */
class NativeBuildTest {

    /** Where an ELF file says which processor it is for. */
    private static final int MACHINE_OFFSET = 18;

    @TempDir Path temp;

    private static boolean hasCompiler(String machine) {
        boolean own = System.getProperty("os.arch").equals(machine.replace("x86_64", "amd64"));
        List<String> compilers =
                own ? List.of("clang", "gcc") : List.of(machine + "-linux-gnu-gcc");
        Path headers =
                Path.of(own ? "/usr/include" : "/usr/%s-linux-gnu/include".formatted(machine));
        return compilers.stream().anyMatch(NativeBuildTest::onPath)
                && onPath("make")
                && Files.exists(headers.resolve("signal.h"));
    }

    private static boolean onPath(String program) {
        return Arrays.stream(System.getenv("PATH").split(":"))
                .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
    }

    @ParameterizedTest
    @CsvSource({"x86_64, linux-x86-64, 62", "aarch64, linux-aarch64, 183"})
    void theNativeCodeIsBuiltForBothProcessors(String machine, String platform, int code)
            throws Exception {
        boolean required = System.getenv("TRIBUTARY_REQUIRE_BPF") != null;
        Assumptions.assumeTrue(
                required || hasCompiler(machine),
                "no compiler for "
                        + machine
                        + "; apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross");
        Process make =
                new ProcessBuilder(
                                "make",
                                "-s",
                                "-C",
                                System.getProperty("tributary.home") + "/memory/src/main/c",
                                "all",
                                "MACHINE=" + machine,
                                "OUT=" + temp.resolve("out"),
                                "WORK=" + temp.resolve("work"))
                        .redirectErrorStream(true)
                        .start();
        String said = new String(make.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(make.waitFor()).as(said).isZero();
        byte[] library = Files.readAllBytes(temp.resolve("out/" + platform + "/libtributary.so"));
        assertThat(ByteBuffer.wrap(library).order(ByteOrder.LITTLE_ENDIAN).getShort(MACHINE_OFFSET))
                .isEqualTo((short) code);
        assertThat(new String(library, StandardCharsets.ISO_8859_1))
                .contains("kernel_fold", "guard_watch");
    }
}
