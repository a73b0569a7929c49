package ventes;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.execution.streaming.state.KeyStateEncoderSpec;
import org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider;
import org.apache.spark.sql.execution.streaming.state.StateStore;
import org.apache.spark.sql.execution.streaming.state.StateStoreConf;
import org.apache.spark.sql.execution.streaming.state.StateStoreId;
import org.apache.spark.sql.execution.streaming.state.StateStoreIterator;
import org.apache.spark.sql.types.StructType;
import scala.Option;

/**
 * Spark's RocksDB store, of which the keys whose time is over are looked for now and then instead of in each batch.
 *
 * <p>After the rows of a batch, {@code dropDuplicatesWithinWatermark} goes through all keys that the store holds to remove those
 * that the watermark has passed; this is its only use of {@link StateStore#iterator}. Between two looks, the store shows it none:
 * what would have been removed stays until the next look. A key is thus known for as long as without this class, or longer; a
 * longer memory lets no sale in twice and drops none that Bronze does not hold. Files and checkpoints are Spark's own.
 */
public class RareEvictionStateStoreProvider extends RocksDBStateStoreProvider {

    /** A setting of Spark: milliseconds between two looks. */
    public static final String INTERVAL = "spark.sql.streaming.stateStore.ventes.evictionIntervalMs";

    private static final long NEVER = Long.MIN_VALUE;

    private long interval;
    /** By {@link System#nanoTime}. The first batch of a job looks, so that jobs that end within an interval look too. */
    private volatile long lookedAt = NEVER;

    public void init(
            StateStoreId id, StructType key, StructType value, KeyStateEncoderSpec encoder, boolean columnFamilies, StateStoreConf conf,
            Configuration hadoop, boolean manyValues, Option schemas) {
        super.init(id, key, value, encoder, columnFamilies, conf, hadoop, manyValues, schemas);
        Option given = conf.sqlConfs().get(INTERVAL);
        interval = given.isDefined() ? Long.parseLong((String) given.get()) * 1000000L : 0L;
    }

    public StateStore getStore(long version, Option checkpointId, boolean forceSnapshot, boolean loadEmpty) {
        StateStore store = super.getStore(version, checkpointId, forceSnapshot, loadEmpty);
        return (StateStore) Proxy.newProxyInstance(
                StateStore.class.getClassLoader(), new Class[] {StateStore.class}, new Shown(this, store));
    }

    boolean looksNow() {
        long now = System.nanoTime();
        if (lookedAt != NEVER && now - lookedAt < interval) {
            return false;
        }
        lookedAt = now;
        return true;
    }

    /** A store of one batch. */
    private static class Shown implements InvocationHandler {

        private final RareEvictionStateStoreProvider provider;
        private final StateStore store;

        Shown(RareEvictionStateStoreProvider provider, StateStore store) {
            this.provider = provider;
            this.store = store;
        }

        public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
            if (method.getName().equals("iterator") && !provider.looksNow()) {
                return new StateStoreIterator(scala.collection.Iterator$.MODULE$.empty(), StateStoreIterator.$lessinit$greater$default$2());
            }
            try {
                return method.invoke(store, arguments);
            } catch (InvocationTargetException thrown) {
                throw thrown.getTargetException();
            }
        }
    }
}
