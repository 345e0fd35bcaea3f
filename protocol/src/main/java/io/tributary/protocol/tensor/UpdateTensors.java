// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.tensor;

import java.io.Serializable;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Which of the model's tensors an update has. Immutable and thread-safe.
 *
 * @param partial whether it may leave tensors out; it has at least one
 * @param personal patterns of names of tensors that it must not have, because they never leave the
 *     trainer; {@code *} stands for any characters. A set's tensor is personal with the model's
 */
public record UpdateTensors(boolean partial, List<String> personal) implements Serializable {

    private static final long serialVersionUID = 1L;

    /** All of them. */
    public static final UpdateTensors ALL = new UpdateTensors(false, List.of());

    public UpdateTensors {
        personal = List.copyOf(personal);
    }

    /** Whether a tensor of the model never leaves the trainer. */
    public boolean isPersonal(String tensor) {
        return personal.stream().anyMatch(pattern -> matches(pattern, tensor));
    }

    /** Whether a name is one that a pattern stands for. */
    public static boolean matches(String pattern, String name) {
        String regex = Pattern.quote(pattern).replace("*", "\\E.*\\Q");
        return name.matches("(?s)" + regex);
    }
}
