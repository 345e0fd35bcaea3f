// SPDX-License-Identifier: Apache-2.0

/** Receives messages and turns them into arrivals. */
package io.tributary.sources.mqtt.source.reader;
