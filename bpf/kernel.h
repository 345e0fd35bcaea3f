/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The part of the kernel's types that a congestion control needs. The loader fits the offsets to
 * the kernel that runs, by its BTF; so no header of one kernel is copied here.
 */
#ifndef TRIBUTARY_KERNEL_H
#define TRIBUTARY_KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock {
	unsigned long sk_pacing_rate, sk_max_pacing_rate;
	__u32 sk_pacing_status;
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 snd_cwnd, snd_cwnd_clamp, snd_ssthresh, mss_cache, delivered, lost;
	__u64 tcp_mstamp;
};

struct rate_sample {
	__u32 prior_delivered;
	__s32 delivered;
	long interval_us, rtt_us;
	__u32 acked_sacked;
	_Bool is_app_limited;
};

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_control)(struct sock *sk, __u32 ack, int flag, const struct rate_sample *rs);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*init)(struct sock *sk);
	void (*release)(struct sock *sk);
	char name[16];
	__u32 flags;
};

#pragma clang attribute pop

#endif
