// SPDX-License-Identifier: Apache-2.0

/** The node agent: carries descriptors between the endpoints of a host, and reaps regions. */
package io.tributary.node.agent;
