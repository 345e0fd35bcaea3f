// SPDX-License-Identifier: Apache-2.0

/** How that value changes the global model, and the algorithms by name. */
package io.tributary.operators.optimizer;
