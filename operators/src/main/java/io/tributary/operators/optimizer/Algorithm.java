// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.AggregationRule;
import io.tributary.operators.rule.CoordinateMedian;
import io.tributary.operators.rule.Parameters;
import io.tributary.operators.rule.WeightedMean;
import java.io.Serializable;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * How updates become a model. Immutable and thread-safe.
 *
 * @param rule how a round's updates become one value for each element
 * @param optimizer how that changes the model
 * @param config what trainers have to know of it, in each plan; numbers, texts and booleans
 * @param asks metrics that are needed of each model before it is trained, for which all trainers
 *     are asked; none where they are not
 */
public record Algorithm(
        AggregationRule rule,
        ServerOptimizer optimizer,
        Map<String, Object> config,
        List<String> asks)
        implements Serializable {

    /** The mean of a round's updates is the new model. */
    public static final Algorithm FEDAVG = mean(FedAvg.of(new Parameters(Map.of())));

    /** FedProx's μ, by the name that Flower's clients know. */
    public static final String PROXIMAL_MU = "proximal-mu";

    /** FedDyn's α. */
    public static final String DYNAMIC_ALPHA = "dynamic-alpha";

    private static final Pattern NAME = Pattern.compile("[a-z][a-z0-9-]*");
    private static final Map<String, Function<Parameters, Algorithm>> BY_NAME = new TreeMap<>();

    /** All algorithms. A new optimizer, or a new rule, adds a line here. */
    static {
        BY_NAME.put("fedavg", given -> mean(FedAvg.of(given)));
        BY_NAME.put("fedavgm", given -> mean(FedAvgM.of(given)));
        BY_NAME.put("fedadagrad", given -> mean(AdaptiveOptimizer.adagrad(given)));
        BY_NAME.put("fedadam", given -> mean(AdaptiveOptimizer.adam(given)));
        BY_NAME.put("fedyogi", given -> mean(AdaptiveOptimizer.yogi(given)));
        BY_NAME.put("fedprox", Algorithm::proximal);
        BY_NAME.put("feddyn", FedDyn::of);
        BY_NAME.put("scaffold", Scaffold::of);
        BY_NAME.put("fednova", FedNova::of);
        BY_NAME.put("qfedavg", QFedAvg::of);
        BY_NAME.put("fedgft", FedGft::of);
        BY_NAME.put("median", given -> new Algorithm(new CoordinateMedian(), FEDAVG.optimizer()));
    }

    public Algorithm {
        config = Map.copyOf(config);
        asks = List.copyOf(asks);
    }

    /** One that does not ask trainers anything. */
    public Algorithm(AggregationRule rule, ServerOptimizer optimizer, Map<String, Object> config) {
        this(rule, optimizer, config, List.of());
    }

    /** One of which trainers have to know nothing. */
    public Algorithm(AggregationRule rule, ServerOptimizer optimizer) {
        this(rule, optimizer, Map.of());
    }

    private static Algorithm proximal(Parameters given) {
        return new Algorithm(
                new WeightedMean(),
                FedAvg.of(given),
                Map.of(PROXIMAL_MU, given.notNegative("mu", 0.01)));
    }

    private static Algorithm mean(ServerOptimizer optimizer) {
        return new Algorithm(new WeightedMean(), optimizer);
    }

    /** The names of Tributary's own algorithms. */
    public static Set<String> names() {
        return BY_NAME.keySet();
    }

    /**
     * One of Tributary's own algorithms.
     *
     * @param parameters what it is given, as it was written
     * @throws IllegalArgumentException when there is none of that name, or it does not take what it
     *     is given
     */
    public static Algorithm named(String name, Map<String, String> parameters) {
        return named(name, parameters, BY_NAME);
    }

    /**
     * The same, or one of somebody else's.
     *
     * @param others where their {@link AlgorithmProvider}s are
     */
    public static Algorithm named(String name, Map<String, String> parameters, ClassLoader others) {
        return named(name, parameters, known(others));
    }

    /**
     * The names of Tributary's own algorithms, and of somebody else's.
     *
     * @throws IllegalArgumentException when somebody else's has a name that cannot be
     */
    public static Set<String> names(ClassLoader others) {
        return known(others).keySet();
    }

    private static Map<String, Function<Parameters, Algorithm>> known(ClassLoader others) {
        Map<String, Function<Parameters, Algorithm>> known = new TreeMap<>(BY_NAME);
        for (AlgorithmProvider provider : ServiceLoader.load(AlgorithmProvider.class, others)) {
            String name = provider.name();
            if (name == null || !NAME.matcher(name).matches() || known.containsKey(name)) {
                throw new IllegalArgumentException(
                        "%s calls its algorithm '%s', expected lower-case letters, digits and dashes, and a name that no other has"
                                .formatted(provider.getClass().getName(), name));
            }
            known.put(name, provider::create);
        }
        return known;
    }

    private static Algorithm named(
            String name,
            Map<String, String> parameters,
            Map<String, Function<Parameters, Algorithm>> known) {
        Function<Parameters, Algorithm> maker = known.get(name);
        if (maker == null) {
            throw new IllegalArgumentException(
                    "expected " + Parameters.oneOf(name, known.keySet()));
        }
        Parameters given = new Parameters(parameters);
        Algorithm algorithm = maker.apply(given);
        given.requireKnown();
        return algorithm;
    }

    /** Whether all updates of a round are needed at once. */
    public boolean gathers() {
        return rule instanceof AggregationRule.Gathering;
    }
}
