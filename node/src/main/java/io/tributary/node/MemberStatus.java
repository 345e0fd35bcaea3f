// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

/**
 * A member as a node sees it.
 *
 * @param member who
 * @param alive whether it was heard lately
 */
public record MemberStatus(Member member, boolean alive) {}
