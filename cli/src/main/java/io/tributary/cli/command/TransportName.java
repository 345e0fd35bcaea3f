// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

/** How updates travel, on the command line. */
enum TransportName {
    MQTT,
    SHM
}
