// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;

/** What a source hands on: an update that is whole, a trainer's word, or why it is neither. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, include = JsonTypeInfo.As.PROPERTY, property = "arrival")
@JsonSubTypes({
    @JsonSubTypes.Type(value = Arrival.Staged.class, name = "staged"),
    @JsonSubTypes.Type(value = Arrival.Control.class, name = "control"),
    @JsonSubTypes.Type(value = Arrival.Refused.class, name = "refused"),
    @JsonSubTypes.Type(value = Arrival.Room.class, name = "room")
})
public sealed interface Arrival {

    /**
     * A whole update.
     *
     * @param claim it
     */
    record Staged(Claim claim) implements Arrival {}

    /**
     * A trainer joins, leaves or shows that it lives.
     *
     * @param message what it says
     */
    record Control(ControlMessage message) implements Arrival {}

    /**
     * An input that the source could not use.
     *
     * @param deadLetter why
     * @param answer whether the trainer should get a receipt; a chunk that came twice, for example,
     *     says nothing about its update
     */
    record Refused(DeadLetter deadLetter, boolean answer) implements Arrival {}

    /**
     * There is room now for an update that found none; its trainer is to send it again.
     *
     * @param trainer who sent it
     * @param round the round that it is for
     */
    record Room(String trainer, RoundId round) implements Arrival {}
}
