// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.optimizer;

import io.tributary.operators.rule.Parameters;

/**
 * An algorithm of one's own. A jar names its providers in {@code
 * META-INF/services/io.tributary.operators.optimizer.AlgorithmProvider}, and {@code algorithm-jar}
 * in {@code job.yaml} names the jar. A provider has a public constructor without arguments.
 */
public interface AlgorithmProvider {

    /** What {@code algorithm} says in {@code job.yaml}: lower case, and none of Tributary's own. */
    String name();

    /**
     * Makes the algorithm. What it consists of is sent to task managers by Java's serialization.
     *
     * @param parameters {@code algorithm-parameters}; what is not asked for is refused afterwards
     * @throws IllegalArgumentException when they are wrong, with what is expected
     */
    Algorithm create(Parameters parameters);
}
