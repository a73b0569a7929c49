package ventes;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.delta.DeltaLog;
import org.apache.spark.sql.delta.DeltaOperations;
import org.apache.spark.sql.delta.DeltaOptions;
import org.apache.spark.sql.delta.OptimisticTransaction;
import org.apache.spark.sql.delta.VersionChecksum;
import org.apache.spark.sql.delta.actions.AddFile;
import org.apache.spark.sql.delta.actions.SetTransaction;
import org.apache.spark.sql.delta.commands.DMLUtils;
import org.apache.spark.sql.delta.commands.WriteIntoDelta;
import org.apache.spark.sql.internal.SQLConf;
import scala.Option;
import scala.Some;
import scala.Tuple2;
import scala.collection.Iterator;
import scala.collection.immutable.Map;
import scala.collection.immutable.Map$;
import scala.collection.immutable.Nil$;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Delta's idempotent append (its options txnAppId and txnVersion), step for step, but for two things. What an application wrote
 * last is read from the checksum that Delta keeps with each version of a table, where it is there: Delta itself rebuilds
 * the table's state for it, which is a Spark job and a third of a micro-batch's time. And the rows can be looked at where they
 * lie, between their writing and the commit that makes them part of the table.
 */
public class DeltaAppend {

    private SparkSession session;
    private OptimisticTransaction transaction;
    private Map options;
    private DMLUtils.TaggedCommitData written;

    /** False when the application has written this number or a later one: there is nothing to append then. */
    public boolean begin(SparkSession session, String path, String application, long number) {
        this.session = session;
        transaction = DeltaLog.forTable(session, path).startTransaction();
        options = with(with(with((Map) Map$.MODULE$.empty(), "path", path), "txnAppId", application), "txnVersion", Long.toString(number));
        return number > last(application);
    }

    /** Write the rows into the table's folder, as files that are not part of the table yet. */
    public void write(Dataset rows) {
        Option none = Option.empty();
        WriteIntoDelta write = new WriteIntoDelta(
            transaction.deltaLog(), SaveMode.Append, new DeltaOptions(options, SQLConf.get()), (Seq) Nil$.MODULE$,
            (Map) Map$.MODULE$.empty(), rows, none, none, false);
        written = write.writeAndReturnCommitData(transaction, session, none, false);
    }

    /** The rows that were written. */
    public Dataset rows() {
        return transaction.deltaLog().createDataFrame(
            transaction.snapshot(), CollectionConverters.asScala(files()).toSeq(), false, Option.empty());
    }

    /** The values of a partition column that the files stand under. */
    public Set partitions(String column) {
        Set values = new HashSet();
        List found = files();
        for (int i = 0; i < found.size(); i++) {
            values.add(((AddFile) found.get(i)).partitionValues().apply(column));
        }
        return values;
    }

    /** Make what was written part of the table. */
    public void commit(String metadata) {
        Option none = Option.empty();
        DeltaOperations.Write operation = new DeltaOperations.Write(
            SaveMode.Append, new Some((Seq) Nil$.MODULE$), none, new Some(metadata), none, none, none, none, none);
        transaction.commitIfNeeded(written.actions(), operation, written.stringTags());
    }

    /** Take the files away again, which no commit names. */
    public void discard() throws IOException {
        List found = files();
        for (int i = 0; i < found.size(); i++) {
            Path path = ((AddFile) found.get(i)).absolutePath(transaction.deltaLog());
            path.getFileSystem(transaction.deltaLog().newDeltaHadoopConf()).delete(path, false);
        }
    }

    private List files() {
        List found = new ArrayList();
        Iterator each = written.actions().iterator();
        while (each.hasNext()) {
            Object action = each.next();
            if (action instanceof AddFile) {
                found.add(action);
            }
        }
        return found;
    }

    private long last(String application) {
        Option checksum = transaction.snapshot().checksumOpt();
        Option known = checksum.isDefined() ? ((VersionChecksum) checksum.get()).setTransactions() : checksum;
        if (known.isEmpty()) { // such as after a writer that keeps no checksums
            return transaction.txnVersion(application);
        }
        transaction.readTxn().addOne(application); // as txnVersion does: another commit of this application is a conflict
        Iterator each = ((Seq) known.get()).iterator();
        while (each.hasNext()) {
            SetTransaction one = (SetTransaction) each.next();
            if (one.appId().equals(application)) {
                return one.version();
            }
        }
        return -1L;
    }

    private static Map with(Map options, String name, String text) {
        return (Map) options.$plus(new Tuple2(name, text));
    }
}
