# SPDX-License-Identifier: Apache-2.0
"""PyTorch: Debian's python3-torch is enough."""

import numpy as np
import pytest

import tributary

torch = pytest.importorskip("torch")

WAIT = 20


def network():
    return torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2)
    )


def test_a_state_dict_goes_and_comes(job, connect, run):
    model = network()
    job.open_round(model.state_dict())
    round = next(connect().rounds(timeout=WAIT))
    assert round.names == list(model.state_dict())
    other = network()
    other.load_state_dict(round.torch())
    for name, value in other.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    other(torch.ones(5, 4)).sum().backward()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter -= parameter.grad
    sent = run(round.send, other.state_dict(), samples=5)
    update = job.await_update(WAIT)
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(update.tensors[name], value.numpy())
    assert update.tensors["1.num_batches_tracked"] == 1
    job.commit(update)
    sent.result(WAIT)


def test_writing_to_the_model_changes_nobody_elses(job, connect):
    job.open_round({"w": np.ones(3, np.float32)})
    round = next(connect().rounds(timeout=WAIT))
    mine = round.torch()["w"]
    mine.mul_(5)
    assert round.tensors["w"].tolist() == [1, 1, 1]


def test_an_update_is_written_as_torch_tensors(job, connect, run):
    job.open_round({"w": np.zeros((2, 2), np.float32)})
    update = next(connect().rounds(timeout=WAIT)).update()
    update.torch()["w"].copy_(torch.eye(2))
    sent = run(update.send, samples=1)
    received = job.await_update(WAIT)
    assert received.tensors["w"].tolist() == [[1, 0], [0, 1]]
    job.commit(received)
    sent.result(WAIT)


def test_tensors_that_are_views_and_need_gradients_are_sent(job, connect, run):
    job.open_round({"w": np.zeros((3, 2), np.float32)})
    round = next(connect().rounds(timeout=WAIT))
    turned = torch.arange(6.0).reshape(2, 3).requires_grad_().t()
    sent = run(round.send, {"w": turned}, samples=1)
    received = job.await_update(WAIT)
    assert received.tensors["w"].tolist() == [[0, 3], [1, 4], [2, 5]]
    job.commit(received)
    sent.result(WAIT)


def test_bf16_needs_torch_or_ml_dtypes(job, connect, run):
    pytest.importorskip("ml_dtypes")
    job.open_round({"w": torch.tensor([1.5, -2], dtype=torch.bfloat16)})
    round = next(connect().rounds(timeout=WAIT))
    assert round.torch()["w"].dtype == torch.bfloat16
    sent = run(round.send, {"w": round.torch()["w"] * 2}, samples=1)
    received = job.await_update(WAIT)
    assert received.tensors["w"].tolist() == [3, -4]
    job.commit(received)
    sent.result(WAIT)


def test_without_ml_dtypes_bf16_is_named(tmp_path):
    if _has_ml_dtypes():
        pytest.skip("ml_dtypes is installed")
    with pytest.raises(tributary.ModelMismatch, match="pip install ml_dtypes"):
        tributary.save_model(tmp_path / "m", {"w": torch.ones(2, dtype=torch.bfloat16)})


def _has_ml_dtypes():
    import importlib.util

    return importlib.util.find_spec("ml_dtypes") is not None


def test_a_data_loader_with_workers_may_be_used_beside_a_client(job, connect, run):
    job.open_round({"w": np.zeros(1, np.float32)})
    client = connect()
    data = torch.utils.data.TensorDataset(torch.arange(8.0))
    loader = torch.utils.data.DataLoader(data, batch_size=2, num_workers=2)
    total = sum(batch.sum() for (batch,) in loader)
    round = next(client.rounds(timeout=WAIT))
    sent = run(round.send, {"w": total.reshape(1)}, samples=1)
    received = job.await_update(WAIT)
    assert received.tensors["w"].tolist() == [28]
    job.commit(received)
    assert sent.result(WAIT).counts
    assert job.trainers == ["t-1"]
