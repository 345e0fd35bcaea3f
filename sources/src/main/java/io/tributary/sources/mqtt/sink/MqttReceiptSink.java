// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.mqtt.sink;

import io.tributary.protocol.Json;
import io.tributary.protocol.message.Receipt;
import io.tributary.protocol.message.Topics;
import io.tributary.protocol.mqtt.BrokerOptions;
import io.tributary.protocol.mqtt.MqttLink;
import io.tributary.protocol.mqtt.Publication;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.flink.api.connector.sink2.Committer;
import org.apache.flink.api.connector.sink2.CommitterInitContext;
import org.apache.flink.api.connector.sink2.CommittingSinkWriter;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.SupportsCommitter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * Sends receipts: those that promise something when the checkpoint that holds the promise has
 * completed, the others at once.
 */
public final class MqttReceiptSink implements Sink<Receipt>, SupportsCommitter<Receipt> {

    private static final long serialVersionUID = 1L;

    private final Topics topics;
    private final BrokerOptions broker;

    public MqttReceiptSink(String job, BrokerOptions broker) {
        this.topics = new Topics(job);
        this.broker = broker;
    }

    @Override
    public SinkWriter<Receipt> createWriter(WriterInitContext context) {
        MqttLink link = MqttSink.connect(broker, topics.job() + "-receipts");
        return new Writer(link);
    }

    @Override
    public Committer<Receipt> createCommitter(CommitterInitContext context) {
        return new ReceiptCommitter();
    }

    @Override
    public SimpleVersionedSerializer<Receipt> getCommittableSerializer() {
        return new ReceiptSerializer();
    }

    private Publication publication(Receipt receipt) {
        return Publication.json(topics.receipt(receipt.trainer()), receipt, false);
    }

    private final class Writer implements CommittingSinkWriter<Receipt, Receipt> {

        private final MqttLink link;
        private List<Receipt> durable = new ArrayList<>();

        Writer(MqttLink link) {
            this.link = link;
        }

        @Override
        public void write(Receipt receipt, Context context) {
            if (receipt.status().durable()) {
                durable.add(receipt);
            } else {
                link.publish(publication(receipt));
            }
        }

        @Override
        public Collection<Receipt> prepareCommit() {
            List<Receipt> prepared = durable;
            durable = new ArrayList<>();
            return prepared;
        }

        @Override
        public void flush(boolean endOfInput) {
            // What is not durable has been sent.
        }

        @Override
        public void close() {
            link.close();
        }
    }

    private final class ReceiptCommitter implements Committer<Receipt> {

        private final MqttLink link = MqttSink.connect(broker, topics.job() + "-committer");

        @Override
        public void commit(Collection<CommitRequest<Receipt>> requests) {
            link.publish(
                    requests.stream()
                            .map(CommitRequest::getCommittable)
                            .map(MqttReceiptSink.this::publication)
                            .toList());
        }

        @Override
        public void close() {
            link.close();
        }
    }

    private static final class ReceiptSerializer implements SimpleVersionedSerializer<Receipt> {

        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Receipt receipt) {
            return Json.encode(receipt);
        }

        @Override
        public Receipt deserialize(int version, byte[] bytes) throws IOException {
            return Json.decode(bytes, Receipt.class);
        }
    }
}
