// SPDX-License-Identifier: Apache-2.0

package io.tributary.trainer;

import io.tributary.protocol.message.Names;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;

/** Says who a trainer is and how it reaches its job. */
public final class TrainerClientBuilder {

    private Optional<String> job = Optional.empty();
    private Optional<String> id = Optional.empty();
    private String group = "default";
    private Optional<TrainerTransport> transport = Optional.empty();
    private Optional<Path> directory = Optional.empty();
    private Duration receiptTimeout = Duration.ofSeconds(30);
    private Duration heartbeat = Duration.ofSeconds(5);
    private ModelEvaluator evaluator = round -> ModelEvaluator.Result.NONE;

    TrainerClientBuilder() {}

    /** The job's name. Required. */
    public TrainerClientBuilder job(String name) {
        job = Optional.of(Names.check("job", name));
        return this;
    }

    /** This trainer's id, unique in the job. Required. */
    public TrainerClientBuilder id(String trainer) {
        id = Optional.of(Names.check("trainer", trainer));
        return this;
    }

    /** The group under which the topology places it; {@code default} unless said otherwise. */
    public TrainerClientBuilder group(String tag) {
        group = Names.checkGroup(tag);
        return this;
    }

    /** How the job is reached. Required. */
    public TrainerClientBuilder transport(TrainerTransport way) {
        transport = Optional.of(way);
        return this;
    }

    /**
     * The same by its URI, for example {@code mqtt://HOST:1883}.
     *
     * @throws IllegalArgumentException when it names no transport
     */
    public TrainerClientBuilder transport(String uri) {
        return transport(TrainerTransport.of(uri));
    }

    /** Where models and updates are kept; a temporary directory unless said otherwise. */
    public TrainerClientBuilder directory(Path path) {
        directory = Optional.of(path);
        return this;
    }

    /**
     * Time without a receipt after which an update is sent again, doubled each time; 30 s unless
     * said otherwise.
     */
    public TrainerClientBuilder receiptTimeout(Duration timeout) {
        receiptTimeout = Objects.requireNonNull(timeout);
        return this;
    }

    /** Time between signs of life; 5 s unless said otherwise. */
    public TrainerClientBuilder heartbeat(Duration interval) {
        heartbeat = Objects.requireNonNull(interval);
        return this;
    }

    /**
     * Who says what a model is worth when the job asks ({@code rounds.evaluate-every}), in the
     * thread that waits for a round. Without one, the job goes on without this trainer's word.
     */
    public TrainerClientBuilder evaluator(ModelEvaluator itsEvaluator) {
        evaluator = Objects.requireNonNull(itsEvaluator);
        return this;
    }

    /**
     * Connects to the broker, or to the node agent as soon as there is one.
     *
     * @throws io.tributary.transport.mqtt.BrokerUnavailableException after the broker's patience
     */
    public TrainerClient connect() {
        return new TrainerClient(
                required("job", job),
                required("id", id),
                group,
                required("transport", transport),
                directory,
                receiptTimeout,
                heartbeat,
                evaluator);
    }

    private static <T> T required(String what, Optional<T> value) {
        return value.orElseThrow(
                () -> new IllegalStateException("a trainer needs a " + what + "; set it"));
    }
}
