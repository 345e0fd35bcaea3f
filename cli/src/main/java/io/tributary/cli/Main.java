// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli;

import io.tributary.cli.command.AgentCommand;
import io.tributary.cli.command.AggregateCommand;
import io.tributary.cli.command.CancelCommand;
import io.tributary.cli.command.ChaosCommand;
import io.tributary.cli.command.ClusterCommand;
import io.tributary.cli.command.DatapathCommand;
import io.tributary.cli.command.DemoCommand;
import io.tributary.cli.command.DoctorCommand;
import io.tributary.cli.command.PlanCommand;
import io.tributary.cli.command.RegionsCommand;
import io.tributary.cli.command.SubmitCommand;
import io.tributary.cli.command.TrainerCommand;
import io.tributary.cli.command.UsageException;
import io.tributary.job.cluster.ClusterUnavailableException;
import io.tributary.job.cluster.FlinkRestException;
import io.tributary.node.NodeRejectedException;
import io.tributary.node.NodeUnavailableException;
import io.tributary.node.agent.AgentException;
import io.tributary.protocol.RejectedException;
import io.tributary.protocol.topology.TopologyException;
import io.tributary.trainer.TrainerException;
import io.tributary.transport.kafka.KafkaUnavailableException;
import io.tributary.transport.mqtt.BrokerUnavailableException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.bridge.SLF4JBridgeHandler;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/** {@code tributary}. Exit codes: 0 done, 1 the run failed, 2 wrong usage or bad input. */
@Command(
        name = "tributary",
        description = "Eager, hierarchical aggregation of federated-learning updates on Flink.",
        mixinStandardHelpOptions = true,
        version = "tributary 0.1.0",
        scope = ScopeType.INHERIT,
        footer = {
            "",
            "Three more are the launcher's own: 'test' runs every test, 'bench' measures, 'simulate' lets many clients of a Python app train here."
        },
        subcommands = {
            DemoCommand.class,
            PlanCommand.class,
            AggregateCommand.class,
            TrainerCommand.class,
            AgentCommand.class,
            ClusterCommand.class,
            SubmitCommand.class,
            CancelCommand.class,
            ChaosCommand.class,
            RegionsCommand.class,
            DatapathCommand.class,
            DoctorCommand.class,
            CommandLine.HelpCommand.class
        })
public final class Main {

    private static final Logger LOG = LoggerFactory.getLogger(Main.class);
    private static final int FAILED = 1;
    private static final int BAD_INPUT = 2;

    @Option(
            names = "--debug",
            scope = ScopeType.INHERIT,
            description = "Shows the stack trace of an error.")
    private boolean debug;

    private Main() {}

    /** Runs a command. */
    public static void main(String[] args) {
        Runtime.getRuntime().addShutdownHook(new Thread(Main::removeEmptyLog));
        // Paho speaks to java.util.logging, and that would speak to the console.
        SLF4JBridgeHandler.removeHandlersForRootLogger();
        SLF4JBridgeHandler.install();
        // Threads of libraries may fail when the JVM ends; that belongs into the log.
        Thread.setDefaultUncaughtExceptionHandler(
                (thread, e) -> LOG.error("uncaught in thread {}", thread.getName(), e));
        System.exit(run(args));
    }

    /** The log is made before anybody knows whether there is something to say. */
    public static void removeEmptyLog() {
        String log = System.getProperty("tributary.log", "");
        try {
            if (!log.isEmpty() && Files.size(Path.of(log)) == 0) {
                Files.delete(Path.of(log));
            }
        } catch (IOException expected) {
            // It is not there.
        }
    }

    /** Runs a command and returns its exit code. */
    public static int run(String... args) {
        Main main = new Main();
        CommandLine commandLine =
                new CommandLine(main)
                        .setCaseInsensitiveEnumValuesAllowed(true)
                        .setExecutionExceptionHandler(
                                (e, command, parsed) -> main.report(e, command))
                        .setParameterExceptionHandler(
                                (e, parsed) -> {
                                    System.err.println("tributary: " + oneLine(e) + meant(e));
                                    return BAD_INPUT;
                                });
        try {
            return args.length == 0 ? usage(commandLine) : commandLine.execute(args);
        } catch (LinkageError e) {
            LOG.error("a native library cannot be used", e);
            System.err.printf(
                    "tributary: a native library cannot be used (%s); where /tmp is mounted noexec, give another: TRIBUTARY_JAVA_OPTS=-Djava.io.tmpdir=DIR%n",
                    oneLine(root(e)));
            return FAILED;
        } catch (Error e) {
            LOG.error("a command ends", e);
            System.err.println("tributary: " + oneLine(e));
            return FAILED;
        }
    }

    /** What somebody may have wanted to write. */
    private static String meant(CommandLine.ParameterException e) {
        List<String> similar =
                e instanceof CommandLine.UnmatchedArgumentException unmatched
                        ? unmatched.getSuggestions()
                        : List.of();
        return similar.isEmpty() ? "" : "; did you mean " + String.join(" or ", similar) + "?";
    }

    private static Throwable root(Throwable e) {
        Throwable at = e;
        while (at.getCause() != null) {
            at = at.getCause();
        }
        return at;
    }

    private static int usage(CommandLine commandLine) {
        commandLine.usage(System.err);
        return BAD_INPUT;
    }

    private int report(Exception e, CommandLine command) {
        Throwable telling = telling(e);
        System.err.println("tributary: " + oneLine(telling));
        if (debug) {
            e.printStackTrace();
        }
        return badInput(telling) ? BAD_INPUT : FAILED;
    }

    /** Flink wraps what went wrong many times over; the first of our own says it best. */
    private static Throwable telling(Throwable e) {
        Throwable at = e;
        while (at.getCause() != null
                && !badInput(at)
                && !(at instanceof BrokerUnavailableException)
                && !(at instanceof KafkaUnavailableException)
                && !(at instanceof ClusterUnavailableException)
                && !(at instanceof FlinkRestException)
                && !(at instanceof AgentException)
                && !(at instanceof NodeUnavailableException)) {
            at = at.getCause();
        }
        return at;
    }

    private static boolean badInput(Throwable e) {
        return e instanceof UsageException
                || e instanceof RejectedException
                || e instanceof TopologyException
                || e instanceof TrainerException
                || e instanceof NodeRejectedException
                || e instanceof IllegalArgumentException;
    }

    private static String oneLine(Throwable e) {
        boolean own =
                badInput(e)
                        || e instanceof BrokerUnavailableException
                        || e instanceof KafkaUnavailableException
                        || e instanceof ClusterUnavailableException
                        || e instanceof FlinkRestException
                        || e instanceof AgentException
                        || e instanceof NodeUnavailableException
                        || e instanceof IllegalStateException
                        || e instanceof CommandLine.ParameterException;
        if (e instanceof AccessDeniedException denied) {
            return "%s: user %s may not read it, or write to it"
                    .formatted(denied.getFile(), System.getProperty("user.name"));
        }
        String message =
                own && e.getMessage() != null
                        ? e.getMessage()
                        : e.getClass().getSimpleName() + ": " + e.getMessage();
        return message.replaceAll("\\s*\\R\\s*", " ");
    }
}
