// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.process;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A process, told apart from a later one with the same id by its start. That is counted from the
 * machine's own, so it stays the same when somebody sets the clock.
 *
 * @param pid process id
 * @param startTicks its start in clock ticks after the machine's, see proc(5), {@code starttime}
 */
public record ProcessIdentity(long pid, long startTicks) {

    private static final int STATE = 0;
    private static final int START = 19;

    /** No process has it. */
    public static final ProcessIdentity NOBODY = new ProcessIdentity(-1, 0);

    /** The process with that id. */
    public static ProcessIdentity of(long pid) {
        return find(pid).orElse(new ProcessIdentity(pid, 0));
    }

    /** Whether it still runs. */
    public boolean alive() {
        return find(pid).filter(this::equals).isPresent();
    }

    private static Optional<ProcessIdentity> find(long pid) {
        try {
            String stat = Files.readString(Path.of("/proc", Long.toString(pid), "stat"));
            // A program's name, in brackets, may have blanks and brackets in it.
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            boolean ended = fields[STATE].equals("Z") || fields[STATE].equals("X");
            return ended
                    ? Optional.empty()
                    : Optional.of(new ProcessIdentity(pid, Long.parseLong(fields[START])));
        } catch (IOException e) {
            return Optional.empty();
        }
    }
}
