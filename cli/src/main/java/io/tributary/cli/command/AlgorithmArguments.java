// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.operators.optimizer.Algorithm;
import io.tributary.operators.rule.ParameterException;
import io.tributary.testbed.demo.DemoOptions;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import picocli.CommandLine.Option;

/** How the updates of digits become a model. */
final class AlgorithmArguments {

    @Option(
            names = "--algorithm",
            paramLabel = "NAME",
            defaultValue = "fedavg",
            description =
                    "How updates become a model, as in job.yaml; docs/algorithms.md has all. Default: ${DEFAULT-VALUE}.")
    private String name;

    @Option(
            names = "--param",
            paramLabel = "KEY=VALUE",
            description =
                    "A parameter of the algorithm, such as learning-rate=0.1; may be repeated.")
    private Map<String, String> parameters = new TreeMap<>();

    /**
     * @throws UsageException when there is none like that
     */
    DemoOptions.Method method() {
        String lower = name.toLowerCase(Locale.ROOT);
        try {
            Algorithm algorithm = Algorithm.named(lower, parameters);
            return new DemoOptions.Method(lower, parameters, algorithm);
        } catch (ParameterException e) {
            throw new UsageException("--param: " + e.getMessage());
        } catch (IllegalArgumentException e) {
            throw new UsageException("--algorithm %s: %s".formatted(name, e.getMessage()));
        }
    }
}
