// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;

/**
 * What a broker sends, with the payload of each PUBLISH packet put aside and a ticket for it in its
 * place. Paho copies payloads byte by byte through a synchronised stream (three times); this way it
 * copies the tickets, and a payload is read from the socket once. A ticket's bytes come out as the
 * payload comes in, so that Paho sees the connection live however slow it is. Layout of the
 * packets: MQTT 5, sections 2.1 and 3.3. For one reading thread.
 */
final class PayloadStream extends InputStream {

    private static final int PUBLISH = 3;
    private static final int BUFFER_BYTES = 16 << 10;

    private final InputStream in;
    private final Payloads payloads;
    private final long maxPacketBytes;

    /** What is ready to be given out of the packet that is being read. */
    private InputStream ready = InputStream.nullInputStream();

    /** Bytes of that packet that are passed on as they come. */
    private int rest;

    /** The payload that is being read, and how much of it and of its ticket is done. */
    private byte[] payload = new byte[0];

    private int filled;
    private ByteBuffer ticket = ByteBuffer.allocate(0);

    /**
     * @param maxPacketBytes what the broker was told; more is an error
     */
    PayloadStream(InputStream in, Payloads payloads, long maxPacketBytes) {
        this.in = new BufferedInputStream(in, BUFFER_BYTES);
        this.payloads = payloads;
        this.maxPacketBytes = maxPacketBytes;
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        if (ready.available() == 0 && rest == 0 && !ticket.hasRemaining() && !begin()) {
            return -1;
        }
        if (ready.available() > 0) {
            return ready.read(bytes, offset, length);
        }
        if (ticket.hasRemaining()) {
            bytes[offset] = nextOfTicket();
            return 1;
        }
        int read = in.read(bytes, offset, Math.min(length, rest));
        rest -= Math.max(0, read);
        return read;
    }

    /** Reads a share of the payload; with the ticket's last byte all of it is there. */
    private byte nextOfTicket() throws IOException {
        int share = payload.length / Long.BYTES * (ticket.position() + 1);
        int until = ticket.remaining() == 1 ? payload.length : share;
        fill(payload, filled, until);
        filled = until;
        if (ticket.remaining() == 1) {
            payloads.put(ticket.getLong(0), payload);
            payload = new byte[0];
        }
        return ticket.get();
    }

    @Override
    public int available() throws IOException {
        return ready.available() + in.available();
    }

    @Override
    public void close() throws IOException {
        in.close();
    }

    /**
     * Reads the beginning of a packet, of a PUBLISH all before its payload.
     *
     * @return false at the end of the stream
     * @throws SocketTimeoutException when there is no packet yet; nothing has been read then
     */
    private boolean begin() throws IOException {
        int first = in.read();
        if (first < 0) {
            return false;
        }
        ByteArrayOutputStream header = new ByteArrayOutputStream();
        int length = copyVariableByteInteger(new ByteArrayOutputStream());
        if (length > maxPacketBytes) {
            throw new IOException(
                    "expected packets of at most %d bytes, as the broker was told, got one of %d"
                            .formatted(maxPacketBytes, length));
        }
        header.write(first);
        if (first >> 4 != PUBLISH) {
            writeVariableByteInteger(header, length);
            rest = length;
        } else {
            byte[] variable = variableHeader((first >> 1 & 3) > 0);
            int payloadLength = length - variable.length;
            if (payloadLength < 0) {
                throw new IOException(
                        "expected a PUBLISH packet of %d bytes, its headers alone have %d"
                                .formatted(length, variable.length));
            }
            writeVariableByteInteger(header, variable.length + Long.BYTES);
            header.write(variable);
            payload = new byte[payloadLength];
            filled = 0;
            ticket = ByteBuffer.allocate(Long.BYTES).putLong(payloads.next()).flip();
        }
        ready = new ByteArrayInputStream(header.toByteArray());
        return true;
    }

    private byte[] variableHeader(boolean identified) throws IOException {
        ByteArrayOutputStream header = new ByteArrayOutputStream();
        byte[] topicLength = exactly(Short.BYTES);
        header.write(topicLength);
        header.write(exactly((topicLength[0] & 0xff) << 8 | topicLength[1] & 0xff));
        if (identified) {
            header.write(exactly(Short.BYTES));
        }
        header.write(exactly(copyVariableByteInteger(header)));
        return header.toByteArray();
    }

    private int copyVariableByteInteger(ByteArrayOutputStream copy) throws IOException {
        int value = 0;
        for (int shift = 0; shift < 28; shift += 7) {
            int next = exactly(1)[0];
            copy.write(next);
            value |= (next & 0x7f) << shift;
            if (next >= 0) {
                return value;
            }
        }
        throw new IOException("expected a length of at most four bytes from the broker, got more");
    }

    private static void writeVariableByteInteger(ByteArrayOutputStream out, int value) {
        int left = value;
        while (left >= 0x80) {
            out.write(left | 0x80);
            left >>>= 7;
        }
        out.write(left);
    }

    private byte[] exactly(int count) throws IOException {
        if (count > maxPacketBytes) {
            throw new IOException("a packet's part of %d bytes is longer than it".formatted(count));
        }
        byte[] bytes = new byte[count];
        fill(bytes, 0, count);
        return bytes;
    }

    /** Reads on through timeouts: inside a packet, Paho could not begin it again. */
    private void fill(byte[] bytes, int from, int until) throws IOException {
        int at = from;
        while (at < until) {
            try {
                int read = in.read(bytes, at, until - at);
                if (read < 0) {
                    throw new EOFException("the broker closed the connection inside a packet");
                }
                at += read;
            } catch (SocketTimeoutException e) {
                if (Thread.currentThread().isInterrupted()) {
                    throw e;
                }
            }
        }
    }
}
