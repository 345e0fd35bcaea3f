// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.tributary.datapath.kernel.Datapath;
import io.tributary.datapath.kernel.KernelCheck;
import io.tributary.datapath.kernel.KernelRequirements;
import io.tributary.datapath.kernel.SampleReader;
import io.tributary.datapath.network.Activation;
import io.tributary.datapath.network.Fidelity;
import io.tributary.datapath.network.Inputs;
import io.tributary.datapath.network.IntegerNetwork;
import io.tributary.datapath.network.Mlp;
import io.tributary.datapath.network.Quantizer;
import io.tributary.datapath.network.Shape;
import io.tributary.datapath.network.Snapshot;
import io.tributary.protocol.Json;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code tributary datapath}. */
@Command(
        name = "datapath",
        description = "Makes small neural networks for the kernel, and puts them there.")
public final class DatapathCommand {

    private static final long LOOK_MILLIS = 5;

    /** Where networks are pinned. */
    private static final class Pins {

        @Option(
                names = "--dir",
                paramLabel = "DIR",
                defaultValue = Datapath.DIRECTORY,
                description =
                        "Where networks are pinned, in a BPF file system. Default: ${DEFAULT-VALUE}.")
        private Path directory;
    }

    /** {@code tributary datapath load}. */
    @Command(
            name = "load",
            description =
                    "Puts the program that computes networks into the kernel, where it stays until it is unloaded.")
    int load(
            @Mixin Pins pins,
            @Option(
                            names = "--shape",
                            paramLabel = "narrow|medium|wide",
                            defaultValue = "wide",
                            description =
                                    "The largest network: 8→16→8→2, 16→32→16→2 or 32→32→16→2. Default: ${DEFAULT-VALUE}.")
                    Shape shape,
            @Option(
                            names = "--cc",
                            paramLabel = "tributary",
                            description =
                                    "Registers the congestion control of this name. There is one in a kernel.")
                    Optional<String> congestionControl)
            throws IOException {
        congestionControl
                .filter(name -> !name.equals(Datapath.CONGESTION_CONTROL))
                .ifPresent(
                        name -> {
                            throw new UsageException(
                                    "--cc %s: expected %s"
                                            .formatted(name, Datapath.CONGESTION_CONTROL));
                        });
        Datapath.load(pins.directory, shape, congestionControl.isPresent());
        System.out.printf(
                "loaded at %s, for %s%s%n",
                pins.directory,
                shape.sizes(),
                congestionControl.map(", with the congestion control "::concat).orElse(""));
        return 0;
    }

    /** {@code tributary datapath status}. */
    @Command(name = "status", description = "Shows the networks that are in the kernel.")
    int status(@Mixin Pins pins) throws IOException {
        try (Datapath datapath = Datapath.open(pins.directory)) {
            System.out.printf(
                    "loaded at %s, for %s; %d switches%n",
                    pins.directory, datapath.shape().sizes(), datapath.switches());
            for (Datapath.Slot slot : datapath.slots()) {
                show(slot);
            }
            return 0;
        }
    }

    private static void show(Datapath.Slot slot) {
        System.out.printf(
                "%-8s  slot %d  network %s  %d connections%n",
                slot.use().name().toLowerCase(Locale.ROOT), slot.number(), slot.id(), slot.flows());
    }

    /** {@code tributary datapath install}. */
    @Command(
            name = "install",
            description =
                    "Writes a snapshot into a free slot, and compares what the kernel computes with it.")
    int install(
            @Mixin Pins pins,
            @Parameters(paramLabel = "FILE", description = "What 'datapath snapshot' has made.")
                    Path file)
            throws IOException {
        IntegerNetwork network = Snapshot.read(file);
        try (Datapath datapath = Datapath.open(pins.directory)) {
            show(datapath.install(network));
            return 0;
        }
    }

