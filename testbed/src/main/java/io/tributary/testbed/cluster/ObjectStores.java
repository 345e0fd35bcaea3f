// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.cluster;

import io.tributary.memory.region.TrustedDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.plugin.DefaultPluginManager;
import org.apache.flink.core.plugin.DirectoryBasedPluginFinder;

/**
 * Flink's file systems for object stores, in this process: they are Flink's plugins, and their
 * settings are Flink's. Both are where Flink's own commands look, or in the directory of a cluster
 * of this machine.
 */
public final class ObjectStores {

    private static final String PLUGINS = "FLINK_PLUGINS_DIR";
    private static final String CONFIGURATION = "FLINK_CONF_DIR";

    private ObjectStores() {}

    /** Where a cluster in {@code directory} has its plugins. */
    static Path plugins(Path directory) {
        return variable(PLUGINS).orElse(directory.resolve("plugins"));
    }

    private static Optional<Path> variable(String name) {
        return Optional.ofNullable(System.getenv(name)).filter(s -> !s.isBlank()).map(Path::of);
    }

    /** Plugins are code, and run as whoever calls this; anybody may make a directory in /tmp. */
    private static void requireTrust(Path cluster) throws IOException {
        for (Path each : List.of(cluster, cluster.resolve("plugins"))) {
            try {
                TrustedDirectory.require(each);
            } catch (IOException e) {
                throw new IOException(
                        "plugins are not read from %s: %s".formatted(each, e.getMessage()));
            }
        }
    }

    /**
     * Makes them known to this process.
     *
     * @param cluster the directory of a cluster of this machine
     * @throws IOException when plugins cannot be read
     */
    public static void enable(Optional<Path> cluster) throws IOException {
        Optional<Path> plugins =
                cluster.map(ObjectStores::plugins)
                        .or(() -> variable(PLUGINS))
                        .filter(Files::isDirectory);
        if (plugins.isEmpty()) {
            return;
        }
        if (variable(PLUGINS).isEmpty()) {
            requireTrust(cluster.orElseThrow());
        }
        Configuration settings =
                variable(CONFIGURATION)
                        .or(() -> cluster.map(directory -> directory.resolve("conf")))
                        .filter(conf -> Files.exists(conf.resolve("config.yaml")))
                        .map(conf -> GlobalConfiguration.loadConfiguration(conf.toString()))
                        .orElseGet(Configuration::new);
        FileSystem.initialize(
                settings,
                new DefaultPluginManager(
                        new DirectoryBasedPluginFinder(plugins.get()).findPlugins(),
                        CoreOptions.getPluginParentFirstLoaderPatterns(settings)));
    }
}
