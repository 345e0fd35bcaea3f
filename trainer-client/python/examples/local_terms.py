# SPDX-License-Identifier: Apache-2.0
"""What FedProx, FedDyn and SCAFFOLD add to a trainer's SGD, in NumPy."""

import numpy as np


class LocalTerms:
    """One trainer's part of the job's algorithm. The plan of each round says which it is."""

    def __init__(self):
        #: FedDyn's gₖ, or SCAFFOLD's cₖ, by tensor; zero at first.
        self._memory = {}
        self._next = {}

    def begin(self, round):
        """What to add to the gradient: μ, and a constant for each tensor.

        The gradient at w becomes g + μ·(w - wᵗ) + constant.
        """
        self._alpha = round.config.get("dynamic-alpha", 0.0)
        self._scaffold = "control" in round.sets
        constants = {}
        for name, start in self._floating(round):
            constants[name] = -self._memory.get(name, np.zeros_like(start))
            if self._scaffold:
                constants[name] = constants[name] + round.sets["control"].tensors[name]
        return self._alpha or round.config.get("proximal-mu", 0.0), constants

    def end(self, round, weights, steps, learning_rate):
        """What training has made of the model. Returns the sets that are to be sent."""
        self._next = dict(self._memory)
        control = {}
        for name, start in self._floating(round):
            before = self._memory.get(name, np.zeros_like(start))
            moved = weights[name] - start
            if self._scaffold:
                # Option II of the paper: cₖ becomes cₖ - c + (wᵗ - w) / (K·η). What is sent is
                # c + Δcₖ, as the weights that are sent are w + Δwₖ.
                control[name] = -moved / (steps * learning_rate)
                c = round.sets["control"].tensors[name]
                self._next[name] = before - c + control[name]
            elif self._alpha:
                self._next[name] = before - self._alpha * moved
        return {"control": control} if self._scaffold else {}

    def _floating(self, round):
        """Tensors with gradients by name, and not counters such as BatchNorm's."""
        return [(n, start) for n, start in round.tensors.items() if start.dtype.kind not in "iub"]

    def commit(self):
        """Remembers it: the update counts, so the server's part has moved too."""
        self._memory = self._next
