// SPDX-License-Identifier: Apache-2.0

package io.tributary.job.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What Tributary asks of Flink's REST API. Thread-safe. */
public final class FlinkRest {

    /** The deepest cause, or one of our own before it. */
    private static final Pattern CAUSE =
            Pattern.compile("(?:Caused by: )?([\\w.$]+(?:Exception|Error)): ([^\\n]*)");

    private final String address;
    private final HttpClient http =
            HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();

    /**
     * @param address {@code HOST:PORT} of a job manager's REST API
     */
    public FlinkRest(String address) {
        this.address = address;
    }

    /** The web UI. */
    public String url() {
        return "http://" + address;
    }

    /**
     * A job as Flink lists it.
     *
     * @param id Flink's id
     * @param name its name
     * @param state its state
     */
    public record Job(String id, String name, String state) {

        /** Whether it has not ended. */
        public boolean live() {
            return !List.of("FINISHED", "FAILED", "CANCELED").contains(state);
        }
    }

    /** All jobs, those that have ended too. */
    public List<Job> jobs() {
        List<Job> jobs = new ArrayList<>();
        for (JsonNode job : get("/jobs/overview").path("jobs")) {
            jobs.add(
                    new Job(
                            job.path("jid").asText(),
                            job.path("name").asText(),
                            job.path("state").asText()));
        }
        return jobs;
    }

    /** What a job has said of itself when it was submitted, by name: its global job parameters. */
    public Map<String, String> parameters(String job) {
        Map<String, String> parameters = new LinkedHashMap<>();
        get("/jobs/" + job + "/config")
                .at("/execution-config/user-config")
                .properties()
                .forEach(said -> parameters.put(said.getKey(), said.getValue().asText()));
        return parameters;
    }

    /** A job's state. */
    public String state(String job) {
        return get("/jobs/" + job).path("state").asText();
    }

    /** Ids of the task managers that are registered. */
    public List<String> taskManagers() {
        List<String> ids = new ArrayList<>();
        for (JsonNode tm : get("/taskmanagers").path("taskmanagers")) {
            ids.add(tm.path("id").asText());
        }
        return ids;
    }

    /** Slots in all, and those that are free. */
    public Map<String, Integer> slots() {
        JsonNode overview = get("/overview");
        return Map.of(
                "total", overview.path("slots-total").asInt(),
                "free", overview.path("slots-available").asInt());
    }

    /** Why a job has failed or restarted the last time, in one line; empty where it has not. */
    public Optional<String> failure(String job) {
        JsonNode exceptions = get("/jobs/" + job + "/exceptions");
        JsonNode newest = exceptions.path("exceptionHistory").path("entries").path(0);
        return newest.isMissingNode()
                ? Optional.empty()
                : Optional.of(reason(newest.path("stacktrace").asText()));
    }

    /** Whether all tasks of a job run, or have ended well. */
    public boolean running(String job) {
        for (JsonNode vertex : get("/jobs/" + job).path("vertices")) {
            if (!List.of("RUNNING", "FINISHED").contains(vertex.path("status").asText())) {
                return false;
            }
        }
        return true;
    }

    /** A metric of an operator, summed over its subtasks; 0 while none has it. */
    public long metric(String job, String operator, String metric) {
        long sum = 0;
        for (JsonNode vertex : get("/jobs/" + job).path("vertices")) {
            // A vertex is named after all operators in it, the first one first.
            if (vertex.path("name").asText().split(" -> ")[0].equals(operator)) {
                String path =
                        "/jobs/%s/vertices/%s/subtasks/metrics?agg=sum&get=%s.%s"
                                .formatted(job, vertex.path("id").asText(), operator, metric);
                for (JsonNode each : get(path)) {
                    sum += each.path("sum").asLong();
                }
            }
        }
        return sum;
    }

    /** The answer to a GET. */
    public JsonNode get(String path) {
        return send(HttpRequest.newBuilder(URI.create(url() + path)).GET());
    }

    /** Uploads a jar, and returns its id. */
    public String upload(Path jar) throws IOException {
        String boundary = UUID.randomUUID().toString();
        String head =
                "--%s\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"%s\"\r\nContent-Type: application/x-java-archive\r\n\r\n"
                        .formatted(boundary, jar.getFileName());
        String tail = "\r\n--%s--\r\n".formatted(boundary);
        JsonNode answer =
                send(
                        HttpRequest.newBuilder(URI.create(url() + "/jars/upload"))
                                .header("Content-Type", "multipart/form-data; boundary=" + boundary)
                                .POST(
                                        BodyPublishers.concat(
                                                BodyPublishers.ofString(head),
                                                BodyPublishers.ofFile(jar),
                                                BodyPublishers.ofString(tail))));
        return Path.of(answer.path("filename").asText()).getFileName().toString();
    }

