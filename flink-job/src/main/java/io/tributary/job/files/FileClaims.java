// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.files;

import io.tributary.memory.region.TensorFile;
import io.tributary.operators.coordinator.InboundEvent;
import io.tributary.operators.model.ModelSpec;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.message.Claim;
import io.tributary.protocol.message.DeadLetter;
import io.tributary.protocol.message.PayloadRef;
import io.tributary.protocol.message.TrainerEvent;
import io.tributary.protocol.tensor.ModelLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;

/** Checks a file, as a source checks an update, and claims it where it lies. */
final class FileClaims extends RichMapFunction<Integer, InboundEvent> {

    private static final long serialVersionUID = 1L;

    /** A file is not answered. */
    private static final String NOBODY = "";

    private final String job;
    private final ModelSpec model;
    private final List<FileUpdate> files;

    private transient ModelLayout layout;

    FileClaims(String job, ModelSpec model, List<FileUpdate> files) {
        this.job = job;
        this.model = model;
        this.files = files;
    }

    @Override
    public void open(OpenContext context) {
        layout = model.layout();
    }

    @Override
    public InboundEvent map(Integer index) {
        return new InboundEvent(NOBODY, event(index));
    }

    private TrainerEvent event(Integer index) {
        FileUpdate update = files.get(index);
        String trainer = FileAggregation.trainer(index);
        try (TensorFile file = TensorFile.open(Path.of(update.path()))) {
            try {
                file.check(layout);
            } catch (RejectedException e) {
                throw new RejectedException(e.reason(), update.path() + ": " + e.getMessage());
            }
            return new TrainerEvent.UpdateStaged(
                    new Claim(
                            job,
                            trainer,
                            1,
                            0,
                            0,
                            update.samples(),
                            model.kind(),
                            0,
                            true,
                            new PayloadRef(update.path(), 0, file.header().fileLength(), 0),
                            Map.of()));
        } catch (RejectedException e) {
            return new TrainerEvent.InputRejected(
                    new DeadLetter(update.path(), trainer, 1, 0, e.reason(), e.getMessage()));
        }
    }
}
