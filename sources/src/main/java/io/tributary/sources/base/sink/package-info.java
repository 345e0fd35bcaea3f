// SPDX-License-Identifier: Apache-2.0

/** Where values leave the job: a sink that sends them when their checkpoint has completed. */
package io.tributary.sources.base.sink;
