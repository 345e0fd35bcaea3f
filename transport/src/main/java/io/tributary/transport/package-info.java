// SPDX-License-Identifier: Apache-2.0

/** Connections to the brokers that the job and trainers share. Needs no Flink. */
package io.tributary.transport;
