// SPDX-License-Identifier: Apache-2.0

/** MQTT sources of updates and of control messages. */
package io.tributary.sources.mqtt.source;
