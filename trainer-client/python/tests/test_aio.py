# SPDX-License-Identifier: Apache-2.0

import asyncio

import pytest

import tributary
import tributary.aio

WAIT = 10


def connect(job, id="t-1", **options):
    return tributary.aio.connect(job.uri, job=job.name, id=id, **{"timeout": WAIT, **options})


def test_two_trainers_in_one_loop(job, model):
    async def train(id):
        counted = 0
        async with connect(job, id) as client:
            async for round in client.rounds(timeout=WAIT):
                receipt = await client.send(round, round.tensors, samples=1)
                counted += receipt.counts
        return counted

    async def main():
        trainers = [asyncio.create_task(train(id)) for id in ("t-1", "t-2")]
        for _ in range(2):
            job.open_round(model)
            for _ in trainers:
                job.commit(await asyncio.to_thread(job.await_update, WAIT))
        job.finish()
        return await asyncio.gather(*trainers)

    assert asyncio.run(main()) == [2, 2]


def test_a_call_that_is_cancelled_leaves_the_client_usable(job, model):
    async def main():
        async with connect(job) as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(aiter(client.rounds())), 0.3)
            job.open_round(model)
            round = await anext(aiter(client.rounds(timeout=WAIT)))
            assert round.number == 1
        assert job.trainers == []

    asyncio.run(main())


def test_a_join_is_cancelled(tmp_path):
    async def join():
        async with tributary.aio.connect(f"shm:{tmp_path}?agent-port=1", job="none", id="t"):
            pass

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(join(), 0.3)

    asyncio.run(main())


def test_it_is_used_with_async_with(job):
    with pytest.raises(RuntimeError, match="async with"):
        _ = connect(job).client


def test_a_queued_call_is_cancelled_alone(job, model):
    async def main():
        async with connect(job) as client:
            job.open_round(model)
            round = await anext(aiter(client.rounds(timeout=WAIT)))
            first = asyncio.create_task(anext(aiter(client.rounds(timeout=WAIT))))
            await asyncio.sleep(0.1)
            second = asyncio.create_task(client.send(round, model, samples=1))
            await asyncio.sleep(0.1)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(second, 2)
            job.open_round(model)
            assert (await first).number == 2

    asyncio.run(main())


def test_a_client_that_nobody_waits_for_is_closed(job, monkeypatch):
    import time

    from tributary import client as module

    made = []

    class Slow(module.Client):
        def __init__(self, *arguments, **options):
            time.sleep(0.5)
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(tributary.aio, "Client", Slow)

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(connect(job).__aenter__(), 0.2)

    asyncio.run(main())
    assert made[0]._member.left


def test_the_blocking_client_works_where_a_loop_runs(job, model):
    """As in a cell of a notebook."""

    async def cell():
        with tributary.connect(job.uri, job=job.name, id="t-1", timeout=WAIT) as client:
            return next(client.rounds(timeout=WAIT)).number

    job.open_round(model)
    assert asyncio.run(cell()) == 1


def test_leaving_does_not_wait_for_a_task_that_waits(job):
    async def main():
        async with connect(job) as client:
            waiting = asyncio.create_task(anext(aiter(client.rounds())))
            await asyncio.sleep(0.2)
        with pytest.raises(tributary.TributaryError):
            await waiting

    asyncio.run(asyncio.wait_for(main(), 5))
    assert job.trainers == []


def test_leaving_is_not_cancelled(job):
    async def body():
        async with connect(job):
            await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(body())
        await asyncio.sleep(1)
        assert job.trainers == ["t-1"]
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert job.trainers == []


def test_a_round_that_a_cancellation_has_caught_comes_again(job, model, monkeypatch):
    import time

    from tributary import client as module

    class Slow(module.Round):
        def __init__(self, *arguments):
            time.sleep(0.4)
            super().__init__(*arguments)

    monkeypatch.setattr(module, "Round", Slow)

    async def main():
        async with connect(job) as client:
            job.open_round(model)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(aiter(client.rounds(timeout=WAIT))), 0.3)
            assert (await anext(aiter(client.rounds(timeout=WAIT)))).number == 1

    asyncio.run(main())
