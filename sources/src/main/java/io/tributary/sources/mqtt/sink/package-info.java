// SPDX-License-Identifier: Apache-2.0

/** MQTT sinks of plans, models, receipts and what else the job has to say. */
package io.tributary.sources.mqtt.sink;
