// SPDX-License-Identifier: Apache-2.0

/** The messages that trainers and the job exchange. */
package io.tributary.protocol.message;
