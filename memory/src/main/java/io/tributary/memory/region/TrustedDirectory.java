// SPDX-License-Identifier: Apache-2.0

package io.tributary.memory.region;

import io.tributary.memory.os.Descriptors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/**
 * Directories whose contents nobody else can change: those of this process's user, and those that
 * root has shared with a group. A shared one belongs to root, has the set-group-id bit, and its
 * group may write; all that is made below it belongs to the group too. Stateless.
 */
public final class TrustedDirectory {

    /** What the name of each user's own region directory begins with; the user's id follows. */
    private static final String OWN = "/dev/shm/tributary-";

    /** Stands for the id of the user whose process reads it. */
    private static final String USER = "{uid}";

    /** The region directory of each user, unless another is given. */
    public static final String DEFAULT = OWN + USER;

    private static final int ROOT = 0;

    /** Stands for all ids that a user namespace does not have. */
    private static final int UNMAPPED = 65534;

    private static final Path USER_MAP = Path.of("/proc/self/uid_map");
    private static final String ALL_IDS = "4294967295";
    private static final int TYPE = 0xF000;
    private static final int TYPE_DIRECTORY = 0x4000;
    private static final int OTHERS_WRITE = 02;
    private static final int GROUP_WRITES = 020;
    private static final int STICKY = 01000;
    private static final int ALL_BITS = 07777;
    private static final int SET_GROUP = 02000;
    private static final int SHARED = 02020;
    private static final int SHARED_DIRECTORY = 02770;
    private static final int OWN_DIRECTORY = 0700;
    private static final int OWN_DIRECTORY_OF_GROUP = 02710;
    private static final int NODES_DIRECTORY_OF_GROUP = 02750;
    private static final int SHARED_FILE = 0660;
    private static final int OWN_FILE_OF_GROUP = 0640;
    private static final int OWN_FILE = 0600;

    private TrustedDirectory() {}

    private record Found(int owner, int group, int mode) {

        static Found at(Path path, LinkOption... links) throws IOException {
            Map<String, Object> found = Files.readAttributes(path, "unix:uid,gid,mode", links);
            return new Found(
                    (int) found.get("uid"), (int) found.get("gid"), (int) found.get("mode"));
        }

        /** Of somebody outside of this user namespace, which is who has made the container. */
        boolean outside() throws IOException {
            return owner == UNMAPPED
                    && !Files.readString(USER_MAP).strip().split("\\s+")[2].equals(ALL_IDS);
        }

        boolean shared() {
            return (mode & (SHARED | OTHERS_WRITE)) == SHARED;
        }

        /** In a shared directory, or below one. */
        boolean ofGroup() {
            return (mode & SET_GROUP) != 0;
        }
    }

    /** Id of the user of this process. */
    public static int user() {
        return Descriptors.user();
    }

    /** A directory as a setting names it, in which {@code {uid}} is this process's user. */
    public static Path of(String setting) {
        return Path.of(setting.replace(USER, Integer.toString(user())));
    }

    /**
     * Makes a directory where there is none.
     *
     * @throws IOException when it cannot be made, or is not to be trusted
     */
    static void make(Path directory) throws IOException {
        Path absolute = directory.toAbsolutePath();
        makeMissing(absolute);
        require(absolute);
    }

    private static void makeMissing(Path directory) throws IOException {
        if (!Files.exists(directory, LinkOption.NOFOLLOW_LINKS)) {
            Path parent = directory.getParent();
            makeMissing(parent);
            create(directory, shared(parent) ? SHARED_DIRECTORY : OWN_DIRECTORY);
        }
    }

    /**
     * Makes a directory in which this process's user alone makes files. In a shared one, the group
     * may pass through it to files whose names it knows, and read them.
     *
     * @throws IOException when it cannot be made, or is there and not so
     */
    public static void makeOwn(Path directory) throws IOException {
        Path parent = directory.toAbsolutePath().getParent();
        if (!Files.exists(directory, LinkOption.NOFOLLOW_LINKS)) {
            make(parent);
            create(
                    directory,
                    Found.at(parent, LinkOption.NOFOLLOW_LINKS).ofGroup()
                            ? OWN_DIRECTORY_OF_GROUP
                            : OWN_DIRECTORY);
        }
        Found found = Found.at(directory, LinkOption.NOFOLLOW_LINKS);
        if ((found.mode & TYPE) != TYPE_DIRECTORY
                || found.owner != user()
                || (found.mode & (OTHERS_WRITE | GROUP_WRITES)) != 0) {
            throw new IOException(
                    "%s: expected a directory of user %d that nobody else can write to, it belongs to user %d, mode %o"
                            .formatted(directory, user(), found.owner, found.mode));
        }
    }

    /** It gets its name when it has its permissions: another process may wait for it. */
    private static void create(Path directory, int mode) throws IOException {
        Path unnamed = directory.resolveSibling("." + UUID.randomUUID());
        try {
            Files.createDirectory(
                    unnamed,
                    PosixFilePermissions.asFileAttribute(
                            PosixFilePermissions.fromString("rwx------")));
        } catch (FileSystemException e) {
            // Not as the cause: whoever shows only that would show a name that nobody knows.
            throw new IOException(
                    "%s cannot be made: %s"
                            .formatted(
                                    directory,
                                    Optional.ofNullable(e.getReason())
                                            .orElse(e.getClass().getSimpleName())));
        }
        boolean named = false;
        try {
            if (mode != OWN_DIRECTORY) {
                Descriptors.setMode(unnamed, mode);
            }
            named = Descriptors.rename(unnamed, directory);
        } finally {
            if (!named) {
                // Another one may just have made it; whatever it is, it is looked at next.
                Files.delete(unnamed);
            }
        }
    }

