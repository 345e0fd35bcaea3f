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
    @JsonSubTypes.Type(value = Arrival.Room.class, name = "room"),
    @JsonSubTypes.Type(value = Arrival.Located.class, name = "located")
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
     * @param sole whether no other client of its id lives, as far as the source knows for certain
     */
    record Control(ControlMessage message, boolean sole) implements Arrival {

        /** The word of a client beside which another of its id may live. */
        public Control(ControlMessage message) {
            this(message, false);
        }
    }

    /**
     * An input that the source could not use.
     *
     * @param deadLetter why
     * @param answer whether the trainer should get a receipt; a chunk that came twice, for example,
     *     says nothing about its update
     * @param attempt the sending that it is of; 0 where that cannot be told
     * @param instance the client that is answered, where it was to join; empty otherwise
     */
    record Refused(DeadLetter deadLetter, boolean answer, long attempt, String instance)
            implements Arrival {

        /** An input that was, or belongs to, an update. */
        public Refused(DeadLetter deadLetter, boolean answer, long attempt) {
            this(deadLetter, answer, attempt, "");
        }

        /** An input of which nobody is told but who reads dead letters. */
        public Refused(DeadLetter deadLetter) {
            this(deadLetter, false, 0);
        }
    }

    /**
     * There is room now for an update that found none; its trainer is to send it again.
     *
     * @param trainer who sent it
     * @param round the round that it is for
     * @param attempt the sending that found no room
     */
    record Room(String trainer, RoundId round, long attempt) implements Arrival {}

    /**
     * A source's subtask says where it is; those of the tree with its number are there too.
     *
     * @param subtask its number
     * @param parallelism how many there are of it
     * @param node its host's node
     */
    record Located(int subtask, int parallelism, String node) implements Arrival {}

    /** The same as other hosts have to call it, if it came by {@code node}. */
    default Arrival by(String node) {
        return this instanceof Staged staged
                ? new Staged(staged.claim().with(staged.claim().payload().on(node)))
                : this;
    }
}
