# SPDX-License-Identifier: Apache-2.0
"""What FedProx, FedDyn and SCAFFOLD add to a trainer's SGD, in NumPy."""

import numpy as np


class LocalTerms:
    """One trainer's part of the job's algorithm. The plan of each round says which it is."""

    def __init__(self):
        #: FedDyn's gₖ, or Flame's hₖ, or SCAFFOLD's cₖ, by tensor; zero at first.
        self._memory = {}
        self._next = {}

    def start(self, round):
        """The weights to train: those of the model, in Flame's FedDyn w + h."""
        history = round.sets["history"].tensors if "history" in round.sets else {}
        return {
            name: value + history[name] if name in history else value.copy()
            for name, value in round.tensors.items()
        }

    def begin(self, round, samples):
        """What to add to the gradient: μ, and a constant for each tensor.

        The gradient at w becomes g + μ·(w - wᵗ) + constant, wᵗ being where training starts.
        """
        self._alpha = round.config.get("dynamic-alpha", 0.0)
        if "history" in round.sets and "inverse-samples" in round.measured:
            self._alpha /= samples * round.measured["inverse-samples"]
        constants = {}
        for name, start in self._floating(round.tensors):
            memory = self._memory.get(name, np.zeros_like(start))
            if "control" in round.sets:
                constants[name] = round.sets["control"].tensors[name] - memory
            elif "history" in round.sets:
                constants[name] = self._alpha * memory
            else:
                constants[name] = -memory
        return self._alpha or round.config.get("proximal-mu", 0.0), constants

    def end(self, round, weights, steps, learning_rate):
        """What training has made of the model. Returns the sets that are to be sent."""
        self._next, sent = dict(self._memory), {}
        for name, start in self._floating(self.start(round)):
            before = self._memory.get(name, np.zeros_like(start))
            moved = weights[name] - start
            if "control" in round.sets:
                # Option II of the paper: cₖ becomes cₖ - c + (wᵗ - w) / (K·η). What is sent is
                # c + Δcₖ, as the weights that are sent are w + Δwₖ.
                sent[name] = -moved / (steps * learning_rate)
                self._next[name] = before - round.sets["control"].tensors[name] + sent[name]
            elif "history" in round.sets:
                sent[name] = self._next[name] = before + moved
            elif self._alpha:
                self._next[name] = before - self._alpha * moved
        return {which: sent for which in round.sets}

    def _floating(self, tensors):
        """Tensors with gradients by name, and not counters such as BatchNorm's."""
        return [(n, value) for n, value in tensors.items() if value.dtype.kind not in "iub"]

    def commit(self):
        """Remembers it: the update counts, so the server's part has moved too."""
        self._memory = self._next
