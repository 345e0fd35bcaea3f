// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.reader;

import io.tributary.protocol.message.Arrival;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.Delivery;
import io.tributary.protocol.mqtt.MqttLink;
import io.tributary.shm.flow.LaneSplit;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;
import org.apache.flink.connector.base.source.reader.RecordsBySplits;
import org.apache.flink.connector.base.source.reader.RecordsWithSplitIds;
import org.apache.flink.connector.base.source.reader.splitreader.SplitReader;
import org.apache.flink.connector.base.source.reader.splitreader.SplitsAddition;
import org.apache.flink.connector.base.source.reader.splitreader.SplitsChange;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.groups.SourceReaderMetricGroup;

/**
 * Receives on one connection for all splits of a reader. Messages that are not done are bounded by
 * MQTT's receive maximum, so a reader that stands still makes the broker wait.
 */
public final class MqttSplitReader implements SplitReader<Arrival, LaneSplit> {

    /** Chunks of 1 MiB that one reader may hold: 32 MiB. */
    static final int RECEIVE_MAXIMUM = 32;

    private static final long TICK_MILLIS = 50;
    private static final Delivery WAKE_UP = new Delivery("", new byte[0], Map.of(), () -> {});

    private final BrokerOptions broker;
    private final String clientId;
    private final IntFunction<String> filters;
    private final MessageDecoder decoder;
    private final BlockingQueue<Delivery> queue = new ArrayBlockingQueue<>(2 * RECEIVE_MAXIMUM);
    private final Counter bytesIn;
    private final Counter errorsIn;
    private Optional<MqttLink> link = Optional.empty();
    private String anySplit = "";

    /**
     * @param filters the topic filter of a lane
     */
    public MqttSplitReader(
            BrokerOptions broker,
            String clientId,
            IntFunction<String> filters,
            MessageDecoder decoder,
            SourceReaderMetricGroup metrics) {
        this.filters = filters;
        this.broker = broker;
        this.clientId = clientId;
        this.decoder = decoder;
        this.bytesIn = metrics.getIOMetricGroup().getNumBytesInCounter();
        this.errorsIn = metrics.getNumRecordsInErrorsCounter();
    }

    @Override
    public void handleSplitsChanges(SplitsChange<LaneSplit> change) {
        if (!(change instanceof SplitsAddition)) {
            throw new UnsupportedOperationException("splits are only ever added, got " + change);
        }
        if (link.isEmpty()) {
            link =
                    Optional.of(
                            MqttLink.connect(
                                    broker,
                                    new MqttLink.Settings(
                                            clientId, RECEIVE_MAXIMUM, Optional.empty()),
                                    this::enqueue));
        }
        change.splits().forEach(decoder::begin);
        anySplit = change.splits().get(0).splitId();
        link.get()
                .subscribe(
                        change.splits().stream()
                                .map(split -> filters.apply(split.lane()))
                                .toList());
    }

    private void enqueue(Delivery message) {
        try {
            queue.put(message);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public RecordsWithSplitIds<Arrival> fetch() throws IOException {
        RecordsBySplits.Builder<Arrival> records = new RecordsBySplits.Builder<>();
        try {
            Delivery message = queue.poll(TICK_MILLIS, TimeUnit.MILLISECONDS);
            // Bounded, or a busy broker would keep what has been decoded from going on.
            for (int i = 0; i < RECEIVE_MAXIMUM && message != null && message != WAKE_UP; i++) {
                bytesIn.inc(message.payload().length);
                decoder.accept(message, arrival -> add(records, arrival));
                message = i + 1 < RECEIVE_MAXIMUM ? queue.poll() : WAKE_UP;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        decoder.tick(arrival -> add(records, arrival));
        return records.build();
    }

    private void add(RecordsBySplits.Builder<Arrival> records, Arrival arrival) {
        if (arrival instanceof Arrival.Refused) {
            errorsIn.inc();
        }
        // Splits have no position, so it does not matter which one a record is booked under.
        records.add(anySplit, arrival);
    }

    @Override
    public void wakeUp() {
        queue.offer(WAKE_UP);
    }

    @Override
    public void close() throws IOException {
        // Decoding ends first: a message that waits for room must not keep the link from closing.
        decoder.close();
        queue.clear();
        link.ifPresent(MqttLink::close);
    }
}
