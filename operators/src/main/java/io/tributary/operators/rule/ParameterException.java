// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.rule;

/** A parameter of an algorithm is unknown or out of range. */
public final class ParameterException extends IllegalArgumentException {

    private static final long serialVersionUID = 1L;

    private final String parameter;

    ParameterException(String parameter, String message) {
        super(message);
        this.parameter = parameter;
    }

    /** Its name. */
    public String parameter() {
        return parameter;
    }
}
