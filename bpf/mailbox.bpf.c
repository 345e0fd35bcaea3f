// SPDX-License-Identifier: Apache-2.0
//
// Hands descriptors from one endpoint's socket to another's without leaving the kernel.
//
// Endpoints are TCP clients of the node agent on this host. `established` puts each of them into a
// map while connect() is still under way; `deliver` looks at what an endpoint sends and moves a
// descriptor for another endpoint straight into that one's receive queue. Whatever is not clearly
// such a descriptor goes on to the agent, which relays, answers or rejects it: nothing is dropped
// here, because a dropped message would make the sender's socket fail for ever.

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define LOOPBACK bpf_htonl(0x7f000001)

#define MAGIC 0x42495254 // "TRIB", read little-endian
#define VERSION 1
#define FIRST_PEER_KIND 16 // kinds below are for the agent
#define DESCRIPTOR_BYTES 64

#define MAX_ENDPOINTS 65536
#define CREDITS 1024 // descriptors that an endpoint may have unread

struct id {
	__u64 high, low;
};

struct descriptor {
	__u32 magic;
	__u8 version, kind;
	__u16 code;
	struct id to, from;
	__u8 body[24];
};

// A socket of an endpoint. The agent makes it when the endpoint has said who it is.
struct peer {
	struct id id;
	__u64 sent, sent_bytes;
	__u64 delivered, delivered_bytes;
};

// Where the agent is. Ports mean nothing in another network namespace.
struct agent {
	__u64 netns;
	__u32 port, reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct agent);
} agents SEC(".maps");

// Sockets are known by their cookies: unlike a port, a cookie is never given to another socket.
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, __u64);
	__type(value, __u64);
} sockets SEC(".maps");

// A socket's own cookie, where a program that runs for the socket cannot ask for it.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} own SEC(".maps");

// Everything below but `peers` is written by the agent alone. The keys of `peers` and `reads` are
// the cookies of the sockets.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, struct id);
	__type(value, __u64); // cookie of its socket
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, __u64);
	__type(value, struct peer);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, __u64);
	__type(value, __u64); // how many of those delivered the endpoint has read, as it says
} reads SEC(".maps");

SEC("sockops")
int established(struct bpf_sock_ops *ops)
{
	__u32 zero = 0;
	struct agent *agent = bpf_map_lookup_elem(&agents, &zero);
	struct bpf_sock *sk = ops->sk;

	// An IPv6 socket with an IPv4 address in it has this remote_ip4 too. Who comes from another
	// address of the loopback is relayed for.
	if (ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || !agent || !sk ||
	    bpf_ntohl(ops->remote_port) != agent->port || ops->remote_ip4 != LOOPBACK ||
	    ops->local_ip4 != LOOPBACK || bpf_get_netns_cookie(ops) != agent->netns)
		return 1;

	__u64 cookie = bpf_get_socket_cookie(ops);
	if (bpf_sk_storage_get(&own, sk, &cookie, BPF_SK_STORAGE_GET_F_CREATE))
		bpf_sock_hash_update(ops, &sockets, &cookie, BPF_NOEXIST);
	return 1;
}

SEC("sk_msg")
int deliver(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	__u64 *cookie = sk ? bpf_sk_storage_get(&own, sk, 0, 0) : 0;
	struct peer *sender = cookie ? bpf_map_lookup_elem(&peers, cookie) : 0;

	if (!sender || msg->size != DESCRIPTOR_BYTES || bpf_msg_pull_data(msg, 0, DESCRIPTOR_BYTES, 0))
		return SK_PASS;

	struct descriptor *descriptor = msg->data;
	if ((void *)(descriptor + 1) > msg->data_end || descriptor->magic != MAGIC ||
	    descriptor->version != VERSION || descriptor->kind < FIRST_PEER_KIND)
		return SK_PASS;

	struct id to = descriptor->to;
	__u64 *found = bpf_map_lookup_elem(&endpoints, &to);
	if (!found)
		return SK_PASS;

	__u64 receives = *found;
	struct peer *receiver = bpf_map_lookup_elem(&peers, &receives);
	__u64 *read = bpf_map_lookup_elem(&reads, &receives);
	if (!receiver || !read || receiver->delivered - *read >= CREDITS)
		return SK_PASS;

	// Whatever the sender wrote there, it is known by its socket.
	descriptor->from = sender->id;
	__sync_fetch_and_add(&sender->sent, 1);
	__sync_fetch_and_add(&sender->sent_bytes, DESCRIPTOR_BYTES);
	__sync_fetch_and_add(&receiver->delivered, 1);
	__sync_fetch_and_add(&receiver->delivered_bytes, DESCRIPTOR_BYTES);
	return bpf_msg_redirect_hash(msg, &sockets, &receives, BPF_F_INGRESS);
}

char LICENSE[] SEC("license") = "Apache-2.0";
