// SPDX-License-Identifier: Apache-2.0

/** The round coordinator, the one place where decisions are taken. */
package io.tributary.operators.coordinator;
