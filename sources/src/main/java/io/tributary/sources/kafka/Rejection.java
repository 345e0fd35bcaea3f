// SPDX-License-Identifier: Apache-2.0

package io.tributary.sources.kafka;

import io.tributary.transport.kafka.WrongTopicException;
import java.io.IOException;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.errors.AuthenticationException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.protocol.Errors;

/**
 * What Kafka rejects for good: credentials, rights, settings. A restart does not mend it, so the
 * job fails with it, and the operator sees why.
 */
final class Rejection {

    private Rejection() {}

    /** Something that may be rejected. */
    @FunctionalInterface
    interface Action<T> {
        T run() throws IOException, InterruptedException;
    }

    /**
     * Does it.
     *
     * @throws SuppressRestartsException when it is rejected for good
     */
    static <T> T watch(Action<T> action) throws IOException {
        try {
            return action.run();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while Kafka was awaited", e);
        } catch (IOException | RuntimeException e) {
            if (permanent(e)) {
                throw new SuppressRestartsException(e);
            }
            throw e;
        }
    }

    private static boolean permanent(Throwable e) {
        for (Throwable at = e; at != null; at = at.getCause()) {
            if (at instanceof WrongTopicException
                    || at instanceof AuthenticationException
                    || at instanceof AuthorizationException
                    || tooLong(at)
                    || at instanceof InvalidConfigurationException
                    || at instanceof PolicyViolationException
                    || at instanceof RecordTooLargeException
                    || at instanceof ConfigException && !unresolved(at)) {
                return true;
            }
        }
        return false;
    }

    /** Kafka's producer gives the answer as text alone. */
    private static boolean tooLong(Throwable e) {
        return String.valueOf(e.getMessage())
                .contains(Errors.INVALID_TRANSACTION_TIMEOUT.message());
    }

    /** Names that are not known now may be later, when the brokers behind them are there. */
    private static boolean unresolved(Throwable e) {
        return String.valueOf(e.getMessage()).contains("bootstrap");
    }
}
