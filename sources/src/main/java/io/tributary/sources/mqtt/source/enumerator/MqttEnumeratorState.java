// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.enumerator;

import io.tributary.sources.mqtt.source.split.MqttSplit;
import java.util.List;

/**
 * Splits that no reader has.
 *
 * @param unassigned they
 */
public record MqttEnumeratorState(List<MqttSplit> unassigned) {

    public MqttEnumeratorState {
        unassigned = List.copyOf(unassigned);
    }
}
