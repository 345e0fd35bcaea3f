// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Small neural networks in the kernel, and a TCP congestion control that asks one of them.
//
// A table of slots holds networks; policy.h says how. User space writes a slot that nobody uses, and
// then makes it the active one, which takes one store. A connection keeps the network with which it
// has begun.

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "infer.h"
#include "kernel.h"
#include "policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct network);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct choice);
} choices SEC(".maps");

// Never woken: who reads it looks now and then.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} samples SEC(".maps");

static __always_inline __s64 clamp(__s64 value, __s64 least, __s64 most)
{
	return value < least ? least : value > most ? most : value;
}

// A rate, one step further: by a quarter at most, whatever a network says.
static __always_inline __u64 stepped(__u64 rate, __s64 output)
{
	__s64 most = (OUTPUT_ONE << STEP_SHIFT) / MOST_STEP;

	return rate + ((__s64)(rate >> 10) * clamp(output, -most, most) >> (16 + STEP_SHIFT - 10));
}

// Is only run by user space, which compares what it computes by itself.
SEC("tc")
int probe(struct __sk_buff *packet)
{
	struct probe *probe = (void *)(long)packet->data;
	struct inference at = {};

	if ((void *)(probe + 1) > (void *)(long)packet->data_end)
		return -1;
	__u32 zero = 0, slot = probe->slot;
	struct choice *choice = bpf_map_lookup_elem(&choices, &zero);
	if (choice && slot == NO_SLOT)
		slot = *(volatile __u32 *)&choice->active;
	struct network *network = bpf_map_lookup_elem(&networks, &slot);
	if (!network)
		return -1;
	for (int i = 0; i < INPUTS; i++)
		at.inputs[i] = probe->inputs[i] + OFFSET;
	infer(network, &at);
	for (int i = 0; i < OUTPUTS; i++)
		probe->outputs[i] = at.outputs[i];
	probe->rate = stepped(probe->rate, at.outputs[0]);
	return 0;
}

// Says what it costs to run a program at all.
SEC("tc")
int nothing(struct __sk_buff *packet)
{
	return 0;
}

// ---- TCP congestion control: tributary ----

#define QUEUE_US 5000 // a round trip that is so much longer than the least waits in a queue
#define LEAST_LASTS_US 10000000 // after so long, another route may have another least
#define MOST_AHEAD 3 // the rate is at most so many times that at which packets have arrived

enum { SK_PACING_NEEDED = 1, FLAG_NON_RESTRICTED = 1 };

struct flow {
	__u64 number;
	__u32 slot; // that it uses, or NO_SLOT
	__u32 steady; // the start is over
	__u64 rate; // bytes in a second; 0 before the first round trip
	__u32 end, delivered, lost; // packets, where the round trip began
	__u32 least_us, before_us; // round-trip times: the least, and the mean of the one before
	__u64 least_at; // when it was, in us
	__u32 times, said; // round-trip times in the sum; samples
	__u64 sum_us;
	__u64 arrived; // the largest rate at which packets arrived in the round trip
	__u32 window, limited; // packets; whether the application had less to send
	struct inference at;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct flow);
} flows SEC(".maps");

static __always_inline struct tcp_sock *tcp(struct sock *sk)
{
	return (struct tcp_sock *)sk;
}

static __always_inline struct choice *choice(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&choices, &zero);
}

// Counts the flow, and looks again: a slot that has become unused in between may be written.
static __always_inline __u32 pin(void)
{
	struct choice *its = choice();

	for (int i = 0; its && i < 4; i++) {
		__u32 slot = *(volatile __u32 *)&its->active;

		if (slot >= SLOTS)
			return NO_SLOT;
		__sync_fetch_and_add(&its->flows[slot & (SLOTS - 1)], 1);
		if (*(volatile __u32 *)&its->active == slot)
			return slot;
		__sync_fetch_and_add(&its->flows[slot & (SLOTS - 1)], -1);
	}
	return NO_SLOT;
}

