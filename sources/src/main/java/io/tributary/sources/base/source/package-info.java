// SPDX-License-Identifier: Apache-2.0

/** What all transports share in Flink: lanes as splits. */
package io.tributary.sources.base.source;
