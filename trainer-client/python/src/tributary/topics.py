# SPDX-License-Identifier: Apache-2.0
"""Where messages go: MQTT topics, Kafka topics, and the lane of a trainer."""

from __future__ import annotations

from dataclasses import dataclass

from crc32c import crc32c

LANES = 16
BUCKETS = 256


def lane(trainer: str) -> int:
    """The lane of a trainer's updates."""
    return crc32c(trainer.encode()) % LANES


def bucket(trainer: str) -> int:
    """The bucket of a trainer, by which a share of all trainers is named."""
    return crc32c(trainer.encode()) % BUCKETS


@dataclass(frozen=True)
class MqttTopics:
    """The MQTT topics of a job, as one of its trainers sees them."""

    job: str
    trainer: str

    @property
    def _root(self) -> str:
        return f"tributary/v1/{self.job}"

    @property
    def control(self) -> str:
        return f"{self._root}/control/{self.trainer}"

    @property
    def update(self) -> str:
        return f"{self._root}/update/{lane(self.trainer)}/{self.trainer}"

    @property
    def round(self) -> str:
        return f"{self._root}/round"

    @property
    def receipt(self) -> str:
        return f"{self._root}/receipt/{self.trainer}"

    @property
    def model_chunks(self) -> str:
        return f"{self._root}/model/+"

    @property
    def dead_letter(self) -> str:
        return f"{self._root}/dead-letter"

    @property
    def status(self) -> str:
        return f"{self._root}/status"

    @property
    def model(self) -> str:
        return f"{self._root}/model"

    def is_model_chunk(self, topic: str) -> bool:
        """Whether a message with that topic is a chunk of a model."""
        return topic.startswith(f"{self._root}/model/")


@dataclass(frozen=True)
class KafkaTopics:
    """The Kafka topics of a job."""

    job: str

    @property
    def control(self) -> str:
        return f"{self.job}.control"

    @property
    def updates(self) -> str:
        return f"{self.job}.updates"

    @property
    def rounds(self) -> str:
        return f"{self.job}.rounds"

    @property
    def model(self) -> str:
        return f"{self.job}.model"

    @property
    def receipts(self) -> str:
        return f"{self.job}.receipts"

    @property
    def dead_letters(self) -> str:
        return f"{self.job}.dead-letters"

    @property
    def status(self) -> str:
        return f"{self.job}.status"
