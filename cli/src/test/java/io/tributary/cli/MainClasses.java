// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.core.importer.Location;

/** All classes but those of tests, in directories or in jars. */
final class MainClasses implements ImportOption {

    @Override
    public boolean includes(Location location) {
        return new DoNotIncludeTests().includes(location) && !location.contains("-tests.jar");
    }
}
