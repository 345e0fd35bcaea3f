/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Computes a network of policy.h; the reference is io.tributary.datapath.network.IntegerNetwork. */
#ifndef TRIBUTARY_INFER_H
#define TRIBUTARY_INFER_H

#include "policy.h"

const volatile struct setting setting SEC(".rodata.setting");

// Keeps the compiler from taking a value apart: it would spill hundreds of products, or turn a
// minimum into a branch, which the verifier follows both ways for each neuron.
#define KEEP(value) asm volatile("" : "+r"(value))

static __always_inline __s64 minimum(__s64 value, __s64 most)
{
	__s64 over = (value - most) >> 63;

	KEEP(over);
	return most + ((value - most) & over);
}

static __always_inline __s64 scaled(__s64 sum, const struct layer *layer)
{
	return (__s64)(sum * layer->multiplier + layer->half) >> (layer->shift & 63);
}

// Of t / 256, by a table of the positive half.
static __always_inline __u32 tanh(__s64 t)
{
	__s64 sign = t >> 63;
	__s64 step = minimum((t ^ sign) - sign, TANH_STEPS - 1);
	__s64 value = setting.tanh[step & (TANH_STEPS - 1)];

	return OFFSET + (value ^ sign) - sign;
}

static __always_inline __u32 relu(__s64 t)
{
	return OFFSET + minimum(t & ~(t >> 63), OFFSET - 1);
}

static __always_inline __s32 output(__s64 t)
{
	return -minimum(-minimum(t, 0x7fffffff), 0x7fffffff);
}

// Two neurons. The width is a constant where this is inlined, so all of it is in a row.
static __always_inline __u64 sums(__u64 bias, const __u64 *weights, const __u32 *from, int width)
{
	__u64 sum = bias;

#pragma clang loop unroll(full)
	for (int i = 0; i < width; i++) {
		__u64 product = weights[i] * from[i];

		KEEP(product);
		sum += product;
	}
	return sum;
}

static __always_inline __s64 low(__u64 sum)
{
	return (__s32)sum;
}

static __always_inline __s64 high(__u64 sum)
{
	return (__s64)(sum - low(sum)) >> 32;
}

#define HIDDEN_LAYER(NAME, ACTIVATION, NUMBER, FROM, FROM_WIDTH, TO, TO_WIDTH)                     \
	static __noinline void NAME(const struct network *network, struct inference *at)           \
	{                                                                                          \
		const struct layer *layer = &network->layers[NUMBER - 1];                          \
		for (int i = 0; i < TO_WIDTH / 2; i++) {                                           \
			__u64 sum = sums(network->bias##NUMBER[i], network->weights##NUMBER[i],    \
					 at->FROM, FROM_WIDTH);                                    \
			at->TO[2 * i] = ACTIVATION(scaled(low(sum), layer));                       \
			at->TO[2 * i + 1] = ACTIVATION(scaled(high(sum), layer));                  \
		}                                                                                  \
	}

#define SHAPE(NAME, IN, FIRST, SECOND)                                                             \
	HIDDEN_LAYER(NAME##_tanh1, tanh, 1, inputs, IN, hidden1, FIRST)                    \
	HIDDEN_LAYER(NAME##_relu1, relu, 1, inputs, IN, hidden1, FIRST)                    \
	HIDDEN_LAYER(NAME##_tanh2, tanh, 2, hidden1, FIRST, hidden2, SECOND)              \
	HIDDEN_LAYER(NAME##_relu2, relu, 2, hidden1, FIRST, hidden2, SECOND)              \
	static __always_inline void NAME(const struct network *network, struct inference *at)      \
	{                                                                                          \
		if (network->layers[0].tanh)                                                       \
			NAME##_tanh1(network, at);                                                 \
		else                                                                               \
			NAME##_relu1(network, at);                                                 \
		if (network->layers[1].tanh)                                                       \
			NAME##_tanh2(network, at);                                                 \
		else                                                                               \
			NAME##_relu2(network, at);                                                 \
		__u64 sum = sums(network->bias3[0], network->weights3[0], at->hidden2, SECOND);    \
		at->outputs[0] = output(scaled(low(sum), &network->layers[2]));                    \
		at->outputs[1] = output(scaled(high(sum), &network->layers[2]));                   \
	}

SHAPE(wide, 32, 32, 16)
SHAPE(medium, 16, 32, 16)
SHAPE(narrow, 8, 16, 8)

// The verifier knows the setting, so it follows one shape, and removes the others.
static __always_inline void infer(const struct network *network, struct inference *at)
{
	if (setting.shape == SHAPE_32_32_16)
		wide(network, at);
	else if (setting.shape == SHAPE_16_32_16)
		medium(network, at);
	else
		narrow(network, at);
}

#endif
