// SPDX-License-Identifier: Apache-2.0
//
// The fold as it is called: types and levels by number, memory by address.

#include "fold.h"

#include <stddef.h>
#include <string.h>

static const struct level *const levels[] = {
	&level_baseline,
#ifdef __x86_64__
	&level_avx2,
	&level_avx512,
#endif
};

#define NAME_ENTRY(TYPE) #TYPE,

static const char *const types[] = {TYPES(NAME_ENTRY)};

// The highest level that this processor has.
int kernel_best(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
	    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
		return 2;
	if (__builtin_cpu_supports("avx2"))
		return 1;
#endif
	return 0;
}

const char *kernel_level(int level)
{
	return levels[level]->name;
}

// The number of a type; -1 where it is not known.
int kernel_type(const char *name)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (!strcmp(types[i], name))
			return (int)i;
	return -1;
}

int kernel_fold(int level, int type, void *sum, int fresh, const struct column *column, int columns,
		int64_t count)
{
	return levels[level]->fold[type](sum, fresh, column, columns, count);
}

// sum[i] += from[i], of float64 sums or of integer ones.
void kernel_add(int level, int floating, void *sum, const void *from, int64_t count)
{
	const struct column one = {from, 1};

	if (floating) {
		levels[level]->fold[0](sum, 0, &one, 1, count);
		return;
	}
	for (int64_t i = 0; i < count; i++) {
		unsigned __int128 a, b;
		memcpy(&a, (char *)sum + 16 * i, sizeof a);
		memcpy(&b, (const char *)from + 16 * i, sizeof b);
		a += b;
		memcpy((char *)sum + 16 * i, &a, sizeof a);
	}
}

int kernel_scan(int level, int type, const void *values, int64_t count)
{
	return levels[level]->scan[type](values, count);
}

int kernel_mean(int level, const void *sum, double weight, const void *base, void *out,
		int64_t count)
{
	return levels[level]->mean(sum, weight, base, out, count);
}

int kernel_adapt(int level, const void *sum, double weight, const void *base, int less, void *m,
		 void *v, void *out, int64_t count, double beta1, double keep, double add, int yogi,
		 double rate, double scale, double tau)
{
	const struct adaptive step = {beta1, keep, add, yogi, rate, scale, tau};

	return levels[level]->adapt(&step, sum, weight, base, less, m, v, out, count);
}
