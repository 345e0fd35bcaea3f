// SPDX-License-Identifier: Apache-2.0

package io.tributary.datapath.kernel;

import java.nio.ByteBuffer;

/**
 * What a connection has seen in a round trip, and what became of it: {@code struct sample} in
 * bpf/policy.h. Immutable, if nobody changes its arrays.
 *
 * @param flow the connection's number on this host, from 1
 * @param network the id of its network; empty where it has none
 * @param rate bytes in a second, after the decision
 * @param number of the connection's samples, from 0; who misses one has lost it
 * @param rttMicros the mean round-trip time
 * @param delivered packets that arrived
 * @param lost packets that did not
 * @param outputs what the network has computed
 * @param inputs what it was told, the newest last
 */
public record Sample(
        long flow,
        String network,
        long rate,
        int number,
        int rttMicros,
        int delivered,
        int lost,
        int[] outputs,
        int[] inputs) {

    /** How many numbers a network is told. */
    static final int INPUTS = 30;

    static final int BYTES = 112;

    private static final int NETWORK_AT = 8;
    private static final int RATE_AT = 16;
    private static final int NUMBER_AT = 24;
    private static final int RTT_AT = 28;
    private static final int DELIVERED_AT = 32;
    private static final int LOST_AT = 36;
    private static final int OUTPUTS_AT = 40;
    private static final int INPUTS_AT = 48;

    /** Of memory in this machine's order. */
    static Sample read(ByteBuffer memory, int at) {
        int[] outputs = new int[NetworkLayout.OUTPUTS];
        for (int i = 0; i < outputs.length; i++) {
            outputs[i] = memory.getInt(at + OUTPUTS_AT + i * Integer.BYTES);
        }
        int[] inputs = new int[INPUTS];
        for (int i = 0; i < inputs.length; i++) {
            inputs[i] = memory.getShort(at + INPUTS_AT + i * Short.BYTES);
        }
        long network = memory.getLong(at + NETWORK_AT);
        return new Sample(
                memory.getLong(at),
                network == 0 ? "" : Datapath.text(network),
                memory.getLong(at + RATE_AT),
                memory.getInt(at + NUMBER_AT),
                memory.getInt(at + RTT_AT),
                memory.getInt(at + DELIVERED_AT),
                memory.getInt(at + LOST_AT),
                outputs,
                inputs);
    }
}
