# SPDX-License-Identifier: Apache-2.0
"""Kafka: an idempotent producer for what a trainer says, one consumer for what the job says.

There is no last will; the job finds a dead trainer by its silence.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from . import messages
from .chunks import MAX_CHUNK_BYTES, ModelChunk, cut
from .connection import (
    Identity,
    Memory,
    Options,
    PrivateMemories,
    PrivateMemory,
    Sending,
    chunk_properties,
    parse_address,
    shown,
)
from .errors import ArgumentError, Malformed, TributaryError, Unreachable
from .inbox import Inbox
from .topics import KafkaTopics

try:
    import confluent_kafka as ck
except ImportError:
    raise ImportError("kafka:// needs confluent-kafka; pip install confluent-kafka") from None

log = logging.getLogger("tributary")

_POLL_SECONDS = 0.2
_IN_FLIGHT = 32
_MAX_MESSAGE_BYTES = 2 << 20
_DELIVERY_SECONDS = 120
_METADATA_SECONDS = 5.0
_READY_SECONDS = 2.0

#: What the protocol and its guarantees depend on.
_OURS = frozenset(
    {
        "bootstrap.servers",
        "metadata.broker.list",
        "group.id",
        "isolation.level",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "allow.auto.create.topics",
        "enable.partition.eof",
        "enable.idempotence",
        "acks",
        "request.required.acks",
        "retries",
        "message.send.max.retries",
        "message.max.bytes",
        "max.in.flight.requests.per.connection",
        "partitioner",
        "transactional.id",
    }
)

#: Errors that no retry mends.
_PERMANENT = frozenset(
    getattr(ck.KafkaError, name)
    for name in (
        "TOPIC_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
        "SASL_AUTHENTICATION_FAILED",
        "UNSUPPORTED_SASL_MECHANISM",
        "MSG_SIZE_TOO_LARGE",
        "_AUTHENTICATION",
        "_FATAL",
    )
)


Headers = list[tuple[str, str | bytes | None]]


class KafkaConnection:
    """A trainer's connection over Kafka."""

    durable = True
    connections = 0

    def __init__(self, who: Identity, uri: str, options: Options, inbox: Inbox) -> None:
        options.require(uri, ("kafka",))
        _, separator, servers = uri.partition("://")
        if not separator:
            raise ArgumentError(
                f"'{shown(uri)}': expected kafka://HOST:PORT, several with commas between"
            )
        for one in servers.split(","):
            parse_address(uri, one)
        for name in options.kafka:
            if name in _OURS:
                raise ArgumentError(
                    f"Kafka's property '{name}' is not to be chosen: that no update is lost or "
                    "counted twice depends on it; leave it out"
                )
        self._who = who
        self._uri = uri
        self._patience = options.patience
        self._inbox = inbox
        self._topics = KafkaTopics(who.job)
        self._key = who.trainer.encode()
        self._memories = PrivateMemories()
        self._closed = threading.Event()
        self._asked = threading.Event()
        self._letters = threading.Event()
        self._status = threading.Event()
        self._from_the_start = False
        self._away_since: float | None = None
        self._last_error = ""
        self._came: list[Any] = []
        common = {
            "bootstrap.servers": servers,
            "reconnect.backoff.max.ms": 1000,
            "error_cb": self._on_error,
            **options.kafka,
        }
        try:
            self._open(who, common)
        except ck.KafkaException as e:
            raise ArgumentError(f"'{shown(uri)}', properties of Kafka: {e.args[0].str()}") from None
        self._ready = threading.Event()
        try:
            self._metadata(self._patience)
        except TributaryError:
            self._consumer.close()
            raise
        self._reader = threading.Thread(
            target=self._read, name=f"tributary-kafka-{who.trainer}", daemon=True
        )
        self._reader.start()

    def _open(self, who: Identity, common: dict[str, Any]) -> None:
        self._producer = ck.Producer(
            {
                "message.max.bytes": _MAX_MESSAGE_BYTES,
                "linger.ms": 0,
                "delivery.timeout.ms": _DELIVERY_SECONDS * 1000,
                **common,
                "enable.idempotence": True,
                "acks": "all",
                # As Java's clients do it, so that a trainer stays in its partition.
                "partitioner": "murmur2_random",
            },
            logger=log,
        )
        self._consumer = ck.Consumer(
            {
                "fetch.message.max.bytes": 8 << 20,
                **common,
                "group.id": f"tributary-{who.job}-{who.trainer}-{who.instance}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                "enable.partition.eof": True,
            },
            logger=log,
        )

    def _metadata(self, patience: float) -> Any:
        """All topics, since to ask for one may make it. Tries again while the patience lasts."""
        end = time.monotonic() + patience
        while True:
            try:
                found = self._consumer.list_topics(
                    timeout=min(_METADATA_SECONDS, max(0.1, end - time.monotonic()))
                )
                self._away_since = None
                return found.topics
            except ck.KafkaException as e:
                # Only these say what the broker has answered.
                self._producer.poll(0)
                message = self._consumer.poll(0)
                if message is not None:
                    self._came.append(message)
                self._inbox.check()
                if time.monotonic() > end:
                    why = self._last_error or e.args[0].str()
                    raise Unreachable(
                        f"Kafka at {self._uri}: it has been away for {self._patience:.0f} s: {why}"
                    ) from None
                if self._closed.is_set():
                    return {}

    def _on_error(self, error: Any) -> None:
        """What librdkafka says of its connections; it tries again by itself."""
        self._last_error = error.str()
        if error.fatal() or error.code() in _PERMANENT:
            self._inbox.fail(Unreachable(f"Kafka at {self._uri}: {error.str()}"))
        elif error.code() == ck.KafkaError._ALL_BROKERS_DOWN:
            self._away_since = self._away_since or time.monotonic()
        log.info("Kafka at %s: %s", self._uri, error.str())

    def _check_away(self) -> None:
        """A broker that stays away is an error; nobody says when it is there again."""
        since = self._away_since
        if since is not None and time.monotonic() - since > self._patience:
            self._metadata(_METADATA_SECONDS)

    def _rejected(self, what: str, error: Any) -> Unreachable:
        return Unreachable(f"Kafka at {self._uri}: {what}: {error.str()}")

    @property
    def waits_for(self) -> str:
        return f"a receipt for key {self._who.trainer} in {self._topics.receipts} at {self._uri}"

    def _read(self) -> None:
        try:
            if self._await_topics():
                self._follow()
        except Exception as e:
            if not self._closed.is_set():
                self._inbox.fail(
                    e
                    if isinstance(e, TributaryError)
                    else Unreachable(f"Kafka at {self._uri}: the job cannot be heard any more: {e}")
                )
        finally:
            self._consumer.close()

    def _await_topics(self) -> bool:
        """Waits for the job, which makes its topics. Returns False when this was closed before."""
        wanted = (self._topics.rounds, self._topics.model, self._topics.receipts)
        while not self._closed.is_set():
            found = self._metadata(self._patience)
            if all(name in found for name in wanted):
                self._partitions = {name: len(found[name].partitions) for name in wanted}
                return True
            # The job comes later, so all that it says is news.
            self._from_the_start = True
            self._closed.wait(_POLL_SECONDS)
        return False

    def _follow(self) -> None:
        # Receipts are of interest from now on: what is unanswered is sent again.
        receipts = [
            self._end_of(self._topics.receipts, p)
            for p in range(self._partitions[self._topics.receipts])
        ]
        rounds = ck.TopicPartition(self._topics.rounds, 0, ck.OFFSET_BEGINNING)
        self._consumer.assign([*receipts, rounds])
        # From here on an answer is heard, so there may be a question.
        self._ready.set()
        self._inbox.wake()
        newest: Any = None
        caught_up = False
        while not self._closed.is_set():
            self._read_what_is_asked_for()
            self._check_away()
            message = self._came.pop(0) if self._came else self._consumer.poll(_POLL_SECONDS)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                if error.code() == ck.KafkaError._PARTITION_EOF:
                    if message.topic() == self._topics.rounds and not caught_up:
                        caught_up = True
                        if newest is not None:
                            self._accept(newest)
                elif message.topic() == self._topics.dead_letters:
                    # They are for people, so rules that keep them from trainers end nothing.
                    log.warning("%s: no dead letters will come: %s", self._who.trainer, error.str())
                    self._consumer.incremental_unassign(
                        [ck.TopicPartition(self._topics.dead_letters, 0)]
                    )
                elif error.code() in _PERMANENT:
                    raise self._rejected(f"to read {message.topic()}", error)
                else:
                    log.info("Kafka at %s: %s", self._uri, error.str())
            elif message.topic() == self._topics.rounds and not caught_up:
                # Of the plans that were made before now only the last is worth anything.
                newest = message
            else:
                self._accept(message)

    def _end_of(self, topic: str, partition: int) -> Any:
        """The place behind what is there now: to ask for the end would mean that of later."""
        place = ck.TopicPartition(topic, partition)
        end = time.monotonic() + self._patience
        while True:
            try:
                place.offset = self._consumer.get_watermark_offsets(place, _METADATA_SECONDS)[1]
                return place
            except ck.KafkaException as e:
                error = e.args[0]
                # A topic that was made a moment ago has no leader for a while.
                if (
                    error.code() in _PERMANENT
                    or time.monotonic() > end
                    or self._closed.wait(_POLL_SECONDS)
                ):
                    raise self._rejected(f"to read {topic}", error) from None

    def _read_what_is_asked_for(self) -> None:
        if self._asked.is_set():
            self._asked.clear()
            self._read_again(ck.TopicPartition(self._topics.model, 0, ck.OFFSET_BEGINNING))
        if self._letters.is_set():
            self._letters.clear()
            self._read_again(ck.TopicPartition(self._topics.dead_letters, 0, ck.OFFSET_END))
        if self._status.is_set():
            self._status.clear()
            begin = ck.TopicPartition(self._topics.status, 0, ck.OFFSET_BEGINNING)
            self._read_again(
                begin if self._from_the_start else self._end_of(self._topics.status, 0)
            )

    def _read_again(self, place: Any) -> None:
        if any(p.topic == place.topic for p in self._consumer.assignment()):
            self._consumer.incremental_unassign([place])
        self._consumer.incremental_assign([place])

    def _accept(self, message: Any) -> None:
        topic = message.topic()
        try:
            value = message.value() or b""
            if topic == self._topics.rounds:
                self._inbox.plan(messages.decode_plan(value))
            elif topic == self._topics.model:
                headers = {k: v.decode() for k, v in message.headers() or [] if v is not None}
                self._inbox.chunk(ModelChunk.read(headers), value)
            elif topic == self._topics.status:
                decode = (
                    messages.decode_status if message.key() == b"status" else messages.decode_model
                )
                self._inbox.news(decode(value))
            elif message.key() == self._key:
                if topic == self._topics.receipts:
                    self._inbox.receipt(messages.decode_receipt(value))
                else:
                    self._inbox.dead_letter(messages.decode_dead_letter(value))
        except (Malformed, UnicodeDecodeError) as e:
            self._inbox.ignored(f"on {topic}", e if isinstance(e, Malformed) else Malformed(str(e)))

    def control(self, kind: str) -> None:
        who = self._who
        # The job makes its topics; to write to one that is not there may make it.
        if kind == "JOIN":
            self._inbox.wait(lambda: self._ready.is_set() or None, _READY_SECONDS)
        if not self._ready.is_set():
            return
        self._say(kind, messages.control(kind, who.job, who.trainer, who.instance, who.group))
        if kind == "LEAVE":
            self._producer.flush(10)

    def evaluate(self, message: Mapping[str, Any]) -> bool:
        self._inbox.wait(lambda: self._ready.is_set() or None, _READY_SECONDS)
        if self._ready.is_set():
            self._say("EVALUATION", messages.encode(message))
        return self._ready.is_set()

    def _say(self, kind: str, value: bytes) -> None:
        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                log.warning("%s: %s could not be sent: %s", self._who.trainer, kind, error.str())

        try:
            self._producer.produce(self._topics.control, value, self._key, on_delivery=delivered)
        except ck.KafkaException as e:
            raise self._rejected(f"to write to {self._topics.control}", e.args[0]) from None
        self._producer.poll(0)

    def memory(self, length: int) -> PrivateMemory:
        return self._memories.take(length)

    def publish(self, memory: Memory, sending: Sending) -> None:
        sent = _Sent()
        beside = chunk_properties(self._who, sending, self._inbox.token)
        for chunk, properties in cut(memory.buffer, MAX_CHUNK_BYTES, beside):
            while sent.under_way >= _IN_FLIGHT:
                self._producer.poll(_POLL_SECONDS)
                self._inbox.check_interrupted()
            headers: Headers = [(name, value.encode()) for name, value in properties.items()]
            self._produce(bytes(chunk), headers, sent)
        end = time.monotonic() + _DELIVERY_SECONDS + 10
        while sent.under_way and time.monotonic() < end:
            self._producer.poll(_POLL_SECONDS)
            self._inbox.check_interrupted()
        if sent.failure is not None:
            if sent.failure.code() in _PERMANENT:
                raise self._rejected(f"to write to {self._topics.updates}", sent.failure)
            # No receipt will come for it, so it will be sent again.
            log.warning("%s: not sent: %s", self._who.trainer, sent.failure.str())

    def _produce(self, chunk: bytes, headers: Headers, sent: _Sent) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topics.updates,
                    chunk,
                    self._key,
                    headers=headers,
                    on_delivery=sent.delivered,
                )
                sent.under_way += 1
                self._producer.poll(0)
                return
            except ck.KafkaException as e:
                raise self._rejected(f"to write to {self._topics.updates}", e.args[0]) from None
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
                self._inbox.check_interrupted()

    def acknowledge(self, memory: Memory) -> None:
        """The memory is used again in any case."""

    def forget_receipts(self) -> None:
        """They are kept in the inbox alone."""

    def poll(self) -> None:
        self._producer.poll(0)

    def make_room(self) -> None:
        """The memory is this process's alone."""
        self._producer.poll(0)

    def request_model(self) -> None:
        self._asked.set()

    def request_dead_letters(self) -> None:
        self._letters.set()

    def request_status(self) -> None:
        self._status.set()

    def close(self) -> None:
        self._closed.set()
        self._producer.flush(10)
        self._reader.join(10)


class _Sent:
    """What is under way of one sending."""

    def __init__(self) -> None:
        self.under_way = 0
        self.failure: Any = None

    def delivered(self, error: Any, message: Any) -> None:
        self.under_way -= 1
        self.failure = self.failure or error
