// SPDX-License-Identifier: Apache-2.0
//
// The limit that the fold is measured against. It is compiled for the processor at hand when it is
// measured, and is never changed: figures of different years are ratios to the same loop.

void axpy(float weight, const float *restrict values, float *restrict sum, long count)
{
	for (long i = 0; i < count; i++)
		sum[i] += weight * values[i];
}
