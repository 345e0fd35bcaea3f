// SPDX-License-Identifier: Apache-2.0

/** One class for each command. */
package io.tributary.cli.command;