    /**
     * Whoever owns a directory can change all that is in it, so it must be one's own, or shared.
     *
     * @throws IOException when it is another's, or everybody's, or a link to elsewhere
     */
    public static void require(Path directory) throws IOException {
        Found found = Found.at(directory, LinkOption.NOFOLLOW_LINKS);
        if ((found.mode & TYPE) != TYPE_DIRECTORY) {
            throw new IOException("it is a link or a file, expected a directory");
        }
        if (found.owner != user() && !sharedByRoot(directory.toAbsolutePath(), found)) {
            throw new IOException(
                    "it belongs to user %d, expected %d; take one of your own, or let root share it with a group: ./tributary agent --group GROUP"
                            .formatted(found.owner, user()));
        }
        if ((found.mode & OTHERS_WRITE) != 0) {
            throw new IOException(
                    "others may write to it; take that permission away, or choose one below it");
        }
    }

    /**
     * Makes a directory where there is none, for an agent. It asks more of it, since it keeps its
     * door there: no group may write to it unless root has shared it, and nobody else can put
     * another directory in its place.
     *
     * @throws IOException when it is otherwise
     */
    public static void makeForAgent(Path directory) throws IOException {
        make(directory);
        Found found = Found.at(directory, LinkOption.NOFOLLOW_LINKS);
        boolean shared = found.owner == ROOT && found.shared();
        if (!shared && (found.owner != user() || (found.mode & GROUP_WRITES) != 0)) {
            throw new IOException(
                    "%s: an agent needs a directory of its own user's to which no group can write, or the very one that root has shared"
                            .formatted(directory));
        }
        for (Path above = directory.toRealPath().getParent();
                above != null;
                above = above.getParent()) {
            Found at = Found.at(above);
            boolean writable =
                    (at.mode & (GROUP_WRITES | OTHERS_WRITE)) != 0 && (at.mode & STICKY) == 0;
            boolean known = at.owner == ROOT || at.owner == user() || at.outside();
            if (!known || writable) {
                throw new IOException(
                        "%s: others can put another directory in its place, since %s belongs to user %d, mode %o; choose one below directories of root's or your own that nobody else can write to, or that are sticky"
                                .formatted(directory, above, at.owner, at.mode & ALL_BITS));
            }
        }
    }

    /** Where a directory lies, seen from what somebody has made below it. */
    enum Place {
        /** It is this process's user's, or a group's that shares what is in it. */
        WITHIN,
        /** It is root's: region directories are below it. */
        ABOVE,
        /** It is somebody else's, who may have shared it in another way. */
        UNKNOWN
    }

    static Place place(Path directory) {
        try {
            Found found = Found.at(directory, LinkOption.NOFOLLOW_LINKS);
            boolean within =
                    (found.owner == user() || found.ofGroup()) && (found.mode & OTHERS_WRITE) == 0;
            if (within) {
                return Place.WITHIN;
            }
            return found.owner == ROOT || found.owner == user() || found.outside()
                    ? Place.ABOVE
                    : Place.UNKNOWN;
        } catch (NoSuchFileException e) {
            // What was made in it is gone with it; who has made it may be seen above.
            return Place.WITHIN;
        } catch (IOException e) {
            return Place.UNKNOWN;
        }
    }

    /** Whether it is, or lies below, a directory that root has shared, with the same group. */
    private static boolean sharedByRoot(Path directory, Found found) throws IOException {
        if (!found.shared()) {
            return false;
        }
        if (found.owner == ROOT) {
            return true;
        }
        Path parent = directory.getParent();
        Found above = parent == null ? found : Found.at(parent, LinkOption.NOFOLLOW_LINKS);
        return parent != null && above.group == found.group && sharedByRoot(parent, above);
    }

    /** Permissions of directories with regions that a node makes: its group may look into them. */
    public static int nodesMode(Path directory) throws IOException {
        return Found.at(directory, LinkOption.NOFOLLOW_LINKS).ofGroup()
                ? NODES_DIRECTORY_OF_GROUP
                : OWN_DIRECTORY;
    }

    /** Permissions of a file that is made: its user's alone, or the group's too. */
    static int mode(Path file) throws IOException {
        // A path by a descriptor, too.
        Found parent = Found.at(file.getParent());
        if (parent.shared()) {
            return SHARED_FILE;
        }
        return parent.ofGroup() ? OWN_FILE_OF_GROUP : OWN_FILE;
    }

    /** Whether root shares a directory with a group, by its name. */
    public static boolean sharedWith(Path directory, String group) throws IOException {
        return Files.isDirectory(directory, LinkOption.NOFOLLOW_LINKS)
                && Found.at(directory, LinkOption.NOFOLLOW_LINKS).shared()
                && Found.at(directory, LinkOption.NOFOLLOW_LINKS).owner == ROOT
                && Files.readAttributes(
                                directory, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                        .group()
                        .getName()
                        .equals(group);
    }

    /** Whether a group shares a directory; one that is not there yet is not shared. */
    public static boolean shared(Path directory) throws IOException {
        try {
            return Found.at(directory, LinkOption.NOFOLLOW_LINKS).shared();
        } catch (NoSuchFileException e) {
            return false;
        }
    }

    /**
     * Whether a directory looks like one of regions: it is empty, or processes have made regions in
     * it or in directories right below it.
     */
    public static boolean plausible(Path directory) {
        if (made(directory)) {
            return true;
        }
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
            boolean empty = true;
            for (Path file : files) {
                if (made(file)) {
                    return true;
                }
                // The agent's door, and the lock.
                empty &= file.getFileName().toString().startsWith(".");
            }
            return empty;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static boolean made(Path directory) {
        return Files.isDirectory(directory.resolve(Presence.DIRECTORY), LinkOption.NOFOLLOW_LINKS);
    }
}
