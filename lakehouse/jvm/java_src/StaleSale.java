package ventes;

import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF5;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;

/**
 * Whether a message is none of the on-time sales for certain, told without reading it. The SQL function vente_ancienne.
 *
 * Two ways to be certain. The broker got it too long ago: an on-time sale's event time is at most the future's tolerance
 * after the broker's. Or its event time, looked for in its bytes, is too old. Where that stands in no doubt: in a message
 * without a backslash, a sale's field is written as "timestamp" and no other way, and here that stands in it once.
 */
public class StaleSale implements UDF5 {

    private static final byte[] KEY = "\"timestamp\"".getBytes(StandardCharsets.US_ASCII);
    private static final int LONGEST = 64;

    /** Make it known to SQL by this name. */
    public void register(SparkSession session, String name) {
        session.udf().register(name, functions.udf((UDF5) this, DataTypes.BooleanType));
    }

    /** Times and durations in microseconds. */
    public Object call(Object value, Object brokerTime, Object batchTime, Object delayed, Object tolerated) {
        long oldest = ((Number) batchTime).longValue() - ((Number) delayed).longValue();
        if (((Number) brokerTime).longValue() < oldest - ((Number) tolerated).longValue()) {
            return Boolean.TRUE;
        }
        Long moment = value == null ? null : moment((byte[]) value);
        return Boolean.valueOf(moment != null && moment.longValue() < oldest);
    }

    /** The event time of the sale that these bytes are, if they are one; null when that cannot be told so. */
    private static Long moment(byte[] bytes) {
        int found = -1;
        for (int i = 0; i < bytes.length; i++) {
            byte each = bytes[i];
            if (each == '\\') {
                return null;
            }
            if (each == '"' && isKey(bytes, i)) {
                if (found >= 0) {
                    return null;
                }
                found = i + KEY.length;
            }
        }
        if (found < 0) {
            return null;
        }
        int colon = after(bytes, found);
        int quote = colon < bytes.length && bytes[colon] == ':' ? after(bytes, colon + 1) : bytes.length;
        if (quote >= bytes.length || bytes[quote] != '"') {
            return null;
        }
        int end = quote + 1;
        while (end < bytes.length && bytes[end] != '"') {
            end++;
        }
        if (end == bytes.length || end - quote > LONGEST) {
            return null;
        }
        return Moment.micros(new String(bytes, quote + 1, end - quote - 1, StandardCharsets.ISO_8859_1));
    }

    /** Where the next byte stands that is no space. */
    private static int after(byte[] bytes, int from) {
        int there = from;
        while (there < bytes.length && (bytes[there] == ' ' || bytes[there] == '\n' || bytes[there] == '\t' || bytes[there] == '\r')) {
            there++;
        }
        return there;
    }

    private static boolean isKey(byte[] bytes, int at) {
        if (at + KEY.length > bytes.length) {
            return false;
        }
        for (int i = 1; i < KEY.length; i++) {
            if (bytes[at + i] != KEY[i]) {
                return false;
            }
        }
        return true;
    }
}
