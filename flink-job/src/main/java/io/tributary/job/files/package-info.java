// SPDX-License-Identifier: Apache-2.0

/** The aggregation tree over files instead of messages. */
package io.tributary.job.files;
