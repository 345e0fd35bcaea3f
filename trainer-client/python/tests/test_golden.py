# SPDX-License-Identifier: Apache-2.0
"""What Flower and NVFlare make of the same updates; Java's tests read the same file.

TRIBUTARY_GOLDEN=write writes their models into it anew.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

FILE = Path(__file__).parents[3] / "operators/src/test/resources/golden/optimizers.json"
SAMPLES = (2, 5, 11)
ROUNDS = 20
#: Of each trainer, before it trains.
LOSSES = (0.4, 1.3, 2.2)

FLOWER = {
    "fedadagrad": ("FedAdagrad", {}),
    "fedadam": ("FedAdam", {}),
    "fedavgm": ("FedAvgM", {}),
    "fedyogi": ("FedYogi", {}),
    "fedavgm 0.8": ("FedAvgM", {"server_momentum": 0.8, "server_learning_rate": 0.7}),
    "fedadam 0.03": ("FedAdam", {"eta": 0.03, "beta_1": 0.7, "beta_2": 0.95, "tau": 0.01}),
}
# PyTorch's optimizers and schedulers, as a user of NVFlare names them.
NVFLARE = {
    "fedavgm": (
        {"path": "SGD", "args": {"lr": 1.0, "momentum": 0.6}},
        {"path": "CosineAnnealingLR", "args": {"T_max": 3, "eta_min": 0.9}},
    ),
    "fedadam": ({"path": "Adam", "args": {}}, None),
    "fedadagrad": ({"path": "Adagrad", "args": {}}, None),
    "fedavgm step": (
        {"path": "SGD", "args": {"lr": 0.5, "momentum": 0.6}},
        {"path": "StepLR", "args": {"step_size": 4, "gamma": 0.5}},
    ),
}


def inputs() -> tuple[np.ndarray, np.ndarray]:
    """The first model, and what each trainer changes in each round."""
    whole = json.loads(FILE.read_text())
    return np.array(whole["model"]), np.array(whole["changes"])


def original(module: str, environment: str) -> Any:
    """A framework's module, which the tests' environment of that name must have in .ci/run."""
    if os.environ.get("TRIBUTARY_REQUIRE_PYTHON") and Path(sys.prefix).name == environment:
        return importlib.import_module(module)
    return pytest.importorskip(module)


def flower(name: str) -> list[list[float]]:
    """The models of all rounds by a strategy of Flower."""
    flwr = original("flwr", ".venv")
    strategies = original("flwr.serverapp.strategy", ".venv")
    strategy_name, options = FLOWER[name]
    strategy = getattr(strategies, strategy_name)(**options)
    model, changes = inputs()
    models = []
    for round in range(ROUNDS):
        arrays = flwr.app.ArrayRecord([model])
        # As 'configure_train' does it, which would also want to sample nodes.
        strategy.current_arrays = (
            arrays
            if strategy_name == "FedAvgM"
            else {key: array.numpy() for key, array in arrays.items()}
        )
        replies = []
        for samples, change in zip(SAMPLES, changes[round], strict=True):
            content = flwr.app.RecordDict(
                {
                    "arrays": flwr.app.ArrayRecord([model + change]),
                    "metrics": flwr.app.MetricRecord({"num-examples": samples}),
                }
            )
            # A message proper belongs to a run of Flower.
            replies.append(SimpleNamespace(content=content, has_error=lambda: False))
        result, _ = strategy.aggregate_train(round + 1, replies)
        (model,) = result.to_numpy_ndarrays()
        models.append(model.tolist())
    return models


def flower_qfedavg() -> list[list[float]]:
    """The models of all rounds by Flower's q-FedAvg."""
    flwr = original("flwr", ".venv")
    strategies = original("flwr.serverapp.strategy", ".venv")
    strategy = strategies.QFedAvg(client_learning_rate=0.05, q=0.2)
    model, changes = inputs()
    models = []
    for round in range(ROUNDS):
        strategy.current_arrays = flwr.app.ArrayRecord([model])
        replies = []
        for k, (samples, change) in enumerate(zip(SAMPLES, changes[round], strict=True)):
            content = flwr.app.RecordDict(
                {
                    "arrays": flwr.app.ArrayRecord([model + change]),
                    "metrics": flwr.app.MetricRecord(
                        {"num-examples": samples, "train_loss": LOSSES[k]}
                    ),
                }
            )
            replies.append(SimpleNamespace(content=content, has_error=lambda: False))
        result, _ = strategy.aggregate_train(round + 1, replies)
        (model,) = result.to_numpy_ndarrays()
        models.append(model.tolist())
    return models