    /** {@code tributary datapath switch}. */
    @Command(name = "switch", description = "Makes the network that was installed last active.")
    int activate(@Mixin Pins pins) throws IOException {
        try (Datapath datapath = Datapath.open(pins.directory)) {
            show(datapath.activate());
            return 0;
        }
    }

    /** {@code tributary datapath rollback}. */
    @Command(name = "rollback", description = "Makes the network of before active again.")
    int rollBack(@Mixin Pins pins) throws IOException {
        try (Datapath datapath = Datapath.open(pins.directory)) {
            show(datapath.rollBack());
            return 0;
        }
    }

    /** {@code tributary datapath samples}. */
    @Command(
            name = "samples",
            description = "Prints what connections have seen, a line of JSON for each round trip.")
    int samples(
            @Mixin Pins pins,
            @Option(names = "--follow", description = "Goes on until Ctrl-C.") boolean follow)
            throws IOException, InterruptedException {
        try (SampleReader reader = SampleReader.open(pins.directory)) {
            PrintStream out = new PrintStream(new BufferedOutputStream(System.out), false);
            do {
                reader.poll(sample -> out.println(new String(Json.encode(sample), UTF_8)));
                out.flush();
                if (follow) {
                    Thread.sleep(LOOK_MILLIS);
                }
                // Whoever read this may have gone, and so may the program.
            } while (follow && !out.checkError() && reader.live());
            if (reader.lost() > 0) {
                System.err.printf(
                        "%d samples were lost since it was loaded, for want of room%n",
                        reader.lost());
            }
            return 0;
        }
    }

    /** {@code tributary datapath unload}. */
    @Command(name = "unload", description = "Takes the program and its networks out of the kernel.")
    int unload(@Mixin Pins pins) throws IOException {
        Datapath.unload(pins.directory);
        System.out.println("unloaded: " + pins.directory);
        return 0;
    }

    /** {@code tributary datapath snapshot}. */
    @Command(
            name = "snapshot",
            description =
                    "Makes integers of a trained network, and compares what the kernel computes with them.")
    int snapshot(
            @Parameters(
                            paramLabel = "MODEL",
                            description = "A model of three linear layers, in safetensors.")
                    Path model,
            @Option(
                            names = "--inputs",
                            paramLabel = "FILE",
                            required = true,
                            description =
                                    "What the network is run on, as it came lately: safetensors with a tensor 'inputs' [N, size].")
                    Path inputs,
            @Option(
                            names = "--out",
                            paramLabel = "FILE",
                            required = true,
                            description = "Where the snapshot is written.")
                    Path out,
            @Option(
                            names = "--activation",
                            paramLabel = "relu|tanh",
                            defaultValue = "relu",
                            description =
                                    "What follows the hidden layers. Default: ${DEFAULT-VALUE}.")
                    Activation activation)
            throws IOException {
        Path directory = out.toAbsolutePath().getParent();
        if (!Files.isDirectory(directory) || Files.isDirectory(out)) {
            throw new UsageException("--out %s: expected a file in a directory".formatted(out));
        }
        Mlp network = Mlp.read(model, activation);
        List<double[]> all = Inputs.read(inputs, network.sizes().get(0));
        IntegerNetwork integers = Quantizer.quantize(network, all);
        Fidelity fidelity = Fidelity.of(network, integers, all);
        System.out.printf(
                "%s: on %d inputs the mean error is %.4f, the largest %.4f, where outputs are %.4f in the mean%n",
                network,
                fidelity.inputs(),
                fidelity.meanError(),
                fidelity.maxError(),
                fidelity.meanOutput());
        Optional<String> missing = KernelRequirements.missing(false);
        if (missing.isPresent()) {
            System.out.println("not compared with the kernel: " + missing.get());
        } else {
            KernelCheck same = KernelCheck.of(integers, all);
            System.out.printf(
                    "the kernel computes the same bits on all %d inputs, in %d ns each%n",
                    same.inputs(), same.nanos());
        }
        Snapshot.write(out, integers);
        System.out.println("snapshot: " + out);
        return 0;
    }
}
