package ventes;

import io.delta.storage.HDFSLogStore;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Delta's own store for a log in a local folder, but for how it is listed.
 *
 * <p>Several times a batch Delta lists the log from its last checkpoint on. Its own store asks the system for the size and time of
 * each file of the folder first, and then leaves out all that are older: of 10,000 versions, whose log is 40,000 files, that is a second
 * and a half a batch. Here the names are looked at first.
 */
public class LocalLogStore extends HDFSLogStore {

    public LocalLogStore(Configuration hadoop) {
        super(hadoop);
    }

    /** The folder's files from this name on, in the order of their names. */
    public Iterator listFrom(Path path, Configuration hadoop) throws IOException {
        FileSystem files = path.getFileSystem(hadoop);
        Path folder = path.getParent();
        String[] names = files instanceof LocalFileSystem ? ((LocalFileSystem) files).pathToFile(folder).list() : null;
        if (names == null) { // no folder, which the super class says as Delta expects it, or not a local one
            return super.listFrom(path, hadoop);
        }
        List wanted = new ArrayList();
        for (int i = 0; i < names.length; i++) {
            boolean checksum = names[i].startsWith(".") && names[i].endsWith(".crc"); // Hadoop's, of another file
            if (!checksum && names[i].compareTo(path.getName()) >= 0) {
                wanted.add(names[i]);
            }
        }
        String[] sorted = (String[]) wanted.toArray(new String[0]);
        Arrays.sort(sorted);
        List found = new ArrayList();
        for (int i = 0; i < sorted.length; i++) {
            try {
                found.add(files.getFileStatus(new Path(folder, sorted[i])));
            } catch (FileNotFoundException gone) {
                continue; // a clean-up took it meanwhile
            }
        }
        return found.iterator();
    }
}
