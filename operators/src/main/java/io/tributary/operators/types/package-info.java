// SPDX-License-Identifier: Apache-2.0

/** Serializers of what flows between operators and of what they remember. */
package io.tributary.operators.types;
