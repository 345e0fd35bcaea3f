// SPDX-License-Identifier: Apache-2.0
//
// What a fold is made of; fold.c is compiled once for each level of instructions.

#include <stdint.h>

// In this order in the tables of fold.c, and found by name. F64 is the first.
#define TYPES(DO)                                                                                  \
	DO(F64) DO(F32) DO(F16) DO(BF16) DO(F8_E4M3) DO(F8_E5M2)                                         \
	DO(I64) DO(U64) DO(I32) DO(U32) DO(I16) DO(U16) DO(I8) DO(U8) DO(BOOL)

#define MAX_COLUMNS 8

// A run of elements and what they are multiplied with.
struct column {
	const void *values;
	double weight; // of integers a whole number, less than 2^53
};

// sum[i] += Σ weight × column[i]; where the sum is fresh, anything may have been in it and it counts
// as 0. Not 0 where a sum is not finite, which it is as soon as one of the values is not.
typedef int fold_function(void *sum, int fresh, const struct column *column, int columns,
			  int64_t count);

// Not 0 where a value is not finite.
typedef int scan_function(const void *values, int64_t count);

// out[i] = base[i] + sum[i] / weight, rounded once; without base where that is NULL. out may begin
// where sum does. Not 0 where one is not finite.
typedef int mean_function(const void *sum, double weight, const void *base, void *out,
			  int64_t count);

// What an adaptive optimizer's step is made of; AdaptiveStep.java has the formula.
struct adaptive {
	double beta1, keep, add;
	int yogi;
	double rate, scale, tau;
};

// One such step from base, the change being sum / weight, less base where that is in it. m and v are
// changed. out may begin where sum does. Not 0 where one of out, m and v is not finite.
typedef int adapt_function(const struct adaptive *step, const void *sum, double weight,
			   const void *base, int less, void *m, void *v, void *out, int64_t count);

struct level {
	const char *name;
	fold_function *const *fold; // for each type
	scan_function *const *scan; // for each type
	mean_function *mean;        // to F32
	adapt_function *adapt;      // from F32 to F32
};

extern const struct level level_baseline, level_avx2, level_avx512;
