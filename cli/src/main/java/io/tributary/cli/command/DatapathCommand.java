// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.datapath.kernel.KernelCheck;
import io.tributary.datapath.network.Activation;
import io.tributary.datapath.network.Fidelity;
import io.tributary.datapath.network.Inputs;
import io.tributary.datapath.network.IntegerNetwork;
import io.tributary.datapath.network.Mlp;
import io.tributary.datapath.network.Quantizer;
import io.tributary.datapath.network.Snapshot;
import io.tributary.node.agent.BpfRequirements;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code tributary datapath}. */
@Command(name = "datapath", description = "Makes small neural networks for the kernel.")
public final class DatapathCommand {

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
        Optional<BpfRequirements.Requirement> missing =
                BpfRequirements.check().stream().filter(its -> !its.met()).findFirst();
        if (missing.isPresent()) {
            System.out.printf(
                    "not compared with the kernel: %s %s%n",
                    missing.get().name(), missing.get().found());
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
