// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.source.reader;

import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.Run;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.sources.base.message.Message;
import io.tributary.sources.base.message.MessageDecoder;
import io.tributary.sources.base.source.LaneSplit;
import io.tributary.transport.mqtt.BrokerOptions;
import io.tributary.transport.mqtt.BrokerRejectedException;
import io.tributary.transport.mqtt.Delivery;
import io.tributary.transport.mqtt.MqttLink;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
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
import org.apache.flink.runtime.execution.SuppressRestartsException;

/**
 * Receives on one connection for all splits of a reader. Messages that are not done are bounded by
 * MQTT's receive maximum, so a reader that stands still makes the broker wait.
 */
public final class MqttSplitReader implements SplitReader<TrainerEvent, LaneSplit> {

    /** Chunks of 1 MiB that one reader may hold: 32 MiB. */
    public static final int RECEIVE_MAXIMUM = 32;

    private static final long TICK_MILLIS = 50;
    private static final Delivery WAKE_UP = new Delivery("", new byte[0], Map.of(), () -> {});

    private final BrokerOptions broker;
    private final String clientId;
    private final IntFunction<List<String>> filters;
    private final MessageDecoder decoder;
    private final BlockingQueue<Delivery> queue = new ArrayBlockingQueue<>(2 * RECEIVE_MAXIMUM);
    private final Counter bytesIn;
    private final Counter errorsIn;
    private final End end;
    private final Set<String> splits = new LinkedHashSet<>();
    private Optional<MqttLink> link = Optional.empty();

    /**
     * What says that the job is over.
     *
     * @param topic where its plans are
     * @param run the submission that is to end
     */
    public record End(String topic, Run run) {

        boolean isSaidBy(Delivery message) {
            try {
                return message.topic().equals(topic)
                        && run.endsWith(Json.decode(message.payload(), RoundPlan.class));
            } catch (RejectedException e) {
                return false;
            }
        }
    }

    /**
     * @param filters the topic filters of a lane
     */
    public MqttSplitReader(
            BrokerOptions broker,
            String clientId,
            IntFunction<List<String>> filters,
            MessageDecoder decoder,
            End end,
            SourceReaderMetricGroup metrics) {
        this.filters = filters;
        this.broker = broker;
        this.clientId = clientId;
        this.decoder = decoder;
        this.end = end;
        this.bytesIn = metrics.getIOMetricGroup().getNumBytesInCounter();
        this.errorsIn = metrics.getNumRecordsInErrorsCounter();
    }

    @Override
    public void handleSplitsChanges(SplitsChange<LaneSplit> change) {
        if (!(change instanceof SplitsAddition)) {
            throw new UnsupportedOperationException("splits are only ever added, got " + change);
        }
        List<String> topics = new ArrayList<>(List.of(end.topic()));
        for (LaneSplit split : change.splits()) {
            decoder.begin(split.lane(), split.fresh());
            splits.add(split.splitId());
            topics.addAll(filters.apply(split.lane()));
        }
        try {
            if (link.isEmpty()) {
                link =
                        Optional.of(
                                MqttLink.connect(
                                        broker,
                                        new MqttLink.Settings(
                                                clientId, RECEIVE_MAXIMUM, Optional.empty()),
                                        this::enqueue));
            }
            link.get().subscribe(topics);
        } catch (BrokerRejectedException e) {
            // A restart would not help, and the operator must see it.
            throw new SuppressRestartsException(e);
        }
    }

    private void check() {
        try {
            link.ifPresent(MqttLink::check);
        } catch (BrokerRejectedException e) {
            throw new SuppressRestartsException(e);
        }
    }

    private void enqueue(Delivery message) {
        try {
            queue.put(message);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public RecordsWithSplitIds<TrainerEvent> fetch() throws IOException {
        check();
        RecordsBySplits.Builder<TrainerEvent> records = new RecordsBySplits.Builder<>();
        try {
            Delivery message = queue.poll(TICK_MILLIS, TimeUnit.MILLISECONDS);
            // Bounded, or a busy broker would keep what has been decoded from going on.
            for (int i = 0; i < RECEIVE_MAXIMUM && message != null && message != WAKE_UP; i++) {
                take(message, records);
                message = i + 1 < RECEIVE_MAXIMUM ? queue.poll() : WAKE_UP;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        decoder.tick((lane, event) -> add(records, event));
        return records.build();
    }

    private void take(Delivery message, RecordsBySplits.Builder<TrainerEvent> records)
            throws IOException {
        if (message.topic().equals(end.topic())) {
            if (end.isSaidBy(message)) {
                splits.forEach(records::addFinishedSplit);
            }
            message.done().run();
            return;
        }
        bytesIn.inc(message.payload().length);
        String sender = message.topic().substring(message.topic().lastIndexOf('/') + 1);
        decoder.accept(
                new Message(
                        message.topic(),
                        Topics.lane(sender),
                        -1,
                        sender,
                        message.properties(),
                        message.payload(),
                        message.done()),
                event -> add(records, event));
    }

    private void add(RecordsBySplits.Builder<TrainerEvent> records, TrainerEvent event) {
        if (event instanceof TrainerEvent.InputRejected) {
            errorsIn.inc();
        }
        // Splits have no position, so it does not matter which one a record is booked under.
        records.add(splits.iterator().next(), event);
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
