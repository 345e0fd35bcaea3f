// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;

/**
 * Unmaps at once. JDK 17 offers this through {@code jdk.unsupported} only; the libraries that wrap
 * it today ask the user for {@code --add-opens}, which a trainer should not need.
 */
final class Unmapper {

    private static final MethodHandle INVOKE_CLEANER = find();

    private Unmapper() {}

    private static MethodHandle find() {
        try {
            Class<?> unsafe = Class.forName("sun.misc.Unsafe");
            Field instance = unsafe.getDeclaredField("theUnsafe");
            instance.setAccessible(true);
            return MethodHandles.lookup()
                    .findVirtual(
                            unsafe,
                            "invokeCleaner",
                            MethodType.methodType(void.class, ByteBuffer.class))
                    .bindTo(instance.get(null));
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    static void unmap(MappedByteBuffer buffer) {
        try {
            INVOKE_CLEANER.invoke((ByteBuffer) buffer);
        } catch (Throwable e) {
            throw new IllegalStateException("a mapping cannot be undone", e);
        }
    }
}
