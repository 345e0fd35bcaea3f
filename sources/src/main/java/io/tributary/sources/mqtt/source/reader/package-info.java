// SPDX-License-Identifier: Apache-2.0

/** Receives messages and turns them into events. */
package io.tributary.sources.mqtt.source.reader;
