// SPDX-License-Identifier: Apache-2.0

/** What a trainer links: join, get the model, send an update, hold a receipt. No Flink. */
package io.tributary.trainer;
