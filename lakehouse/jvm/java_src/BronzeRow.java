package ventes;

import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF6;
import org.apache.spark.sql.expressions.UserDefinedFunction;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataType;

/**
 * A Kafka message as Bronze's stream sees it: what it says, and what the clocks make of it. The SQL function lire_vente.
 *
 * All of it in one class that is compiled once, instead of in expressions. The batch's time goes into date_ingestion from
 * here too: Spark would write the number into the code that it generates, and every batch have that compiled anew.
 *
 * Columns: those of lakehouse/bronze.py, DECODED. Compiled by lakehouse/java_classes.py with the Janino of Spark, which
 * reads no generics and no lambdas.
 */
public class BronzeRow implements UDF6 {

    private static final long DAY = 86400L * 1000000L;
    private static final long FIRST_DAY = LocalDate.of(1, 1, 1).toEpochDay(), LAST_DAY = LocalDate.of(9999, 12, 31).toEpochDay();
    private static final int JOUR = SaleDecoder.COLUMNS, TARDIF = JOUR + 1, ANCIEN = JOUR + 2, HORLOGE = JOUR + 3;
    private static final int MOTIF = JOUR + 4, EXPLICATION = JOUR + 5, INGERE = JOUR + 6;
    private static final String REFUSED = "a_expliquer";
    private static final String FUTURE = "horodatage_futur";
    private static final DateTimeFormatter SECONDS = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss'Z'").withZone(ZoneOffset.UTC);

    private ZoneId zone = ZoneOffset.UTC;

    /**
     * Make it known to SQL by this name; what it returns is written as DDL.
     *
     * Here, not in Python: which of the methods called udf a call from there reaches depends on the order in which Java
     * happens to list them.
     */
    public void register(SparkSession session, String name, String returned) {
        UserDefinedFunction function = functions.udf((UDF6) this, DataType.fromDDL(returned));
        // said to be what it is not: a filter on what it returns would otherwise be pushed below it, and run it twice
        session.udf().register(name, function.asNondeterministic());
    }

    /** Times and durations in microseconds; the zone, in which a day begins, by its name. */
    public Object call(Object value, Object brokerTime, Object batchTime, Object delayed, Object tolerated, Object zoneName)
        throws Exception {
        long broker = ((Long) brokerTime).longValue();
        long batch = ((Long) batchTime).longValue();
        long delay = ((Long) delayed).longValue();
        long tolerance = ((Long) tolerated).longValue();
        Object[] row = new Object[INGERE + 1];
        row[INGERE] = Long.valueOf(batch);
        Object[] sale = SaleDecoder.read((byte[]) value);
        if (sale == null) {
            return refused(row, day(broker, (String) zoneName), batch, REFUSED, null);
        }
        long event = ((Long) sale[SaleDecoder.MOMENT]).longValue();
        if (event > broker + tolerance) {
            // what the contract does not know is told of a bad message too
            System.arraycopy(sale, SaleDecoder.FIELDS, row, SaleDecoder.FIELDS, SaleDecoder.COLUMNS - SaleDecoder.FIELDS);
            String sentence = "The field timestamp is " + seconds(event) + ": more than " + tolerance / 1000000L
                + " s after the broker's clock, " + seconds(broker) + ".";
            return refused(row, day(broker, (String) zoneName), batch, FUTURE, sentence);
        }
        System.arraycopy(sale, 0, row, 0, SaleDecoder.COLUMNS);
        row[JOUR] = day(event, (String) zoneName);
        row[TARDIF] = Boolean.valueOf(event < broker - delay);
        row[ANCIEN] = Boolean.valueOf(event < batch - delay);
        row[HORLOGE] = Long.valueOf(Math.min(Math.max(event, batch - delay), batch));
        return RowFactory.create(row);
    }

    private static Object refused(Object[] row, Integer day, long batch, String reason, String sentence) {
        row[JOUR] = day;
        row[ANCIEN] = Boolean.FALSE;
        row[HORLOGE] = Long.valueOf(batch);
        row[MOTIF] = reason;
        row[EXPLICATION] = sentence;
        return RowFactory.create(row);
    }

    /** The days of the years 1 to 9999 only, the calendar of all that reads jour: one beyond is the first or the last. */
    private Integer day(long micros, String name) {
        ZoneId there = zone;
        if (!there.getId().equals(name)) {
            there = zone = ZoneId.of(name);
        }
        long offset = there.getRules().getOffset(instant(micros)).getTotalSeconds() * 1000000L;
        long day = Math.floorDiv(micros + offset, DAY);
        return Integer.valueOf((int) Math.min(Math.max(day, FIRST_DAY), LAST_DAY));
    }

    private static String seconds(long micros) {
        return SECONDS.format(instant(micros));
    }

    private static Instant instant(long micros) {
        return Instant.ofEpochSecond(Math.floorDiv(micros, 1000000L), Math.floorMod(micros, 1000000L) * 1000L);
    }
}
