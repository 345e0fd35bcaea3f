// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

/**
 * Who a trainer is.
 *
 * @param job the job's name
 * @param trainer its id, unique in the job
 * @param instance drawn by each client object at random
 * @param group the tag under which the topology places it
 */
record Identity(String job, String trainer, String instance, String group) {}
