// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.base.staging;

import io.tributary.protocol.chunk.ChunkHeader;
import io.tributary.protocol.chunk.ChunkSender;
import io.tributary.sources.base.message.Message;

/**
 * A chunk whose sender is a member of the job and whose header is sound.
 *
 * @param sender who sent it
 * @param header what stands beside it
 * @param message it
 */
record Chunk(ChunkSender sender, ChunkHeader header, Message message) {}
