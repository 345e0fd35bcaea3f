// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.graph;

import io.tributary.operators.model.ModelPublisher;
import io.tributary.operators.model.PublishedModel;
import io.tributary.operators.types.StreamType;
import io.tributary.protocol.message.ModelDescription;
import io.tributary.sources.base.message.ModelChunk;
import java.io.IOException;
import java.util.List;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Cuts models into records for Kafka. After a restore the newest one is sent once more: the
 * transaction that it left in may have been aborted by a broker that waited too long, or its topic
 * may be new. A trainer that has a model ignores it when it comes again.
 */
final class ModelParts extends AbstractStreamOperator<ModelPart>
        implements OneInputStreamOperator<PublishedModel, ModelPart> {

    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(ModelParts.class);

    private final String run;
    private transient ListState<PublishedModel> newest;

    /**
     * Makes the operator.
     *
     * @param run the submission that says it, also of what an earlier one has published
     */
    ModelParts(String run) {
        this.run = run;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        newest =
                context.getOperatorStateStore()
                        .getListState(
                                new ListStateDescriptor<>(
                                        "newest", StreamType.json(PublishedModel.class)));
    }

    @Override
    public void open() throws Exception {
        super.open();
        for (PublishedModel model : newest.get()) {
            // By a timer, because nothing may be sent before all operators are open.
            getProcessingTimeService()
                    .registerTimer(
                            getProcessingTimeService().getCurrentProcessingTime(),
                            now -> again(model));
        }
    }

    private void again(PublishedModel model) throws Exception {
        boolean newestStill = model.equals(newest.get().iterator().next());
        if (newestStill && whole(model)) {
            send(model.in(run));
        }
    }

    private static boolean whole(PublishedModel model) {
        ModelDescription sent = model.description();
        try {
            ModelDescription found =
                    ModelPublisher.describe(sent.job(), sent.run(), sent.id(), model.file());
            if (found.crc32c() == sent.crc32c() && found.bytes() == sent.bytes()) {
                return true;
            }
            LOG.warn(
                    "model {} is not sent again after the restore: {} holds another by now",
                    sent.id(),
                    model.path());
        } catch (IOException | RuntimeException e) {
            LOG.warn(
                    "model {} is not sent again after the restore: {} cannot be read: {}",
                    sent.id(),
                    model.path(),
                    e.getMessage());
        }
        return false;
    }

    @Override
    public void processElement(StreamRecord<PublishedModel> element) throws Exception {
        newest.update(List.of(element.getValue()));
        send(element.getValue());
    }

    /** Emits all records of a model, the description last. */
    private void send(PublishedModel model) {
        for (int chunk = 0; chunk <= ModelChunk.count(model.description()); chunk++) {
            output.collect(new StreamRecord<>(new ModelPart(model, chunk)));
        }
    }
}