def nvflare(name: str) -> list[list[float]]:
    """The models of all rounds by NVFlare's FedOpt."""
    torch = original("torch", ".venv-system")
    fedopt = original("nvflare.app_opt.pt.fedopt", ".venv-system")
    from nvflare.apis.event_type import EventType

    class Engine:
        """Builds PyTorch's classes, as NVFlare's engine does."""

        def build_component(self, arguments: dict[str, Any]) -> Any:
            home = torch.optim if "params" in arguments["args"] else torch.optim.lr_scheduler
            return getattr(home, arguments["path"])(**arguments["args"])

    class Context:
        def get_engine(self) -> Engine:
            return Engine()

    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, weights: np.ndarray) -> None:
            super().__init__()
            self.weights = torch.nn.Parameter(torch.tensor(weights))

    model, changes = inputs()
    optimizer, scheduler = NVFLARE[name]
    generator = fedopt.PTFedOptModelShareableGenerator(
        optimizer, scheduler, source_model=Model(model), device="cpu"
    )
    generator.handle_event(EventType.START_RUN, Context())
    models = []
    for round in range(ROUNDS):
        mean = np.average(changes[round], axis=0, weights=SAMPLES)
        state, _ = generator.server_update({"weights": mean})
        models.append(state["weights"].detach().numpy().copy().tolist())
    return models


def nvflare_scaffold() -> list[list[float]]:
    """The model and then the control variate of all rounds, by NVFlare's SCAFFOLD.

    The last trainer sends in every other round.
    """
    scaffold = original("nvflare.app_common.workflows.scaffold", ".venv-system")
    from nvflare.apis.fl_constant import FLMetaKey
    from nvflare.apis.fl_context import FLContext
    from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
    from nvflare.app_common.app_constant import AlgorithmConstants

    start, changes = inputs()
    models: list[list[float]] = []

    class Rounds(scaffold.Scaffold):  # type: ignore[misc, name-defined]
        """NVFlare's workflow with trainers that answer at once, and without its engine."""

        def __init__(self) -> None:
            super().__init__(num_clients=len(SAMPLES), num_rounds=ROUNDS)
            self.fl_ctx = FLContext()
            self.start_round = 0
            self.model = FLModel(params={"weights": start.copy()}, meta={})
            self._global_ctrl_weights = {"weights": np.zeros_like(start)}

        def info(self, *_: Any, **__: Any) -> None: ...

        debug = event = info

        def sample_clients(self, count: int | None = None) -> list[str]:
            return [str(k) for k in range(len(SAMPLES) - self.current_round % 2)]

        def send_model_and_wait(self, targets: list[str], data: FLModel) -> list[FLModel]:
            return [
                FLModel(
                    params={"weights": changes[self.current_round][k]},
                    params_type=ParamsType.DIFF,
                    current_round=self.current_round,
                    meta={
                        "client_name": str(k),
                        FLMetaKey.NUM_STEPS_CURRENT_ROUND: SAMPLES[k],
                        AlgorithmConstants.SCAFFOLD_CTRL_DIFF: {
                            "weights": changes[self.current_round][-1 - k]
                        },
                    },
                )
                for k in map(int, targets)
            ]

        def save_model(self, model: FLModel) -> None:
            control = self._global_ctrl_weights["weights"]
            models.append([*model.params["weights"].tolist(), *control.tolist()])

    Rounds()._run_rounds()
    return models


def golden(key: str, models: list[list[float]]) -> list[list[float]]:
    """What the file has for a case; written first, if that is wanted."""
    whole = json.loads(FILE.read_text())
    if os.environ.get("TRIBUTARY_GOLDEN") == "write":
        whole["models"][key] = models
        FILE.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
    return whole["models"][key]


def test_the_file_has_no_other_cases() -> None:
    assert set(json.loads(FILE.read_text())["models"]) == {f"flower {name}" for name in FLOWER} | {
        f"nvflare {name}" for name in NVFLARE
    } | {"flower qfedavg", "nvflare scaffold"}


@pytest.mark.parametrize("name", FLOWER)
def test_flower(name: str) -> None:
    models = flower(name)
    np.testing.assert_allclose(golden(f"flower {name}", models), models, rtol=1e-9, atol=1e-12)


def test_flower_qfedavg() -> None:
    models = flower_qfedavg()
    np.testing.assert_allclose(golden("flower qfedavg", models), models, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NVFLARE)
def test_nvflare(name: str) -> None:
    models = nvflare(name)
    np.testing.assert_allclose(golden(f"nvflare {name}", models), models, rtol=1e-9, atol=1e-12)


def test_nvflare_scaffold() -> None:
    models = nvflare_scaffold()
    assert len(models) == ROUNDS
    np.testing.assert_allclose(golden("nvflare scaffold", models), models, rtol=1e-9, atol=1e-12)
