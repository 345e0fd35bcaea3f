# SPDX-License-Identifier: Apache-2.0
"""One connection to an MQTT 5 broker, from CONNECT to its end."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from .chunks import MAX_CHUNK_BYTES, MIN_CHUNK_BYTES
from .connection import Options, parse_address, shown
from .errors import ArgumentError, Unreachable
from .forks import forget_in_children

log = logging.getLogger("tributary")

#: A chunk's topic and properties: names and token, and 32 metrics of 64 characters.
_BESIDE_PAYLOAD = 16 << 10
_RECEIVE_MAXIMUM = 16
_IN_FLIGHT = 16
_KEEP_ALIVE_SECONDS = 30

#: What a rejection means for a user, and that asking again is vain (MQTT 5.0, section 2.4).
_PERMANENT = {
    0x81: "it cannot read what was sent",
    0x82: "it takes what was sent for a breach of the protocol",
    0x84: "it does not speak MQTT 5; use a broker that does",
    0x85: "it does not take the client id; allow those that begin with 'tributary-'",
    0x86: "bad user name or password; check both",
    0x87: "not authorized; check its access rules: a trainer's user is its id",
    0x8A: "this client is banned",
    0x8C: "it wants another way to authenticate",
    0x8F: "it does not take the topic filter",
    0x90: "it does not take the topic's name",
    0x95: "the message is larger than it allows; raise its largest packet or message",
    0x99: "it does not take the payload's format",
    0x9A: "it keeps no retained messages, which plans and models need; allow them",
    0x9B: "it does not take QoS 1, without which updates are lost; allow it",
    0x9D: "it has moved to another address",
    0xA2: "it has no subscriptions with wildcards; allow them",
}


@dataclass(frozen=True)
class MqttUri:
    """``mqtt://HOST:PORT``, ``mqtts://…``, ``ws://HOST:PORT/PATH`` or ``wss://…``."""

    text: str
    host: str
    port: int
    path: str
    tls: bool

    @classmethod
    def parse(cls, uri: str) -> MqttUri:
        scheme = uri.split(":", 1)[0]
        _, separator, rest = uri.partition("://")
        web = scheme in ("ws", "wss")
        authority, slash, path = rest.partition("/") if web else (rest, "", "")
        if not separator:
            form = f"{scheme}://HOST:PORT{'/PATH' if web else ''}"
            raise ArgumentError(f"'{shown(uri)}': expected {form}")
        host, port = parse_address(uri, authority)
        return cls(uri, host, port, slash + path if web else "", scheme in ("mqtts", "wss"))

    @property
    def web(self) -> bool:
        return bool(self.path) or self.text.startswith("ws")


@dataclass(frozen=True)
class Will:
    """What the broker says for a client that goes without a word."""

    topic: str
    payload: bytes


class Lost(Exception):
    """The connection went while something was sent."""


