/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Neural networks as map data, and how they are computed. All numbers are integers.
 *
 * A number between two layers is unsigned: OFFSET is added, so that a load needs no sign extension.
 * Two weights share a word, as low + high * 2^32 modulo 2^64. One multiplication is then two, and
 * one addition two, until the sums are taken apart; neither may leave 32 bits. What OFFSET adds to
 * a sum is the same for all inputs, and has been taken out of the bias.
 *
 * The layout is known to io.tributary.datapath.kernel.NetworkLayout too.
 */
#ifndef TRIBUTARY_POLICY_H
#define TRIBUTARY_POLICY_H

#define SLOTS 8

/* The largest network. A smaller one has zeros in place of what it lacks. */
#define INPUTS 32
#define HIDDEN1 32
#define HIDDEN2 16
#define OUTPUTS 2

#define OFFSET 32768
#define TANH_STEPS 1024

struct layer {
	__u64 multiplier, half; /* a sum becomes (sum * multiplier + half) >> shift */
	__u32 shift, tanh; /* tanh: 1; 0 for ReLU, and for the last layer, which has neither */
};

/* A slot of the table. Rows have the width of the largest network. */
struct network {
	__u64 id;
	struct layer layers[3];
	__u64 bias1[HIDDEN1 / 2], bias2[HIDDEN2 / 2], bias3[OUTPUTS / 2];
	__u64 weights1[HIDDEN1 / 2][INPUTS];
	__u64 weights2[HIDDEN2 / 2][HIDDEN1];
	__u64 weights3[OUTPUTS / 2][HIDDEN2];
};

/* What one inference needs. It is too large for a stack beside others. */
struct inference {
	__u32 inputs[INPUTS], hidden1[HIDDEN1], hidden2[HIDDEN2];
	__s32 outputs[OUTPUTS];
};

/* Which of the shapes is computed, and tanh: of step / 256, times 16384. */
struct setting {
	__u32 shape;
	__u16 tanh[TANH_STEPS];
};

enum shape { SHAPE_32_32_16, SHAPE_16_32_16, SHAPE_8_16_8 };

/* In place of a slot's number: there is none; in a probe: the active one. */
#define NO_SLOT 0xffffffff

/* Which slots are in use. Each number is written as a whole, all but `flows` by user space. */
struct choice {
	__u32 active, previous, standby, reserved;
	__u64 switches;
	__u32 flows[SLOTS]; /* how many connections use each slot; the kernel counts them */
	__u64 begun, lost; /* connections, and samples for which there was no room; the kernel counts */
};

/*
 * What a congestion control tells the network once in a round trip: for each of the last ten of
 * them, the newest last, three inputs, of which 4096 is 1. The mean round-trip time by that of the
 * one before, less 1; by the least of the connection, less 1; packets lost by those delivered. The
 * first output, of which 65536 is 1, changes the rate by 1/32.
 */
#define HISTORY 10
#define FEATURES 3
#define INPUT_ONE 4096
#define OUTPUT_ONE 65536
#define STEP_SHIFT 5

/* The bounds that no network can leave. */
#define MOST_STEP 4 /* the rate changes by a quarter at most */
#define LEAST_WINDOW 4 /* packets in a round trip */
#define MOST_WINDOW 65536

#define SAMPLE_INPUTS (HISTORY * FEATURES)
#define RING_BYTES (1 << 20)

/* What a connection has seen in a round trip, and what became of it. */
struct sample {
	__u64 flow; /* its number, from 1 */
	__u64 network; /* its id; 0 for none */
	__u64 rate; /* bytes in a second, after the decision */
	__u32 number; /* of the flow's samples, from 0; who misses one has lost it */
	__u32 rtt_us, delivered, lost; /* means, and packets */
	__s32 outputs[OUTPUTS];
	__s16 inputs[SAMPLE_INPUTS];
	__u32 reserved;
};

/* What the program `probe` reads and writes, in place of a packet. */
struct probe {
	__u32 slot, reserved;
	__s32 inputs[INPUTS];
	__s32 outputs[OUTPUTS];
	__u64 rate; /* becomes what the first output makes of it */
};

#endif
