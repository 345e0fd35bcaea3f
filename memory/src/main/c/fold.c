// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of a fold, for every element type of safetensors.
//
// Compiled once for each level of instructions, with -DLEVEL=name. All levels give the same bits:
// products are never fused with sums (-ffp-contract=off), and each element is added to in the order
// of the columns. JavaKernel does the same arithmetic where there is no compiler.

#include "fold.h"

#include <stddef.h>
#include <string.h>

#define BLOCK 512
#define GROUP 4
#define GROUP_BLOCK 128

#define INLINE static inline __attribute__((always_inline))
#define ANYWHERE __attribute__((aligned(1), may_alias)) // payloads may begin at any byte

typedef double f64 ANYWHERE;
typedef float f32 ANYWHERE;
typedef uint8_t u8 ANYWHERE;
typedef uint16_t u16 ANYWHERE;
typedef uint32_t u32 ANYWHERE;
typedef uint64_t u64 ANYWHERE;
typedef int8_t i8 ANYWHERE;
typedef int16_t i16 ANYWHERE;
typedef int32_t i32 ANYWHERE;
typedef int64_t i64 ANYWHERE;
typedef __int128 i128 ANYWHERE;

INLINE float float_of(uint32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof value);
	return value;
}

// Floats of few bits. What is not finite becomes infinite, so that it shows in the sum.

INLINE float e5m10(uint32_t bits)
{
	uint32_t magnitude = bits & 0x7FFF;
	float subnormal = (float)(int32_t)magnitude * 0x1p-24f;
	float value = magnitude < 0x0400 ? subnormal : float_of((magnitude << 13) + (112u << 23));
	value = magnitude >= 0x7C00 ? __builtin_inff() : value;
	return bits & 0x8000 ? -value : value;
}

INLINE float e4m3(uint32_t bits)
{
	uint32_t magnitude = bits & 0x7F;
	float subnormal = (float)(int32_t)magnitude * 0x1p-9f;
	float value = magnitude < 0x08 ? subnormal : float_of((magnitude << 20) + (120u << 23));
	value = magnitude == 0x7F ? __builtin_inff() : value;
	return bits & 0x80 ? -value : value;
}

#define AS_IS(x) (x)
#define BFLOAT(x) float_of((uint32_t)(x) << 16)
#define E5M10(x) e5m10(x)
#define E4M3(x) e4m3(x)
#define E5M2(x) e5m10((uint32_t)(x) << 8)
#define TRUTH(x) ((x) != 0)

// One more in an exponent of all ones carries into the sign.
INLINE uint64_t carry(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	return (bits & 0x7FF0000000000000u) + 0x0010000000000000u;
}

// A loop for each number of columns, so that the one over the columns is unrolled.
#define FOLD(TYPE)                                                                                  \
	static int fold_##TYPE(void *sum, int fresh, const struct column *column, int columns,      \
			       int64_t count)                                                       \
	{                                                                                           \
		switch (columns) {                                                                  \
		case 1:                                                                             \
			return add_##TYPE(sum, fresh, column, 1, count);                            \
		case 2:                                                                             \
			return add_##TYPE(sum, fresh, column, 2, count);                            \
		case 3:                                                                             \
			return add_##TYPE(sum, fresh, column, 3, count);                            \
		case 4:                                                                             \
			return add_##TYPE(sum, fresh, column, 4, count);                            \
		case 5:                                                                             \
			return add_##TYPE(sum, fresh, column, 5, count);                            \
		case 6:                                                                             \
			return add_##TYPE(sum, fresh, column, 6, count);                            \
		case 7:                                                                             \
			return add_##TYPE(sum, fresh, column, 7, count);                            \
		default:                                                                            \
			return add_##TYPE(sum, fresh, column, MAX_COLUMNS, count);                  \
		}                                                                                   \
	}

