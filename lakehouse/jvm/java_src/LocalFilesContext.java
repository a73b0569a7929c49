package ventes;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.ChecksumFs;
import org.apache.hadoop.fs.DelegateToFileSystem;
import org.apache.hadoop.fs.FsConstants;
import org.apache.hadoop.fs.FsServerDefaults;
import org.apache.hadoop.fs.local.LocalConfigKeys;

/** {@link LocalFiles} for Hadoop's other interface, through which Spark writes its checkpoints. */
public class LocalFilesContext extends ChecksumFs {

    public LocalFilesContext(URI uri, Configuration hadoop) throws IOException, URISyntaxException {
        super(new Raw(hadoop));
    }

    /** The files without their checksums. */
    public static class Raw extends DelegateToFileSystem {

        Raw(Configuration hadoop) throws IOException, URISyntaxException {
            super(FsConstants.LOCAL_FS_URI, new LocalFiles.Raw(), hadoop, FsConstants.LOCAL_FS_URI.getScheme(), false);
        }

        public int getUriDefaultPort() {
            return -1;
        }

        public FsServerDefaults getServerDefaults() throws IOException {
            return LocalConfigKeys.getServerDefaults();
        }

        public boolean isValidName(String name) {
            return true; // a name with a colon is one here
        }
    }
}
