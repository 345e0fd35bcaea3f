// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.kernel;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Platform;
import java.io.File;
import java.io.IOException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The native code of {@code src/main/c}, where the build has it for this platform. */
public final class NativeCode {

    private static final Logger LOG = LoggerFactory.getLogger(NativeCode.class);
    private static final String RESOURCE =
            "/io/tributary/memory/natives/" + Platform.RESOURCE_PREFIX + "/libtributary.so";

    private static final Optional<NativeLibrary> LIBRARY = load();

    private NativeCode() {}

    /** The library; empty where there is none. */
    public static Optional<NativeLibrary> library() {
        return LIBRARY;
    }

    private static Optional<NativeLibrary> load() {
        if (NativeCode.class.getResource(RESOURCE) == null) {
            LOG.info("this build has no native code for {}", Platform.RESOURCE_PREFIX);
            return Optional.empty();
        }
        try {
            File file = Native.extractFromResourcePath(RESOURCE, NativeCode.class.getClassLoader());
            return Optional.of(NativeLibrary.getInstance(file.getPath()));
        } catch (IOException | LinkageError e) {
            LOG.warn("the native code cannot be loaded: {}", e.toString());
            return Optional.empty();
        }
    }
}
