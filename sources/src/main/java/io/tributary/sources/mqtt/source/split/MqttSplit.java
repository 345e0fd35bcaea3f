// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.split;

import org.apache.flink.api.connector.source.SourceSplit;

/**
 * A topic filter that one reader subscribes to. It has no position: brokers do not replay, trainers
 * send again.
 *
 * @param splitId unique in the source
 * @param filter the MQTT topic filter
 * @param fresh whether the job begins with it rather than being restored; what an earlier run left
 *     is worth nothing then
 */
public record MqttSplit(String splitId, String filter, boolean fresh) implements SourceSplit {

    /** The same, as it goes into a checkpoint. */
    public MqttSplit begun() {
        return new MqttSplit(splitId, filter, false);
    }
}
