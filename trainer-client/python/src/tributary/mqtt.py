# SPDX-License-Identifier: Apache-2.0
"""MQTT 5: updates go in chunks, models come in chunks."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import paho.mqtt.client as paho

from . import messages
from .chunks import ModelChunk, cut
from .connection import (
    Identity,
    Memory,
    Options,
    PrivateMemories,
    PrivateMemory,
    Sending,
    chunk_properties,
)
from .errors import Malformed, Unreachable
from .inbox import Inbox
from .mqtt_link import Link, Lost, MqttUri, Will, tls_context, user_properties
from .topics import MqttTopics

log = logging.getLogger("tributary")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_LOOK = 0.5
_STEADY_SECONDS = 5.0


class MqttConnection:
    """A trainer's connection over MQTT."""

    durable = False

    def __init__(self, who: Identity, uri: MqttUri, options: Options, inbox: Inbox) -> None:
        allowed = ("user", "password") + (("ca_file", "certificate", "key") if uri.tls else ())
        options.require(uri.text, allowed)
        self._who = who
        self._uri = uri
        self._options = options
        self._topics = MqttTopics(who.job, who.trainer)
        self._inbox = inbox
        self._tls = tls_context(uri, options) if uri.tls else None
        self._memories = PrivateMemories()
        self._filters = [self._topics.receipt, self._topics.round]
        self._dead_letters = False
        self._closed = threading.Event()
        self._connections = 0
        self._link: Link | None = None
        self._ready = threading.Condition()
        self._failure: Unreachable | None = None
        self._keeper = threading.Thread(
            target=self._keep, name=f"tributary-mqtt-{who.trainer}", daemon=True
        )
        self._keeper.start()
        try:
            with self._ready:
                self._ready.wait_for(lambda: self._link is not None or self._failure is not None)
        except BaseException:
            self._closed.set()
            raise
        if self._failure is not None:
            raise self._failure

    @property
    def connections(self) -> int:
        return self._connections

    @property
    def waits_for(self) -> str:
        return f"a receipt on {self._topics.receipt} at {self._uri.text}"

    def _new_link(self) -> Link:
        who = self._who
        return Link(
            self._uri,
            self._options,
            self._tls,
            f"tributary-{who.job}-{who.trainer}-{who.instance}",
            Will(self._topics.control, self._message("LEAVE")),
            self._accept,
        )

    def _message(self, kind: str) -> bytes:
        who = self._who
        return messages.control(kind, who.job, who.trainer, who.instance, who.group)

    def _keep(self) -> None:
        """Keeps a connection, and makes a new one after one that ended."""
        pause = _FIRST_PAUSE
        since = time.monotonic()
        while not self._closed.is_set():
            link = self._new_link()
            try:
                link.open()
                link.subscribe(self._filters)
                if self._dead_letters:
                    self._read_dead_letters(link)
                with self._ready:
                    if self._closed.is_set():
                        link.close()
                        return
                    self._link = link
                    self._connections += 1
                    self._ready.notify_all()
                self._inbox.wake()
                began = time.monotonic()
                with link.changed:
                    link.changed.wait_for(lambda link=link: link.over)  # type: ignore[misc]
                # A broker that lets a client in and out again and again is as good as away.
                if time.monotonic() - began > _STEADY_SECONDS:
                    since, pause = time.monotonic(), _FIRST_PAUSE
            except Unreachable as e:
                self._fail(e)
                link.close()
                return
            except (OSError, Lost) as e:
                link.why = str(e) or link.why
            except Exception as e:  # a thread that ends without a word would be waited for
                self._fail(Unreachable(f"broker {self._uri.text}: {type(e).__name__}: {e}"))
                link.close()
                return
            with self._ready:
                self._link = None
            link.client.loop_stop()
            if self._closed.is_set():
                return
            self._inbox.wake()
            away = time.monotonic() - since
            if link.failure or away > self._options.patience:
                state = "has been away" if self._connections else "could not be reached"
                what = link.failure or f"it {state} for {away:.0f} s: {link.why}"
                self._fail(Unreachable(f"broker {self._uri.text}: {what}"))
                return
            # Once for each time that it is away.
            level = logging.WARNING if pause == _FIRST_PAUSE else logging.INFO
            log.log(level, "broker %s: %s; connecting again", self._uri.text, link.why)
            self._closed.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _fail(self, why: Unreachable) -> None:
        with self._ready:
            self._failure = why
            self._ready.notify_all()
        self._inbox.fail(why)

    def _current(self) -> Link:
        """The connection, once there is one. Called by the trainer's thread alone."""
        while True:
            link = self._inbox.wait(lambda: self._link, _LOOK)
            if link is not None:
                return link
            if self._closed.is_set():
                raise Unreachable(f"broker {self._uri.text}: this client is closed")

    def _accept(self, message: paho.MQTTMessage) -> None:
        """Takes what the job says; on the connection's thread."""
        topic, payload = message.topic, bytes(message.payload)
        try:
            if topic == self._topics.round:
                self._inbox.plan(messages.decode_plan(payload))
            elif self._topics.is_model_chunk(topic):
                pairs = getattr(message.properties, "UserProperty", [])
                self._inbox.chunk(ModelChunk.read(dict(pairs)), payload)
            elif topic in (self._topics.status, self._topics.model):
                # What the broker keeps may be the last word of an earlier run.
                if not message.retain:
                    status = topic == self._topics.status
                    decode = messages.decode_status if status else messages.decode_model
                    self._inbox.news(decode(payload))
            elif topic == self._topics.dead_letter:
                self._inbox.dead_letter(messages.decode_dead_letter(payload))
            else:
                self._inbox.receipt(messages.decode_receipt(payload))
        except Malformed as e:
            self._inbox.ignored(f"on {topic}", e)
        except Exception as e:  # paho would end its thread without a word
            log.exception("on %s", topic)
            self._inbox.fail(e)

    def control(self, kind: str) -> None:
        try:
            # Only a JOIN waits for a broker that is away; what reconnects gives a sign of life.
            link = self._current() if kind == "JOIN" else self._link
            if link is None:
                return
            mid = link.publish(self._topics.control, self._message(kind))
            link.await_ack(mid, self._topics.control, timeout=10)
        except Lost:
            # What reconnects says so again.
            log.info("%s: %s may be lost with its connection", self._who.trainer, kind)

    def evaluate(self, message: Mapping[str, Any]) -> bool:
        try:
            link = self._current()
            topic = self._topics.control
            link.await_ack(link.publish(topic, messages.encode(message)), topic, timeout=10)
        except Lost:
            log.info("%s: an evaluation may be lost with its connection", self._who.trainer)
            return False
        return True

    def request_model(self) -> None:
        """A subscription that is made again brings what the broker keeps."""
        self._subscribe(self._topics.model_chunks)

    def request_status(self) -> None:
        self._subscribe(self._topics.status, self._topics.model)

    def _subscribe(self, *topics: str) -> None:
        self._filters = [*self._filters, *(t for t in topics if t not in self._filters)]
        # If the connection is lost, the next one subscribes to them.
        with contextlib.suppress(Lost):
            self._current().subscribe(list(topics))

    def request_dead_letters(self) -> None:
        self._dead_letters = True
        with contextlib.suppress(Lost):
            self._read_dead_letters(self._current())

    def _read_dead_letters(self, link: Link) -> None:
        """They are for people, so a broker that keeps them from trainers ends nothing."""
        try:
            link.subscribe([self._topics.dead_letter])
        except Unreachable as e:
            self._dead_letters = False
            log.warning("%s: no dead letters will come: %s", self._who.trainer, e)

    def memory(self, length: int) -> PrivateMemory:
        return self._memories.take(length)

    def publish(self, memory: Memory, sending: Sending) -> None:
        link = self._current()
        beside = chunk_properties(self._who, sending, self._inbox.token)
        under_way: deque[int] = deque()
        topic = self._topics.update
        try:
            for chunk, properties in cut(memory.buffer, link.chunk_bytes, beside):
                # A broker that keeps updates away may close with what follows unread. Its answer is
                # lost then, so each connection hears it once before more is sent.
                if len(under_way) >= (link.window if link.taken else 1):
                    link.await_ack(under_way.popleft(), topic)
                    link.taken = True
                under_way.append(link.publish(topic, bytes(chunk), user_properties(properties)))
            while under_way:
                link.await_ack(under_way.popleft(), topic)
        except Lost:
            log.info("%s: the connection went while an update was sent", self._who.trainer)

    def acknowledge(self, memory: Memory) -> None:
        """The memory is used again in any case."""

    def forget_receipts(self) -> None:
        """They are kept in the inbox alone."""

    def poll(self) -> None:
        """What comes is heard at once."""

    def make_room(self) -> None:
        """The memory is this process's alone."""

    def close(self) -> None:
        with self._ready:
            link = self._link
            self._closed.set()
            self._ready.notify_all()
        if link is not None:
            link.close()
