// SPDX-License-Identifier: Apache-2.0

/** Model tensors as safetensors files, and the flat, sharded vector that they make. */
package io.tributary.protocol.tensor;
