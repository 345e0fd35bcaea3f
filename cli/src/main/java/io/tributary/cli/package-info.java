// SPDX-License-Identifier: Apache-2.0

/** The command {@code tributary}. */
package io.tributary.cli;
