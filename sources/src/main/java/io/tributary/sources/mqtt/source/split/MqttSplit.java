// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.split;

import org.apache.flink.api.connector.source.SourceSplit;

/**
 * A topic filter that one reader subscribes to. It has no position: brokers do not replay, trainers
 * send again.
 *
 * @param splitId unique in the source
 * @param filter the MQTT topic filter
 */
public record MqttSplit(String splitId, String filter) implements SourceSplit {}
