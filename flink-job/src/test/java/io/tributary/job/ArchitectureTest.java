// SPDX-License-Identifier: Apache-2.0

package io.tributary.job;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** Keeps the table of docs/architecture.md true: who may import whom. */
@AnalyzeClasses(packages = "io.tributary", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {

    private static final String FLINK = "org.apache.flink..";
    private static final String PAHO = "org.eclipse.paho..";

    @ArchTest
    static final ArchRule PROTOCOL_KNOWS_NOBODY =
            noClasses()
                    .that()
                    .resideInAPackage("io.tributary.protocol..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            "io.tributary.shm..",
                            "io.tributary.operators..",
                            "io.tributary.sources..",
                            "io.tributary.trainer..",
                            "io.tributary.job..",
                            FLINK,
                            "org.nd4j..");

    @ArchTest
    static final ArchRule ONE_PACKAGE_SPEAKS_TO_PAHO =
            noClasses()
                    .that()
                    .resideOutsideOfPackage("io.tributary.protocol.mqtt")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(PAHO);

    @ArchTest
    static final ArchRule SHARED_MEMORY_KNOWS_THE_PROTOCOL_ALONE =
            noClasses()
                    .that()
                    .resideInAPackage("io.tributary.shm..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            "io.tributary.operators..",
                            "io.tributary.sources..",
                            "io.tributary.trainer..",
                            "io.tributary.job..");

    @ArchTest
    static final ArchRule REGIONS_MAILBOXES_AND_AGENT_NEED_NO_FLINK =
            noClasses()
                    .that()
                    .resideInAnyPackage(
                            "io.tributary.shm.os..",
                            "io.tributary.shm.peer..",
                            "io.tributary.shm.region..",
                            "io.tributary.shm.mailbox..",
                            "io.tributary.shm.node..",
                            "io.tributary.shm.agent..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            FLINK, "io.tributary.shm.flow..", "io.tributary.shm.source..");

    @ArchTest
    static final ArchRule FEW_SPEAK_TO_NATIVE_LIBRARIES =
            noClasses()
                    .that()
                    .resideInAPackage("io.tributary..")
                    .and()
                    .resideOutsideOfPackages(
                            "io.tributary.shm.agent",
                            "io.tributary.shm.guard",
                            "io.tributary.shm.kernel",
                            "io.tributary.shm.os",
                            "io.tributary.shm.peer")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage("com.sun.jna..");

    @ArchTest
    static final ArchRule OPERATORS_KNOW_NO_TRANSPORT =
            noClasses()
                    .that()
                    .resideInAPackage("io.tributary.operators..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            "io.tributary.sources..",
                            "io.tributary.trainer..",
                            "io.tributary.job..",
                            "io.tributary.protocol.mqtt");

    @ArchTest
    static final ArchRule SOURCES_KNOW_NO_OPERATORS =
            noClasses()
                    .that()
                    .resideInAPackage("io.tributary.sources..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            "io.tributary.operators..",
                            "io.tributary.trainer..",
                            "io.tributary.job..");

    @ArchTest
    static final ArchRule TRAINERS_NEED_NO_FLINK =
            noClasses()
                    .that()
                    .resideInAPackage("io.tributary.trainer..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            FLINK,
                            "io.tributary.operators..",
                            "io.tributary.sources..",
                            "io.tributary.job..");

    @ArchTest
    static final ArchRule SOURCES_AND_TRAINERS_KNOW_NO_AGENT =
            noClasses()
                    .that()
                    .resideInAnyPackage(
                            "io.tributary.sources..",
                            "io.tributary.trainer..",
                            "io.tributary.operators..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            "io.tributary.shm.agent..",
                            "io.tributary.shm.source..",
                            "io.tributary.shm.sink..");

    @ArchTest
    static final ArchRule POLICIES_ARE_PURE =
            noClasses()
                    .that()
                    .haveNameMatching(
                            ".*\\.(Admission|RoundLifecycle|TrainerRegistry|LeafAssigner|FoldPlanner|RoundProgress)")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            "org.apache.flink.streaming..",
                            "org.apache.flink.api.common.state..",
                            "org.apache.flink.runtime..");

    @ArchTest
    static final ArchRule NO_CYCLES =
            slices().matching("io.tributary.(**)").should().beFreeOfCycles();
}
