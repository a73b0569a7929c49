package ventes;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.FileAlreadyExistsException;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Delta's log on S3, safe for writers in many processes: a commit's file is created by the store (If-None-Match: *), or
 * not at all. Delta 4.4.0's own S3SingleDriverLogStore looks first and writes then, which is safe within one JVM only.
 *
 * Compiled by lakehouse/java_classes.py with the Janino of Spark, which reads no generics and no lambdas.
 */
public class ConditionalS3LogStore extends io.delta.storage.S3SingleDriverLogStore {

    public ConditionalS3LogStore(Configuration hadoop) {
        super(hadoop);
    }

    public void write(Path path, Iterator actions, Boolean overwrite, Configuration hadoop) throws IOException {
        if (overwrite.booleanValue()) {
            super.write(path, actions, overwrite, hadoop);
            return;
        }
        StringBuilder lines = new StringBuilder();
        while (actions.hasNext()) {
            lines.append((String) actions.next()).append("\n");
        }
        byte[] content = lines.toString().getBytes("UTF-8");
        FileSystem store = path.getFileSystem(hadoop);
        try {
            FSDataOutputStreamBuilder builder = store.createFile(path);
            // must, not opt: a Hadoop that cannot do it fails here
            builder.must("fs.option.create.conditional.overwrite", true);
            FSDataOutputStream stream = (FSDataOutputStream) builder.build();
            stream.write(content);
            stream.close();
        } catch (IOException refused) {
            if (!store.exists(path)) {
                throw refused;
            }
            // An answer may be lost, and the request sent again: what stands there may be our own. A commit names its
            // transaction, so no other writer's has the same text.
            if (!Arrays.equals(content, read(store, path))) {
                throw new FileAlreadyExistsException(path.toString());
            }
        }
    }

    private byte[] read(FileSystem store, Path path) throws IOException {
        ByteArrayOutputStream found = new ByteArrayOutputStream();
        InputStream stream = store.open(path);
        try {
            byte[] part = new byte[65536];
            int length = stream.read(part);
            while (length >= 0) {
                found.write(part, 0, length);
                length = stream.read(part);
            }
        } finally {
            stream.close();
        }
        return found.toByteArray();
    }
}
