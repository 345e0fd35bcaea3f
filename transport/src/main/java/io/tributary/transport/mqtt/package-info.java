// SPDX-License-Identifier: Apache-2.0

/**
 * One way to speak MQTT 5, for the job and for trainers alike; the only package that needs Paho.
 */
package io.tributary.transport.mqtt;