    /** Runs a jar's main class on the job manager, and returns the job's id. */
    public String run(String jar, List<String> arguments, Optional<String> savepoint) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("programArgsList", arguments);
        savepoint.ifPresent(path -> body.put("savepointPath", path));
        return send(post("/jars/" + jar + "/run", body)).path("jobid").asText();
    }

    /** Forgets a jar. */
    public void delete(String jar) {
        send(HttpRequest.newBuilder(URI.create(url() + "/jars/" + jar)).DELETE());
    }

    /**
     * Lets a job have at most so many subtasks of each operator, and fewer where there are not
     * enough slots. What runs alone goes on alone. Needs Flink's adaptive scheduler.
     *
     * @throws FlinkRestException when the job has another scheduler
     */
    public void rescale(String job, int parallelism) {
        Map<String, Object> wanted = new LinkedHashMap<>();
        for (JsonNode vertex : get("/jobs/" + job).path("vertices")) {
            int most = Math.min(parallelism, vertex.path("maxParallelism").asInt());
            wanted.put(
                    vertex.path("id").asText(),
                    Map.of("parallelism", Map.of("lowerBound", 1, "upperBound", most)));
        }
        send(json("PUT", "/jobs/" + job + "/resource-requirements", wanted));
    }

    /** How many subtasks the operator with the most of them has. */
    public int parallelism(String job) {
        int most = 0;
        for (JsonNode vertex : get("/jobs/" + job).path("vertices")) {
            most = Math.max(most, vertex.path("parallelism").asInt());
        }
        return most;
    }

    /** Ends a job. */
    public void cancel(String job) {
        send(
                HttpRequest.newBuilder(URI.create(url() + "/jobs/" + job + "?mode=cancel"))
                        .method("PATCH", BodyPublishers.noBody()));
    }

    /** Makes a savepoint and ends the job with it; returns where it is. */
    public String stopWithSavepoint(String job, String directory) throws InterruptedException {
        String trigger =
                send(post("/jobs/" + job + "/stop", Map.of("targetDirectory", directory)))
                        .path("request-id")
                        .asText();
        return await("/jobs/%s/savepoints/%s".formatted(job, trigger)).path("location").asText();
    }

    /** Makes a checkpoint besides those that are due, and returns its id. */
    public long checkpoint(String job) throws InterruptedException {
        String trigger =
                send(post("/jobs/" + job + "/checkpoints", Map.of())).path("request-id").asText();
        return await("/jobs/%s/checkpoints/%s".formatted(job, trigger))
                .path("checkpointId")
                .asLong();
    }

    /** Waits for an operation, and returns what came of it. */
    private JsonNode await(String operation) throws InterruptedException {
        JsonNode answer = get(operation);
        while (!answer.path("status").path("id").asText().equals("COMPLETED")) {
            Thread.sleep(100);
            answer = get(operation);
        }
        JsonNode result = answer.path("operation");
        if (result.has("failure-cause")) {
            throw new FlinkRestException(
                    reason(result.path("failure-cause").path("stack-trace").asText()));
        }
        return result;
    }

    private HttpRequest.Builder post(String path, Object body) {
        return json("POST", path, body);
    }

    private HttpRequest.Builder json(String method, String path, Object body) {
        return HttpRequest.newBuilder(URI.create(url() + path))
                .header("Content-Type", "application/json")
                .method(method, BodyPublishers.ofByteArray(Json.encode(body)));
    }

    private JsonNode send(HttpRequest.Builder request) {
        try {
            HttpResponse<byte[]> response =
                    http.send(
                            request.timeout(Duration.ofMinutes(2)).build(),
                            BodyHandlers.ofByteArray());
            if (response.statusCode() >= 300) {
                throw new FlinkRestException(
                        reason(new String(response.body(), StandardCharsets.UTF_8)));
            }
            return Json.tree(response.body().length == 0 ? "{}".getBytes() : response.body());
        } catch (IOException e) {
            throw new ClusterUnavailableException(address, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for Flink", e);
        }
    }

    /** Of a stack trace the first cause that is our own, or else the deepest. */
    private static String reason(String text) {
        Matcher causes = CAUSE.matcher(text.replace("\\n", "\n").replace("\\t", "\t"));
        String deepest = text.lines().findFirst().orElse("");
        while (causes.find()) {
            deepest = causes.group(2);
            if (causes.group(1).startsWith("io.tributary")
                    || causes.group(1).endsWith("IllegalArgumentException")) {
                return deepest;
            }
        }
        return deepest;
    }
}
