// SPDX-License-Identifier: Apache-2.0

/** Writes the global model's shards into a file. */
package io.tributary.operators.model;
