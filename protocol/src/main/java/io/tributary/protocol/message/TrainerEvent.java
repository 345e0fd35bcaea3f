// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;

/** What a source hands on: an update that is whole, a trainer's word, or why it is neither. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, include = JsonTypeInfo.As.PROPERTY, property = "event")
@JsonSubTypes({
    @JsonSubTypes.Type(value = TrainerEvent.UpdateStaged.class, name = "update-staged"),
    @JsonSubTypes.Type(value = TrainerEvent.Control.class, name = "control"),
    @JsonSubTypes.Type(value = TrainerEvent.InputRejected.class, name = "input-rejected"),
    @JsonSubTypes.Type(value = TrainerEvent.CapacityFreed.class, name = "capacity-freed"),
    @JsonSubTypes.Type(value = TrainerEvent.SubtaskLocated.class, name = "subtask-located")
})
public sealed interface TrainerEvent {

    /**
     * A whole update.
     *
     * @param claim it
     */
    record UpdateStaged(Claim claim) implements TrainerEvent {}

    /**
     * A trainer joins, leaves or shows that it lives.
     *
     * @param message what it says
     * @param sole whether no other client of its id lives, as far as the source knows for certain
     */
    record Control(ControlMessage message, boolean sole) implements TrainerEvent {

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
    record InputRejected(DeadLetter deadLetter, boolean answer, long attempt, String instance)
            implements TrainerEvent {

        /** An input that was, or belongs to, an update. */
        public InputRejected(DeadLetter deadLetter, boolean answer, long attempt) {
            this(deadLetter, answer, attempt, "");
        }

        /** An input of which nobody is told but who reads dead letters. */
        public InputRejected(DeadLetter deadLetter) {
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
    record CapacityFreed(String trainer, RoundId round, long attempt) implements TrainerEvent {}

    /**
     * A source's subtask says where it is, and among how many it is; those of the tree with its
     * number are there too.
     *
     * @param subtask its number
     * @param parallelism how many there are of it
     * @param node its host's node; empty where there is one host
     */
    record SubtaskLocated(int subtask, int parallelism, String node) implements TrainerEvent {}

    /** The same as other hosts have to call it, if it came by {@code node}. */
    default TrainerEvent by(String node) {
        return this instanceof UpdateStaged staged
                ? new UpdateStaged(staged.claim().with(staged.claim().payload().on(node)))
                : this;
    }
}
