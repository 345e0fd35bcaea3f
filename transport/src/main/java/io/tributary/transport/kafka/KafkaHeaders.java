// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.kafka;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** String properties as Kafka headers in UTF-8. */
public final class KafkaHeaders {

    private KafkaHeaders() {}

    /** As headers, in the map's order. */
    public static List<Header> of(Map<String, String> properties) {
        return properties.entrySet().stream()
                .map(
                        p ->
                                (Header)
                                        new RecordHeader(
                                                p.getKey(),
                                                p.getValue().getBytes(StandardCharsets.UTF_8)))
                .toList();
    }

    /** As a map; of headers with one name the last counts. */
    public static Map<String, String> toMap(Iterable<Header> headers) {
        Map<String, String> map = new HashMap<>();
        headers.forEach(
                h ->
                        map.put(
                                h.key(),
                                h.value() == null
                                        ? ""
                                        : new String(h.value(), StandardCharsets.UTF_8)));
        return map;
    }
}
