// SPDX-License-Identifier: Apache-2.0

/** A split is a topic filter. */
package io.tributary.sources.mqtt.source.split;
