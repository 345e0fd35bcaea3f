# SPDX-License-Identifier: Apache-2.0
"""Shared memory: updates are folded where a trainer writes them, models are mapped."""
