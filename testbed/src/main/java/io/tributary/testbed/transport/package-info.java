// SPDX-License-Identifier: Apache-2.0

/** What stands between a job and its trainers, started for a demo or killed for a chaos run. */
package io.tributary.testbed.transport;
