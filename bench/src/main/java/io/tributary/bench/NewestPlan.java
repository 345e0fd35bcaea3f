// SPDX-License-Identifier: Apache-2.0

package io.tributary.bench;

import io.tributary.protocol.message.RoundPlan;
import io.tributary.protocol.message.RoundStatus;
import org.apache.flink.runtime.event.WatermarkEvent;
import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.LatencyMarker;
import org.apache.flink.streaming.runtime.streamrecord.RecordAttributes;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.util.OutputTag;

/** What leaves a coordinator is dropped, but for the newest plan. */
final class NewestPlan implements Output<StreamRecord<RoundStatus>> {

    RoundPlan plan;

    @Override
    public <X> void collect(OutputTag<X> tag, StreamRecord<X> record) {
        if (record.getValue() instanceof RoundPlan newest) {
            plan = newest;
        }
    }

    @Override
    public void collect(StreamRecord<RoundStatus> record) {
        // Nobody looks.
    }

    @Override
    public void emitWatermark(Watermark mark) {
        // There are none.
    }

    @Override
    public void emitWatermark(WatermarkEvent mark) {
        // There are none.
    }

    @Override
    public void emitWatermarkStatus(WatermarkStatus status) {
        // There is none.
    }

    @Override
    public void emitLatencyMarker(LatencyMarker marker) {
        // There are none.
    }

    @Override
    public void emitRecordAttributes(RecordAttributes attributes) {
        // There are none.
    }

    @Override
    public void close() {
        // Nothing is held.
    }
}
