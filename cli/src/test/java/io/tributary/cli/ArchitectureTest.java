// SPDX-License-Identifier: Apache-2.0

package io.tributary.cli;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.type;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import io.tributary.operators.coordinator.Policy;
import java.time.Instant;

/** Keeps the table of docs/architecture.md true: which module may use which, and which library. */
@AnalyzeClasses(packages = "io.tributary", importOptions = MainClasses.class)
class ArchitectureTest {

    @ArchTest
    static final ArchRule MODULES =
            layeredArchitecture()
                    .consideringOnlyDependenciesInLayers()
                    .layer("protocol")
                    .definedBy("io.tributary.protocol..")
                    .layer("transport")
                    .definedBy("io.tributary.transport..")
                    .layer("memory")
                    .definedBy("io.tributary.memory..")
                    .layer("node")
                    .definedBy("io.tributary.node..")
                    .layer("datapath")
                    .definedBy("io.tributary.datapath..")
                    .layer("sources")
                    .definedBy("io.tributary.sources..")
                    .layer("shm-connector")
                    .definedBy("io.tributary.shm..")
                    .layer("operators")
                    .definedBy("io.tributary.operators..")
                    .layer("trainer-client")
                    .definedBy("io.tributary.trainer..")
                    .layer("flink-job")
                    .definedBy("io.tributary.job..")
                    .layer("testbed")
                    .definedBy("io.tributary.testbed..")
                    .layer("cli")
                    .definedBy("io.tributary.cli..")
                    .whereLayer("protocol")
                    .mayNotAccessAnyLayer()
                    .whereLayer("transport")
                    .mayOnlyAccessLayers("protocol")
                    .whereLayer("memory")
                    .mayOnlyAccessLayers("protocol")
                    .whereLayer("node")
                    .mayOnlyAccessLayers("protocol", "memory")
                    .whereLayer("datapath")
                    .mayOnlyAccessLayers("protocol", "memory", "node")
                    .whereLayer("sources")
                    .mayOnlyAccessLayers("protocol", "transport", "memory", "node")
                    .whereLayer("shm-connector")
                    .mayOnlyAccessLayers("protocol", "memory", "node", "sources")
                    .whereLayer("operators")
                    .mayOnlyAccessLayers("protocol", "memory", "node")
                    .whereLayer("trainer-client")
                    .mayOnlyAccessLayers("protocol", "transport", "memory")
                    .whereLayer("flink-job")
                    .mayOnlyAccessLayers(
                            "protocol",
                            "transport",
                            "memory",
                            "node",
                            "sources",
                            "shm-connector",
                            "operators")
                    .whereLayer("testbed")
                    .mayOnlyAccessLayers(
                            "protocol",
                            "transport",
                            "memory",
                            "node",
                            "sources",
                            "operators",
                            "trainer-client",
                            "flink-job");

    /** What all transports share in Flink knows none of them. */
    @ArchTest
    static final ArchRule BASE_KNOWS_NO_TRANSPORT =
            noClasses()
                    .that()
                    .resideInAPackage("io.tributary.sources.base..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            "io.tributary.sources.mqtt..",
                            "io.tributary.sources.kafka..",
                            "io.tributary.transport.mqtt..",
                            "io.tributary.transport.kafka..");

    /** What trainers link, and what runs beside the job, needs no Flink. */
    @ArchTest
    static final ArchRule NO_FLINK_BELOW_SOURCES =
            noClasses()
                    .that()
                    .resideInAnyPackage(
                            "io.tributary.protocol..",
                            "io.tributary.transport..",
                            "io.tributary.memory..",
                            "io.tributary.node..",
                            "io.tributary.datapath..",
                            "io.tributary.trainer..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage("org.apache.flink..");

    @ArchTest
    static final ArchRule ONE_PACKAGE_SPEAKS_TO_PAHO =
            noClasses()
                    .that()
                    .resideOutsideOfPackage("io.tributary.transport.mqtt")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage("org.eclipse.paho..");

    @ArchTest
    static final ArchRule FEW_SPEAK_TO_NATIVE_LIBRARIES =
            noClasses()
                    .that()
                    .resideInAPackage("io.tributary..")
                    .and()
                    .resideOutsideOfPackages(
                            "io.tributary.memory.guard",
                            "io.tributary.memory.kernel",
                            "io.tributary.memory.os",
                            "io.tributary.memory.peer",
                            "io.tributary.node.agent",
                            "io.tributary.node.bpf",
                            "io.tributary.datapath.kernel")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage("com.sun.jna..");

    /** A policy gets the time as an argument, and says what is to be done. */
    @ArchTest
    static final ArchRule OPERATORS_READ_ONE_CLOCK =
            noClasses()
                    .that()
                    .resideInAPackage("io.tributary.operators..")
                    .and()
                    .resideOutsideOfPackage("io.tributary.operators.clock..")
                    .should()
                    .callMethod(System.class, "nanoTime")
                    .orShould()
                    .callMethod(System.class, "currentTimeMillis")
                    .orShould()
                    .callMethod(Instant.class, "now")
                    .orShould()
                    .callMethod(Thread.class, "sleep", long.class)
                    .because("time is injected, and nobody waits in an operator");

    @ArchTest
    static final ArchRule POLICIES_READ_NO_CLOCK_AND_DO_NO_IO =
            noClasses()
                    .that()
                    .areAnnotatedWith(Policy.class)
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            "org.apache.flink..",
                            "io.tributary.node..",
                            "io.tributary.memory..",
                            "java.io..",
                            "java.net..",
                            "java.nio.file..",
                            "java.nio.channels..")
                    .orShould()
                    .callMethod(System.class, "nanoTime")
                    .orShould()
                    .callMethod(System.class, "currentTimeMillis")
                    .orShould()
                    .callMethod(java.time.Instant.class, "now")
                    .orShould()
                    .dependOnClassesThat()
                    .areAssignableTo(java.time.Clock.class)
                    .orShould()
                    .dependOnClassesThat()
                    .areAssignableTo(Thread.class);

    @ArchTest
    static final ArchRule ALGORITHMS_ARE_ARITHMETIC =
            classes()
                    .that()
                    .resideInAnyPackage(
                            "io.tributary.operators.rule", "io.tributary.operators.optimizer")
                    .should()
                    .onlyDependOnClassesThat(
                            resideInAnyPackage(
                                            "io.tributary.operators.rule",
                                            "io.tributary.operators.optimizer",
                                            "io.tributary.protocol..",
                                            // Of a wrong name, the right one.
                                            "org.apache.commons.text.similarity",
                                            "java.lang..",
                                            "java.util..")
                                    .or(type(java.io.Serializable.class))
                                    // A formula that the kernel has in C too.
                                    .or(type(io.tributary.memory.kernel.AdaptiveStep.class)));

    @ArchTest
    static final ArchRule NO_CYCLES =
            slices().matching("io.tributary.(**)").should().beFreeOfCycles();
}
