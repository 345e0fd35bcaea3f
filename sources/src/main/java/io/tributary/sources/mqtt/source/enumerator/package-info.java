// SPDX-License-Identifier: Apache-2.0

/** Gives lanes to readers. */
package io.tributary.sources.mqtt.source.enumerator;
