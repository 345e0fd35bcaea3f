// SPDX-License-Identifier: Apache-2.0

/** Loads eBPF objects into the kernel, by libbpf. */
package io.tributary.node.bpf;
