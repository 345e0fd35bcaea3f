// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import java.util.Arrays;
import java.util.Optional;
import org.eclipse.paho.mqttv5.common.MqttException;

/** MQTT 5's reason codes that reject something (OASIS MQTT 5.0, section 2.4), and what to do. */
enum ReasonCode {
    UNSPECIFIED(0x80, false, "it does not say why"),
    MALFORMED(0x81, true, "it cannot read what was sent"),
    PROTOCOL_ERROR(0x82, true, "it takes what was sent for a breach of the protocol"),
    IMPLEMENTATION(0x83, false, "it does not take it, for reasons of its own"),
    VERSION(0x84, true, "it does not speak MQTT 5; use a broker that does"),
    CLIENT_ID(
            0x85, true, "it does not take the client id; allow those that begin with 'tributary-'"),
    LOGIN(0x86, true, "bad user name or password; check both"),
    NOT_AUTHORIZED(
            0x87,
            true,
            "not authorized; check its access rules: a trainer's user is its id, and rules are for one job's name"),
    UNAVAILABLE(0x88, false, "it is not available"),
    BUSY(0x89, false, "it is busy"),
    BANNED(0x8A, true, "this client is banned"),
    SHUTTING_DOWN(0x8B, false, "it is shutting down"),
    AUTHENTICATION_METHOD(0x8C, true, "it wants another way to authenticate"),
    KEEP_ALIVE(0x8D, false, "it has heard nothing for too long"),
    TAKEN_OVER(0x8E, false, "another client has connected under the same id"),
    FILTER_INVALID(0x8F, true, "it does not take the topic filter"),
    TOPIC_INVALID(0x90, true, "it does not take the topic's name"),
    PACKET_ID_IN_USE(0x91, false, "a packet id is in use"),
    PACKET_ID_UNKNOWN(0x92, false, "a packet id is not known"),
    RECEIVE_MAXIMUM(0x93, false, "too many messages were under way"),
    TOPIC_ALIAS(0x94, true, "it does not take topic aliases"),
    TOO_LARGE(
            0x95,
            true,
            "the message is larger than it allows; raise its largest packet or message"),
    RATE(0x96, false, "messages come faster than it allows"),
    QUOTA(0x97, false, "a quota of it is used up"),
    ADMINISTRATIVE(0x98, false, "somebody who runs it has ended the connection"),
    FORMAT(0x99, true, "it does not take the payload's format"),
    NO_RETAIN(0x9A, true, "it keeps no retained messages, which plans and models need; allow them"),
    NO_QOS(0x9B, true, "it does not take QoS 1, without which updates are lost; allow it"),
    ANOTHER_SERVER(0x9C, false, "it asks to use another server"),
    MOVED(0x9D, true, "it has moved to another address"),
    NO_SHARED(0x9E, true, "it has no shared subscriptions"),
    CONNECTION_RATE(0x9F, false, "connections come faster than it allows"),
    CONNECT_TIME(0xA0, false, "the connection has lasted as long as it allows"),
    NO_IDENTIFIERS(0xA1, true, "it has no subscription identifiers"),
    NO_WILDCARDS(
            0xA2, true, "it has no subscriptions with wildcards, which the job needs; allow them");

    /** From here on codes are rejections. */
    private static final int REFUSES = 0x80;

    /** What brokers of MQTT 3 say to who connects: version, client id, login, not authorized. */
    private static final ReasonCode[] OLD = {null, VERSION, CLIENT_ID, null, LOGIN, NOT_AUTHORIZED};

    private final int code;
    private final boolean permanent;
    private final String words;

    ReasonCode(int code, boolean permanent, String words) {
        this.code = code;
        this.permanent = permanent;
        this.words = words;
    }

    /** The reason of a broker's rejection; empty where its answer is none. */
    static Optional<ReasonCode> of(int code) {
        if (code < REFUSES) {
            return Optional.empty();
        }
        return Optional.of(
                Arrays.stream(values())
                        .filter(reason -> reason.code == code)
                        .findFirst()
                        .orElse(UNSPECIFIED));
    }

    /** What the broker has said; empty where the failure is none of its answers. */
    static Optional<ReasonCode> of(MqttException e) {
        int code = e.getReasonCode();
        return code > 0 && code < OLD.length
                ? Optional.ofNullable(OLD[code])
                : code <= 0xFF ? of(code) : Optional.empty();
    }

    /** Whether to ask again is vain. */
    boolean permanent() {
        return permanent;
    }

    /** For people. */
    @Override
    public String toString() {
        return "%s (reason code 0x%02X)".formatted(words, code);
    }
}
