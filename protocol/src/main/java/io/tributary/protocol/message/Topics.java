// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.message;

import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;

/** The MQTT topics of one job. */
public record Topics(String job) implements Serializable {

    /** Lanes that updates are spread over; each is one split of the source. */
    public static final int LANES = 16;

    public Topics {
        Names.check("job", job);
    }

    private String root() {
        return "tributary/v1/" + job;
    }

    /** Where a trainer joins, leaves and shows that it lives. */
    public String control(String trainer) {
        return root() + "/control/" + trainer;
    }

    /** Filter for all control messages. */
    public String controlFilter() {
        return root() + "/control/+";
    }

    /** Where it is tried whether somebody may publish for the job; nobody listens. */
    public String probe() {
        return root() + "/probe";
    }

    /** Where a trainer's update chunks go. */
    public String update(String trainer) {
        return root() + "/update/" + lane(trainer) + "/" + trainer;
    }

    /** Filter for all update chunks of a lane. */
    public String updateFilter(int lane) {
        return root() + "/update/" + lane + "/+";
    }

    /** The lane of a trainer: CRC32C of its id in UTF-8, modulo {@link #LANES}. */
    public static int lane(String trainer) {
        CRC32C crc = new CRC32C();
        crc.update(trainer.getBytes(StandardCharsets.UTF_8));
        return (int) (crc.getValue() % LANES);
    }

    /** The retained round plan. */
    public String round() {
        return root() + "/round";
    }

    /** The retained description of the newest model. */
    public String model() {
        return root() + "/model";
    }

    /** The retained chunk of the newest model. */
    public String modelChunk(int chunk) {
        return root() + "/model/" + chunk;
    }

    /** Filter for all model chunks. */
    public String modelChunkFilter() {
        return root() + "/model/+";
    }

    /** Receipts of one trainer. */
    public String receipt(String trainer) {
        return root() + "/receipt/" + trainer;
    }

    /** The retained state of the round. */
    public String status() {
        return root() + "/status";
    }

    /** What was rejected, and why. */
    public String deadLetter() {
        return root() + "/dead-letter";
    }
}
