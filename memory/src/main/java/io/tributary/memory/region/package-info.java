// SPDX-License-Identifier: Apache-2.0

/** Regions: files that hold one payload each, written once, mapped read-only, then released. */
package io.tributary.memory.region;