// Streams that begin at the same place of a page, as mapped payloads do, get into each other's way in
// the first cache when there are more than half a dozen. So four columns are added at a time, to a
// block of the sum that stays there.
#define FLOATS(TYPE, ELEMENT, READ)                                                                 \
	INLINE uint64_t group_##TYPE(f64 *restrict sum, int fresh, const ELEMENT *const *values,    \
				     const double *weight, const int columns, int64_t from, int64_t to) \
	{                                                                                           \
		uint64_t bad = 0;                                                                   \
                                                                                                    \
		for (int64_t i = from; i < to; i++) {                                               \
			double total = fresh ? 0 : sum[i];                                          \
			for (int c = 0; c < columns; c++)                                           \
				total += weight[c] * (double)READ(values[c][i]);                    \
			sum[i] = total;                                                             \
			bad |= carry(total);                                                        \
		}                                                                                   \
		return bad;                                                                         \
	}                                                                                           \
	INLINE int add_##TYPE(f64 *restrict sum, int fresh, const struct column *column,            \
			      const int columns, int64_t count)                                     \
	{                                                                                           \
		const ELEMENT *values[MAX_COLUMNS];                                                 \
		double weight[MAX_COLUMNS];                                                         \
		uint64_t bad = 0;                                                                   \
                                                                                                    \
		for (int c = 0; c < columns; c++) {                                                 \
			values[c] = column[c].values;                                               \
			weight[c] = column[c].weight;                                               \
		}                                                                                   \
		if (columns <= GROUP)                                                               \
			return (int)(group_##TYPE(sum, fresh, values, weight, columns, 0, count) >> 63); \
		for (int64_t from = 0; from < count; from += GROUP_BLOCK) {                         \
			int64_t to = count - from < GROUP_BLOCK ? count : from + GROUP_BLOCK;       \
                                                                                                    \
			group_##TYPE(sum, fresh, values, weight, GROUP, from, to);                  \
			bad |= group_##TYPE(sum, 0, values + GROUP, weight + GROUP, columns - GROUP, from, to); \
		}                                                                                   \
		return (int)(bad >> 63);                                                            \
	}                                                                                           \
	FOLD(TYPE)

// Exactly, as long as all weights together are less than 2^63.
#define INTEGERS(TYPE, ELEMENT, READ)                                                               \
	INLINE int add_##TYPE(i128 *restrict sum, int fresh, const struct column *column,           \
			      const int columns, int64_t count)                                     \
	{                                                                                           \
		for (int64_t i = 0; i < count; i++) {                                               \
			i128 total = fresh ? 0 : sum[i];                                            \
			for (int c = 0; c < columns; c++)                                           \
				total += (i128)(int64_t)column[c].weight * READ(((const ELEMENT *)column[c].values)[i]); \
			sum[i] = total;                                                             \
		}                                                                                   \
		return 0;                                                                           \
	}                                                                                           \
	static int scan_##TYPE(const void *values, int64_t count)                                   \
	{                                                                                           \
		(void)values, (void)count;                                                          \
		return 0;                                                                           \
	}                                                                                           \
	FOLD(TYPE)

FLOATS(F64, f64, AS_IS)
FLOATS(F32, f32, AS_IS)
FLOATS(F16, u16, E5M10)
FLOATS(BF16, u16, BFLOAT)
FLOATS(F8_E4M3, u8, E4M3)
FLOATS(F8_E5M2, u8, E5M2)
INTEGERS(I64, i64, AS_IS)
INTEGERS(U64, u64, AS_IS)
INTEGERS(I32, i32, AS_IS)
INTEGERS(U32, u32, AS_IS)
INTEGERS(I16, i16, AS_IS)
INTEGERS(U16, u16, AS_IS)
INTEGERS(I8, i8, AS_IS)
INTEGERS(U8, u8, AS_IS)
INTEGERS(BOOL, u8, TRUTH)

#define SCAN(TYPE, ELEMENT, EXPONENT, ONE, SIGN)                                                    \
	static int scan_##TYPE(const void *memory, int64_t count)                                   \
	{                                                                                           \
		const ELEMENT *values = memory;                                                     \
		ELEMENT bad = 0;                                                                    \
                                                                                                    \
		for (int64_t i = 0; i < count; i++)                                                 \
			bad |= (ELEMENT)((values[i] & (EXPONENT)) + (ONE));                         \
		return (bad & (SIGN)) != 0;                                                         \
	}

