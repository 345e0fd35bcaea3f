// SPDX-License-Identifier: Apache-2.0

/** A whole federation in one process: broker, job and trainers. */
package io.tributary.testbed.demo;
