// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.eclipse.paho.mqttv5.common.MqttException;
import org.eclipse.paho.mqttv5.common.MqttMessage;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;
import org.eclipse.paho.mqttv5.common.packet.MqttPublish;
import org.eclipse.paho.mqttv5.common.packet.MqttWireMessage;
import org.eclipse.paho.mqttv5.common.packet.UserProperty;
import org.junit.jupiter.api.Test;

class PayloadStreamTest {

    private static final int MAX_PACKET_BYTES = 1 << 20;

    private static MqttPublish publish(int payloadBytes, int qos, int properties)
            throws MqttException {
        byte[] payload = new byte[payloadBytes];
        for (int i = 0; i < payloadBytes; i++) {
            payload[i] = (byte) (31 * i + payloadBytes);
        }
        MqttProperties all = new MqttProperties();
        List<UserProperty> user = new ArrayList<>();
        for (int i = 0; i < properties; i++) {
            user.add(new UserProperty("key-" + i, "value-" + payloadBytes));
        }
        all.setUserProperties(user);
        MqttPublish packet =
                new MqttPublish("a/topic", new MqttMessage(payload, qos, false, all), all);
        packet.setMessageId(qos == 0 ? 0 : 77);
        return packet;
    }

    private static byte[] bytes(MqttWireMessage packet) throws MqttException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        all.writeBytes(packet.getHeader());
        all.writeBytes(packet.getPayload());
        return all.toByteArray();
    }

    /** One packet as it stands in the stream, which Paho's own parser then reads. */
    private static byte[] packet(DataInputStream in) throws IOException {
        ByteArrayOutputStream packet = new ByteArrayOutputStream();
        packet.write(in.readByte());
        int length = 0;
        int shift = 0;
        byte next;
        do {
            next = in.readByte();
            packet.write(next);
            length |= (next & 0x7f) << shift;
            shift += 7;
        } while (next < 0);
        packet.writeBytes(in.readNBytes(length));
        return packet.toByteArray();
    }

    /** A socket that gives a few bytes at a time and times out in between. */
    private static InputStream halting(byte[] bytes) {
        return new InputStream() {
            private final InputStream all = new ByteArrayInputStream(bytes);
            private int calls;

            @Override
            public int read() throws IOException {
                byte[] one = new byte[1];
                return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
            }

            @Override
            public int read(byte[] target, int offset, int length) throws IOException {
                if (calls++ % 3 == 0) {
                    throw new SocketTimeoutException("Read timed out");
                }
                return all.read(target, offset, Math.min(length, 5));
            }
        };
    }

    @Property(tries = 200)
    void pahoReadsTicketsWherePayloadsWere(
            @ForAll @Size(max = 6) List<@IntRange(max = 70_000) Integer> sizes,
            @ForAll @IntRange(max = 2) int qos,
            @ForAll @IntRange(max = 20) int properties)
            throws Exception {
        byte[] ping = {(byte) 0xd0, 0};
        ByteArrayOutputStream sent = new ByteArrayOutputStream();
        for (int size : sizes) {
            sent.writeBytes(bytes(publish(size, qos, properties)));
            sent.writeBytes(ping);
        }
        Payloads payloads = new Payloads();
        DataInputStream in =
                new DataInputStream(
                        new PayloadStream(
                                new ByteArrayInputStream(sent.toByteArray()),
                                payloads,
                                MAX_PACKET_BYTES));

        for (int size : sizes) {
            MqttPublish expected = publish(size, qos, properties);
            MqttPublish read = (MqttPublish) MqttWireMessage.createWireMessage(packet(in));
            assertThat(read.getTopicName()).isEqualTo("a/topic");
            assertThat(read.getMessageId()).isEqualTo(expected.getMessageId());
            assertThat(read.getMessage().getQos()).isEqualTo(qos);
            assertThat(read.getProperties().getUserProperties())
                    .isEqualTo(expected.getProperties().getUserProperties());
            assertThat(payloads.take(read.getMessage().getPayload()))
                    .hasValueSatisfying(
                            p -> assertThat(p).isEqualTo(expected.getMessage().getPayload()));
            assertThat(packet(in)).isEqualTo(ping);
        }
        assertThat(in.read()).isEqualTo(-1);
    }

    @Test
    void timeoutsInsideAPacketAreWaitedOut() throws Exception {
        Payloads payloads = new Payloads();
        InputStream stream =
                new PayloadStream(halting(bytes(publish(300, 1, 3))), payloads, MAX_PACKET_BYTES);
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        Set<Integer> timeouts = new HashSet<>();
        int next = 0;
        while (next >= 0) {
            try {
                next = stream.read();
                if (next >= 0) {
                    all.write(next);
                }
            } catch (SocketTimeoutException e) {
                timeouts.add(all.size());
            }
        }
        assertThat(timeouts).as("only between packets").isSubsetOf(0, all.size()).isNotEmpty();
        MqttPublish read = (MqttPublish) MqttWireMessage.createWireMessage(all.toByteArray());
        assertThat(payloads.take(read.getMessage().getPayload()).orElseThrow())
                .isEqualTo(publish(300, 1, 3).getPayload());
    }

    @Test
    void packetsThatLieAboutTheirLengthAreErrors() throws Exception {
        assertThatThrownBy(() -> read(bytes(publish(MAX_PACKET_BYTES, 1, 0))))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("expected packets of at most 1048576 bytes");
        // PUBLISH, 4 bytes in all, of which a topic of 3 takes 5 and the rest 3.
        assertThatThrownBy(() -> read(new byte[] {0x32, 4, 0, 3, 'a', 'b', 'c', 0, 1, 0}))
                .hasMessage("expected a PUBLISH packet of 4 bytes, its headers alone have 8");
        assertThatThrownBy(() -> read(new byte[] {0x32, -1, -1, -1, -1, 1}))
                .hasMessageContaining("a length of at most four bytes");
        assertThatThrownBy(() -> read(new byte[] {0x32, 20, 0, 3, 'a'}))
                .isInstanceOf(EOFException.class)
                .hasMessageContaining("inside a packet");
    }

    private static void read(byte[] sent) throws IOException {
        new PayloadStream(new ByteArrayInputStream(sent), new Payloads(), MAX_PACKET_BYTES)
                .readAllBytes();
    }

    @Test
    void aSlowPayloadShowsAsItComes() throws Exception {
        int[] given = {0};
        byte[] sent = bytes(publish(80_000, 1, 0));
        InputStream slow =
                new InputStream() {
                    @Override
                    public int read() {
                        return given[0] < sent.length ? sent[given[0]++] & 0xff : -1;
                    }

                    @Override
                    public int read(byte[] target, int offset, int length) {
                        int next = read();
                        if (next < 0) {
                            return -1;
                        }
                        target[offset] = (byte) next;
                        return 1;
                    }
                };
        InputStream stream = new PayloadStream(slow, new Payloads(), MAX_PACKET_BYTES);
        int most = 0;
        int before = 0;
        while (stream.read() >= 0) {
            most = Math.max(most, given[0] - before);
            before = given[0];
        }
        assertThat(given[0]).isEqualTo(sent.length);
        assertThat(most).as("bytes read without one to show").isLessThan(80_000 / 8 + 100);
    }

    @Test
    void whatWasLostWithAConnectionIsForgotten() {
        Payloads payloads = new Payloads();
        long lost = payloads.next();
        payloads.put(lost, new byte[] {1});
        long next = payloads.next();
        payloads.put(next, new byte[] {2});

        assertThat(payloads.take(ticket(next))).hasValue(new byte[] {2});
        assertThat(payloads.take(ticket(lost))).isEmpty();
    }

    private static byte[] ticket(long number) {
        return ByteBuffer.allocate(Long.BYTES).putLong(number).array();
    }
}