SEC("struct_ops/init")
void BPF_PROG(init, struct sock *sk)
{
	struct flow *flow = bpf_sk_storage_get(&flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct choice *its = choice();

	if (!flow || !its)
		return;
	flow->number = __sync_fetch_and_add(&its->begun, 1) + 1;
	flow->slot = pin();
	flow->end = tcp(sk)->delivered;
	flow->delivered = tcp(sk)->delivered;
	flow->lost = tcp(sk)->lost;
	for (int i = 0; i < INPUTS; i++)
		flow->at.inputs[i] = OFFSET;
	// Who paces already, as the queue `fq` does, goes on.
	if (!sk->sk_pacing_status)
		sk->sk_pacing_status = SK_PACING_NEEDED;
}

SEC("struct_ops/release")
void BPF_PROG(release, struct sock *sk)
{
	struct flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	struct choice *its = choice();

	if (!flow || !its)
		return;
	if (flow->slot < SLOTS)
		__sync_fetch_and_add(&its->flows[flow->slot & (SLOTS - 1)], -1);
	// A socket may come back, with another peer.
	bpf_sk_storage_delete(&flows, sk);
}

// The network with which a flow has begun; 0 without one.
static __always_inline struct network *network_of(struct flow *flow)
{
	__u32 slot = flow->slot;

	return slot < SLOTS ? bpf_map_lookup_elem(&networks, &slot) : 0;
}

// By how much one is more than the other, as an input.
static __always_inline __u32 above(__u64 one, __u64 other)
{
	__s64 ratio = one * INPUT_ONE / (other ? other : 1);

	return OFFSET + clamp(ratio - INPUT_ONE, -OFFSET + 1, OFFSET - 1);
}

// A round trip is over: what the network says of it. Without one, the flow backs off when packets
// are lost or wait.
static __always_inline __s64 decide(struct flow *flow, __u64 delivered, __u64 lost, __u64 mean_us)
{
	struct network *network = network_of(flow);
	__u32 *inputs = flow->at.inputs;
	__u32 *newest = &inputs[(HISTORY - 1) * FEATURES];

	for (int i = 0; i < (HISTORY - 1) * FEATURES; i++)
		inputs[i] = inputs[i + FEATURES];
	newest[0] = above(mean_us, flow->before_us ? flow->before_us : mean_us);
	newest[1] = above(mean_us, flow->least_us);
	newest[2] = above(delivered + lost, delivered);
	flow->at.outputs[0] = 0;
	flow->at.outputs[1] = 0;
	if (!network)
		return lost || mean_us > 2 * (__u64)flow->least_us + QUEUE_US ? -2 * OUTPUT_ONE
									      : OUTPUT_ONE;
	infer(network, &flow->at);
	return flow->at.outputs[0];
}

static __always_inline void say(struct flow *flow, __u64 delivered, __u64 lost, __u64 mean_us)
{
	struct sample *sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	struct choice *its = choice();
	struct network *network = network_of(flow);

	flow->said++;
	if (!sample) {
		if (its)
			__sync_fetch_and_add(&its->lost, 1);
		return;
	}
	sample->flow = flow->number;
	sample->network = network ? network->id : 0;
	sample->rate = flow->rate;
	sample->number = flow->said - 1;
	sample->rtt_us = mean_us;
	sample->delivered = delivered;
	sample->lost = lost;
	sample->outputs[0] = flow->at.outputs[0];
	sample->outputs[1] = flow->at.outputs[1];
	for (int i = 0; i < SAMPLE_INPUTS; i++)
		sample->inputs[i] = flow->at.inputs[i] - OFFSET;
	sample->reserved = 0;
	bpf_ringbuf_submit(sample, BPF_RB_NO_WAKEUP);
}

// What an acknowledgement says of the round trip that is under way.
static __always_inline void hear(struct flow *flow, struct tcp_sock *tp,
				 const struct rate_sample *rs)
{
	__u64 now = tp->tcp_mstamp;

	if (rs->rtt_us > 0) {
		__u64 rtt_us = rs->rtt_us;

		flow->sum_us += rtt_us;
		flow->times++;
		if (!flow->least_us || rtt_us < flow->least_us ||
		    now - flow->least_at > LEAST_LASTS_US) {
			flow->least_us = rtt_us;
			flow->least_at = now;
		}
	}
	__u64 arrived = (__u64)rs->delivered * tp->mss_cache * 1000000 / (__u64)rs->interval_us;

	if (arrived > flow->arrived)
		flow->arrived = arrived;
	if (rs->is_app_limited)
		flow->limited = 1;
}

// A round trip is over: the new rate, in the bounds that no network can leave.
static __always_inline void change(struct flow *flow, struct tcp_sock *tp, __u64 mean_us)
{
	__u64 least_us = flow->least_us, packet = (__u64)tp->mss_cache * 1000000 / (least_us + 1);
	__u64 delivered = tp->delivered - flow->delivered, lost = tp->lost - flow->lost;
	__s64 output = decide(flow, delivered, lost, mean_us);
	__u64 rate = flow->rate ? flow->rate : tp->snd_cwnd * packet;
	__u64 before = rate;

	if (!flow->steady && (lost || mean_us > least_us + least_us / 4 + QUEUE_US)) {
		flow->steady = 1;
		// The rate has outrun the path by as much as it has grown since.
		if (flow->arrived && flow->arrived < rate)
			rate = flow->arrived;
	} else if (flow->steady) {
		rate = stepped(rate, output);
	} else {
		rate += rate;
	}
	// Of what the path takes, an application that has little to send finds out little.
	if (rate > before && (flow->limited || rate > MOST_AHEAD * flow->arrived))
		rate = before;
	if (rate < LEAST_WINDOW * packet)
		rate = LEAST_WINDOW * packet;
	if (rate > MOST_WINDOW * packet)
		rate = MOST_WINDOW * packet;
	flow->rate = rate;
	// Twice what fits into the path, so that the rate decides and not the window.
	flow->window = 2 * rate / packet;
	say(flow, delivered, lost, mean_us);
	flow->before_us = mean_us;
	flow->sum_us = 0;
	flow->times = 0;
	flow->arrived = 0;
	flow->limited = 0;
	flow->end = tp->delivered;
	flow->delivered = tp->delivered;
	flow->lost = tp->lost;
}

SEC("struct_ops/cong_control")
void BPF_PROG(cong_control, struct sock *sk, __u32 ack, int flag, const struct rate_sample *rs)
{
	struct flow *flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	struct tcp_sock *tp = tcp(sk);
	__u32 window = 0, now = tp->snd_cwnd, clamp = tp->snd_cwnd_clamp;

	if (flow && tp->mss_cache && rs->delivered >= 0 && rs->interval_us > 0) {
		hear(flow, tp, rs);
		// Without timestamps, retransmissions say no time.
		__u64 mean_us = flow->times ? flow->sum_us / flow->times : flow->before_us;

		if ((__s32)(rs->prior_delivered - flow->end) >= 0 && mean_us)
			change(flow, tp, mean_us);
		if (flow->rate && flow->rate < sk->sk_max_pacing_rate)
			sk->sk_pacing_rate = flow->rate;
	}
	if (flow)
		window = flow->window ? flow->window : now;
	if (window < LEAST_WINDOW)
		window = LEAST_WINDOW;
	// After a timeout the kernel begins with one packet; it grows back with what arrives.
	if (window > now + rs->acked_sacked)
		window = now + rs->acked_sacked;
	tp->snd_cwnd = window < clamp ? window : clamp;
}

// The rate answers to losses, at the end of a round trip.
SEC("struct_ops/ssthresh")
__u32 BPF_PROG(ssthresh, struct sock *sk)
{
	return tcp(sk)->snd_ssthresh;
}

SEC("struct_ops/undo_cwnd")
__u32 BPF_PROG(undo_cwnd, struct sock *sk)
{
	return tcp(sk)->snd_cwnd;
}

SEC(".struct_ops")
struct tcp_congestion_ops tributary = {
	.init = (void *)init,
	.release = (void *)release,
	.cong_control = (void *)cong_control,
	.ssthresh = (void *)ssthresh,
	.undo_cwnd = (void *)undo_cwnd,
	.flags = FLAG_NON_RESTRICTED,
	.name = "tributary",
};

char LICENSE[] SEC("license") = "GPL";
