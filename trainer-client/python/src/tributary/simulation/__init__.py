# SPDX-License-Identifier: Apache-2.0
"""Many clients that really train, on one machine, with the real job behind them."""

from .run import SimulatedRound, Simulation, simulate

__all__ = ["SimulatedRound", "Simulation", "simulate"]
