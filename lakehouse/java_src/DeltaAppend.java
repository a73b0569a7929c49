package ventes;

import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.delta.DeltaLog;
import org.apache.spark.sql.delta.DeltaOperations;
import org.apache.spark.sql.delta.DeltaOptions;
import org.apache.spark.sql.delta.OptimisticTransaction;
import org.apache.spark.sql.delta.VersionChecksum;
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

/**
 * Delta's idempotent append (its options txnAppId and txnVersion), step for step, but for one: what an application wrote
 * last is read from the checksum that Delta keeps with each version of a table, where it is there. Delta itself rebuilds
 * the table's state for it, which is a Spark job and a third of a micro-batch's time.
 */
public class DeltaAppend {

    /** Append the rows in one commit, unless the application has written this number or a later one. */
    public void append(SparkSession session, String path, Dataset rows, String application, long number, String metadata) {
        OptimisticTransaction transaction = DeltaLog.forTable(session, path).startTransaction();
        if (number <= last(transaction, application)) {
            return;
        }
        Map options = with(with(with((Map) Map$.MODULE$.empty(), "path", path), "txnAppId", application), "txnVersion", Long.toString(number));
        options = with(options, "userMetadata", metadata);
        Option none = Option.empty();
        Seq nothing = (Seq) Nil$.MODULE$;
        WriteIntoDelta write = new WriteIntoDelta(
            transaction.deltaLog(), SaveMode.Append, new DeltaOptions(options, SQLConf.get()), nothing, (Map) Map$.MODULE$.empty(),
            rows, none, none, false);
        DMLUtils.TaggedCommitData written = write.writeAndReturnCommitData(transaction, session, none, false);
        DeltaOperations.Write operation = new DeltaOperations.Write(
            SaveMode.Append, new Some(nothing), none, new Some(metadata), none, none, none, none, none);
        transaction.commitIfNeeded(written.actions(), operation, written.stringTags());
    }

    private static long last(OptimisticTransaction transaction, String application) {
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
