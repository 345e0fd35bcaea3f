// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol;

/**
 * Why an input was rejected; the same word stands in the receipt, the dead letter and the metric.
 */
public enum RejectReason {
    /** Not a rejection. */
    NONE,
    /** Bytes that are not the message or the file that they should be. */
    MALFORMED,
    /** It must be read with something that this version of the protocol does not have. */
    UNSUPPORTED,
    /** Tensors missing, extra, reshaped or of another element type than the model's. */
    WRONG_SHAPE,
    /** A NaN or an infinity among the values. */
    NOT_FINITE,
    /**
     * The writer's promise that all values are finite is not taken, since its trainer has broken
     * one. Without the promise the job looks at the values itself.
     */
    PROMISE_NOT_TAKEN,
    /** A sample count that is not from 1 to what the job allows. */
    BAD_SAMPLES,
    /** A metric that the job's algorithm computes with is missing or out of range. */
    BAD_METRIC,
    /** The round is over. */
    LATE,
    /** The round has not been opened. */
    NOT_OPEN,
    /** The update follows a plan that a restore or a reopening has superseded. */
    STALE_EPOCH,
    /** The trainer has not joined, or shows no token of this run of the job. */
    UNKNOWN_TRAINER,
    /** Another living client holds this trainer id. */
    DUPLICATE_TRAINER,
    /** The job has as many trainers as it may have. */
    TOO_MANY_TRAINERS,
    /** The topology has no such group. */
    UNKNOWN_GROUP,
    /** The same identity came again with other bytes; the first one counts. */
    DIFFERENT_BYTES,
    /** Larger than an update of this model can be. */
    TOO_LARGE,
    /** A chunk index or length outside of the update. */
    CHUNK_OUT_OF_RANGE,
    /** A chunk that has come already. */
    CHUNK_DUPLICATE,
    /** A chunk whose bytes do not have its checksum. */
    CHUNK_CORRUPT,
    /** A chunk of an attempt that has been superseded, or that contradicts its attempt. */
    CHUNK_UNKNOWN_ATTEMPT,
    /** The assembled update does not have its checksum. */
    CHECKSUM,
    /** A message for another job. */
    WRONG_JOB,
    /** Weights where deltas are asked for, or the other way round. */
    WRONG_KIND,
    /** The payload can no longer be read. */
    PAYLOAD_LOST,
    /** The payload lies on a host that nobody can reach. */
    NODE_LOST
}
