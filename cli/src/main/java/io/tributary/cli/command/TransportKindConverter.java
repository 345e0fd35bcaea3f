// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli.command;

import io.tributary.testbed.transport.TransportKind;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A transport that is started here, by its scheme. */
final class TransportKindConverter implements ITypeConverter<TransportKind> {

    @Override
    public TransportKind convert(String scheme) {
        try {
            return TransportKind.of(scheme.toLowerCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw new TypeConversionException(e.getMessage());
        }
    }
}