SCAN(F64, u64, 0x7FF0000000000000u, 0x0010000000000000u, 0x8000000000000000u)
SCAN(F32, u32, 0x7F800000u, 0x00800000u, 0x80000000u)
SCAN(F16, u16, 0x7C00u, 0x0400u, 0x8000u)
SCAN(BF16, u16, 0x7F80u, 0x0080u, 0x8000u)
SCAN(F8_E4M3, u8, 0x7Fu, 0x01u, 0x80u)
SCAN(F8_E5M2, u8, 0x7Cu, 0x04u, 0x80u)

// Block by block, since out may lie over the first half of sum.
static int mean(const void *sums, double weight, const void *bases, void *out, int64_t count)
{
	const f64 *sum = sums;
	const f32 *base = bases;
	float block[BLOCK];
	uint32_t bad = 0;

	for (int64_t at = 0; at < count; at += BLOCK) {
		int64_t n = count - at < BLOCK ? count - at : BLOCK;

		if (base)
			for (int64_t i = 0; i < n; i++)
				block[i] = (float)((double)base[at + i] + sum[at + i] / weight);
		else
			for (int64_t i = 0; i < n; i++)
				block[i] = (float)(sum[at + i] / weight);
		for (int64_t i = 0; i < n; i++) {
			uint32_t bits;
			memcpy(&bits, &block[i], sizeof bits);
			bad |= (bits & 0x7F800000u) + 0x00800000u;
		}
		memcpy((f32 *)out + at, block, (size_t)n * sizeof *block);
	}
	return (int)(bad >> 31);
}

INLINE int adapt_by(const struct adaptive step, const int yogi, const f64 *sum, double weight,
		    const f32 *base, const int less, f64 *restrict m, f64 *restrict v, f32 *out,
		    int64_t count)
{
	const double share = 1 / weight; // a division for each element takes a quarter of the time
	float block[BLOCK];
	uint64_t bad = 0;

	for (int64_t at = 0; at < count; at += BLOCK) {
		int64_t n = count - at < BLOCK ? count - at : BLOCK;

		for (int64_t i = 0; i < n; i++) {
			double start = (double)base[at + i];
			double change = sum[at + i] * share - (less ? start : 0);
			double square = change * change;
			double first = step.beta1 * m[at + i] + (1 - step.beta1) * change;
			double second = v[at + i];
			double distance = second - square;

			if (yogi)
				second -= step.add * square *
					  ((distance > 0 ? 1.0 : 0.0) - (distance < 0 ? 1.0 : 0.0));
			else
				second = step.keep * second + step.add * square;
			block[i] = (float)(start + step.rate * first /
							   (__builtin_sqrt(second) * step.scale + step.tau));
			m[at + i] = first;
			v[at + i] = second;
			bad |= carry(first) | carry(second) | carry((double)block[i]);
		}
		memcpy(out + at, block, (size_t)n * sizeof *block);
	}
	return (int)(bad >> 63);
}

// A loop for each kind, so that none has a branch in it.
static int adapt(const struct adaptive *step, const void *sum, double weight, const void *base,
		 int less, void *m, void *v, void *out, int64_t count)
{
	if (step->yogi)
		return less ? adapt_by(*step, 1, sum, weight, base, 1, m, v, out, count)
			    : adapt_by(*step, 1, sum, weight, base, 0, m, v, out, count);
	return less ? adapt_by(*step, 0, sum, weight, base, 1, m, v, out, count)
		    : adapt_by(*step, 0, sum, weight, base, 0, m, v, out, count);
}

#define FOLD_ENTRY(TYPE) fold_##TYPE,
#define SCAN_ENTRY(TYPE) scan_##TYPE,

static fold_function *const folds[] = {TYPES(FOLD_ENTRY)};
static scan_function *const scans[] = {TYPES(SCAN_ENTRY)};

#define NAMED(level) NAMED_(level)
#define NAMED_(level) level_##level
#define TEXT(level) TEXT_(level)
#define TEXT_(level) #level

const struct level NAMED(LEVEL) = {TEXT(LEVEL), folds, scans, mean, adapt};
