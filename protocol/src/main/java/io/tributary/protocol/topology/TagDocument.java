// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.topology;

import com.fasterxml.jackson.core.JsonPointer;
import com.fasterxml.jackson.databind.JsonNode;
import io.tributary.protocol.Json;
import io.tributary.protocol.RejectedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A place in a JSON file, so that a mistake can be reported with file and pointer.
 *
 * @param file name of the file
 * @param pointer the place
 * @param json what stands there; a missing node where nothing does
 */
record TagDocument(String file, JsonPointer pointer, JsonNode json) {

    static TagDocument read(Path path) {
        try {
            return parse(path.toString(), Files.readAllBytes(path));
        } catch (IOException e) {
            throw new TopologyException(
                    path.toString(), "", "no readable file", "give the path of a JSON file");
        }
    }

    static TagDocument parse(String file, byte[] bytes) {
        try {
            return new TagDocument(file, JsonPointer.empty(), Json.tree(bytes));
        } catch (RejectedException e) {
            throw new TopologyException(file, "", "no JSON (" + e.getMessage() + ")", "fix it");
        }
    }

    TagDocument at(String property) {
        return new TagDocument(file, pointer.appendProperty(property), json.path(property));
    }

    TagDocument at(int index) {
        return new TagDocument(file, pointer.appendIndex(index), json.path(index));
    }

    boolean absent() {
        return json.isMissingNode() || json.isNull();
    }

    /** The elements of an array; none where it is absent. */
    List<TagDocument> elements() {
        if (absent()) {
            return List.of();
        }
        if (!json.isArray()) {
            throw wrong("expected an array");
        }
        List<TagDocument> elements = new ArrayList<>();
        for (int i = 0; i < json.size(); i++) {
            elements.add(at(i));
        }
        return elements;
    }

    /** The names of an object's fields, in file order; none where it is absent. */
    List<String> fieldNames() {
        if (absent()) {
            return List.of();
        }
        if (!json.isObject()) {
            throw wrong("expected an object");
        }
        List<String> names = new ArrayList<>();
        json.fieldNames().forEachRemaining(names::add);
        return names;
    }

    String text() {
        if (!json.isTextual() || json.textValue().isBlank()) {
            throw wrong("expected a non-empty string");
        }
        return json.textValue();
    }

    boolean flag() {
        if (absent()) {
            return false;
        }
        if (!json.isBoolean()) {
            throw wrong("expected true or false");
        }
        return json.booleanValue();
    }

    int integerOr(int ifAbsent) {
        if (absent()) {
            return ifAbsent;
        }
        if (!json.isInt()) {
            throw wrong("expected an integer");
        }
        return json.intValue();
    }

    TopologyException wrong(String allowed) {
        String found = json.isMissingNode() ? "nothing" : json.toString();
        return wrong(found.length() > 80 ? found.substring(0, 80) + "…" : found, allowed);
    }

    TopologyException wrong(String found, String allowed) {
        return new TopologyException(file, pointer.toString(), found, allowed);
    }
}
