// SPDX-License-Identifier: Apache-2.0

/** What comes in from a broker, whichever that is, and what it means. */
package io.tributary.sources.base.message;
