// SPDX-License-Identifier: Apache-2.0

/** Assembles chunks into regions, whatever transport they came by. */
package io.tributary.sources.base.staging;
