// SPDX-License-Identifier: Apache-2.0

/** How the updates of a round become one value for each element. */
package io.tributary.operators.rule;