class Link:
    """One connection to the broker, from CONNECT to the end. A new one is made after it."""

    def __init__(
        self,
        uri: MqttUri,
        options: Options,
        tls: ssl.SSLContext | None,
        client_id: str,
        will: Will,
        on_message: Callable[[paho.MQTTMessage], None],
    ) -> None:
        self._uri = uri
        self._broker = f"broker {uri.text}"
        self.acknowledged: dict[int, int] = {}
        self.changed = threading.Condition()
        self.over = False
        self.failure: str | None = None
        self.why = "it has not answered"
        self._publishing = ""
        self.subscribed: dict[int, list[ReasonCode]] = {}
        self.connected = False
        self.chunk_bytes = MAX_CHUNK_BYTES
        self.window = _IN_FLIGHT
        #: Whether the broker has taken a part of an update.
        self.taken = False
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            transport="websockets" if uri.web else "tcp",
            reconnect_on_failure=False,
        )
        if uri.web:
            client.ws_set_options(path=uri.path or "/")
        if tls is not None:
            client.tls_set_context(tls)
        if options.user or options.password:
            client.username_pw_set(options.user, options.password)
        client.will_set(will.topic, will.payload, qos=1)
        client.max_inflight_messages_set(_IN_FLIGHT)
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda *_: self._end("no connection")
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = lambda _client, _data, message: on_message(message)
        self.client = client
        forget_in_children(self)

    def connected_socket(self) -> Any:
        """The connection, under the frames of WebSocket if there are any."""
        found = self.client.socket()
        return getattr(found, "_socket", found)

    def open(self) -> None:
        """Connects; returns when the broker has answered, or raises OSError."""
        properties = _properties(PacketTypes.CONNECT)
        properties.ReceiveMaximum = _RECEIVE_MAXIMUM
        uri = self._uri
        try:
            self.client.connect(
                uri.host, uri.port, _KEEP_ALIVE_SECONDS, clean_start=True, properties=properties
            )
        except ssl.SSLCertVerificationError as e:
            self.failure = f"its certificate is not trusted: {e.verify_message}; give its ca_file"
            raise
        except ValueError as e:
            # Of paho: what is at the address is no WebSocket, for example.
            raise ConnectionError(str(e)) from None
        self.client.loop_start()
        with self.changed:
            self.changed.wait_for(lambda: self.connected or self.over, timeout=10)
        if not self.connected:
            self.close()
            raise ConnectionError(self.failure or self.why)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self._end("closed")

    def _end(self, why: str) -> None:
        with self.changed:
            if not self.over:
                # What comes after the first reason follows from it.
                self.why = why
            self.over = True
            self.changed.notify_all()

    def _on_connect(
        self, client: object, data: object, flags: object, code: ReasonCode, said: Any
    ) -> None:
        if code.is_failure:
            self.failure = _words(code) if code.value in _PERMANENT else None
            self._end(_words(code))
            return
        if getattr(said, "MaximumQoS", 1) < 1:
            self.failure = _PERMANENT[0x9B]
        if getattr(said, "RetainAvailable", 1) == 0:
            self.failure = _PERMANENT[0x9A]
        most = getattr(said, "MaximumPacketSize", 1 << 28) - _BESIDE_PAYLOAD
        if most < MIN_CHUNK_BYTES:
            self.failure = (
                f"it takes packets of at most {most + _BESIDE_PAYLOAD} bytes, expected "
                f"{_BESIDE_PAYLOAD + MIN_CHUNK_BYTES} or more; raise its largest packet"
            )
        if self.failure:
            self._end(self.failure)
            return
        self.chunk_bytes = min(MAX_CHUNK_BYTES, most - most % MIN_CHUNK_BYTES)
        self.window = min(_IN_FLIGHT, getattr(said, "ReceiveMaximum", _IN_FLIGHT))
        with self.changed:
            self.connected = True
            self.changed.notify_all()

    def _on_disconnect(
        self, client: object, data: object, flags: Any, code: ReasonCode, said: object
    ) -> None:
        # What paho says by itself follows from something that was said before.
        from_broker = flags.is_disconnect_packet_from_server
        if from_broker and code.is_failure and code.value in _PERMANENT:
            self.failure = self.failure or _words(code)
        self._end(f"the connection ended: {code}")

    def _on_publish(
        self, client: object, data: object, mid: int, code: ReasonCode, said: object
    ) -> None:
        with self.changed:
            self.acknowledged[mid] = code.value
            if code.is_failure and code.value in _PERMANENT:
                # A broker may end the connection next, before anybody has looked.
                self.failure = f"to publish to {self._publishing}: {_words(code)}"
            self.changed.notify_all()

    def _on_subscribe(
        self, client: object, data: object, mid: int, codes: list[ReasonCode], said: object
    ) -> None:
        with self.changed:
            self.subscribed[mid] = codes
            self.changed.notify_all()

    def subscribe(self, topics: list[str]) -> None:
        options = SubscribeOptions(qos=1)
        code, mid = self.client.subscribe([(t, options) for t in topics])
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise Lost()
        with self.changed:
            self.changed.wait_for(lambda: mid in self.subscribed or self.over, timeout=10)
            codes = self.subscribed.pop(mid, None)
        if codes is None:
            raise Lost()
        for topic, answer in zip(topics, codes, strict=False):
            if answer.is_failure:
                raise Unreachable(f"{self._broker}: to read {topic}: {_words(answer)}")

    def publish(self, topic: str, payload: Any, properties: Properties | None = None) -> int:
        self._publishing = topic
        info = self.client.publish(topic, payload, qos=1, properties=properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Lost()
        return info.mid

    def await_ack(self, mid: int, topic: str, timeout: float | None = None) -> None:
        with self.changed:
            self.changed.wait_for(lambda: mid in self.acknowledged or self.over, timeout)
            code = self.acknowledged.pop(mid, None)
        if self.failure:
            raise Unreachable(f"{self._broker}: {self.failure}")
        if code is None:
            raise Lost()
        if code >= 0x80:
            log.warning("%s: %s was not taken: code 0x%02X", self._broker, topic, code)


def _properties(kind: int) -> Properties:
    return Properties(kind)  # type: ignore[no-untyped-call]


def tls_context(uri: MqttUri, options: Options) -> ssl.SSLContext:
    """What is trusted and shown; raises ValueError for files that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
        if options.certificate:
            context.load_cert_chain(options.certificate, options.key)
        return context
    except OSError as e:
        files = ", ".join(f for f in (options.ca_file, options.certificate, options.key) if f)
        raise ArgumentError(f"'{uri.text}': expected PEM files, of {files}: {e}") from None


def user_properties(properties: Mapping[str, str]) -> Properties:
    """What stands beside a message."""
    made = _properties(PacketTypes.PUBLISH)
    made.UserProperty = list(properties.items())
    return made


def _words(code: ReasonCode) -> str:
    return f"{_PERMANENT.get(code.value, str(code))} (reason code 0x{code.value:02X})"
