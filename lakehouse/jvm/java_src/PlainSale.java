package ventes;

import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.types.Decimal;
import org.apache.spark.sql.types.Decimal$;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * A sale as nearly all senders write one, read from its bytes at once: no escapes, no field that the contract does not know,
 * plain numbers. Whatever is written another way is left to SaleDecoder, which reads all of JSON: a null here is no verdict.
 * What is read here is read the same there (tests/spark/test_decode.py).
 */
public final class PlainSale {

    private static final UTF8String PARTICULIER = UTF8String.fromString(SaleDecoder.PARTICULIER);
    private static final UTF8String ENTREPRISE = UTF8String.fromString(SaleDecoder.ENTREPRISE);
    private static final byte[][] NAMES = new byte[SaleDecoder.FIELDS][];

    static {
        for (int i = 0; i < NAMES.length; i++) {
            NAMES[i] = SaleDecoder.NAMES[i].getBytes(StandardCharsets.US_ASCII);
        }
    }

    private final byte[] bytes;
    private int at = 0;
    /** Of the text that was read last: its first byte, the byte after its last, and whether all of it is ASCII. */
    private int from = 0;
    private int to = 0;
    private boolean ascii = true;

    private PlainSale(byte[] bytes) {
        this.bytes = bytes;
    }

    /** The columns of SaleDecoder.read; null when this cannot tell. */
    public static Object[] read(byte[] bytes) {
        return bytes == null ? null : new PlainSale(bytes).object();
    }

    private Object[] object() {
        Object[] columns = new Object[SaleDecoder.COLUMNS];
        if (!next('{')) {
            return null;
        }
        for (int fields = 1; ; fields++) {
            if (!text()) {
                return null;
            }
            int place = place();
            if (place < 0 || columns[place] != null || !next(':')) {
                return null;
            }
            Object value = value(place);
            if (value == null) {
                return null;
            }
            columns[place] = value;
            if (!next(',')) {
                boolean whole = fields == SaleDecoder.FIELDS && next('}') && after() == bytes.length;
                return whole ? columns : null;
            }
        }
    }

    private Object value(int place) {
        if (place == SaleDecoder.CLIENT_ID || place == SaleDecoder.PRODUIT_ID || place == SaleDecoder.QUANTITE) {
            long number = number(18);
            if (number < 1 || place == SaleDecoder.QUANTITE && number > Integer.MAX_VALUE) {
                return null;
            }
            return place == SaleDecoder.QUANTITE ? (Object) Integer.valueOf((int) number) : (Object) Long.valueOf(number);
        }
        if (place == SaleDecoder.MONTANT) {
            return amount();
        }
        if (!text()) {
            return null;
        }
        int length = to - from;
        if (place == SaleDecoder.MOMENT) {
            return ascii ? Moment.micros(new String(bytes, from, length, StandardCharsets.ISO_8859_1)) : null;
        }
        if (length == 0 || place == SaleDecoder.VENTE_ID && length > 64) {
            return null;
        }
        UTF8String text = UTF8String.fromBytes(bytes, from, length);
        if (place == SaleDecoder.SEGMENT && !text.equals(PARTICULIER) && !text.equals(ENTREPRISE)) {
            return null;
        }
        return ascii || text.isValid() ? text : null;
    }

    /** A number of 1 to so many digits, without a zero before others; -1 otherwise. */
    private long number(int digits) {
        int first = after();
        long number = 0L;
        at = first;
        while (at < bytes.length && bytes[at] >= '0' && bytes[at] <= '9') {
            number = number * 10 + (bytes[at++] - '0');
            if (at - first > digits) {
                return -1L;
            }
        }
        return at == first || bytes[first] == '0' && at - first > 1 ? -1L : number;
    }

    private Decimal amount() {
        long units = number(16);
        if (units < 0) {
            return null;
        }
        long cents = 0L;
        if (at < bytes.length && bytes[at] == '.') {
            int first = ++at;
            while (at < bytes.length && bytes[at] >= '0' && bytes[at] <= '9') {
                cents = cents * 10 + (bytes[at++] - '0');
                if (at - first > 2) {
                    return null;
                }
            }
            if (at == first) {
                return null;
            }
            cents = at - first == 1 ? cents * 10 : cents;
        }
        return Decimal$.MODULE$.createUnsafe(units * 100 + cents, 18, 2);
    }

    /** Go past a text without escapes. */
    private boolean text() {
        if (!next('"')) {
            return false;
        }
        from = at;
        int seen = 0;
        while (at < bytes.length) {
            byte each = bytes[at];
            if (each == '"') {
                to = at++;
                ascii = seen >= 0;
                return true;
            }
            if (each == '\\' || each >= 0 && each < ' ') {
                return false;
            }
            seen |= each; // a byte beyond ASCII is negative
            at++;
        }
        return false;
    }

    /** The contract's field of the text that was read last; -1 for any other. */
    private int place() {
        for (int i = 0; i < NAMES.length; i++) {
            byte[] name = NAMES[i];
            if (name.length == to - from) {
                int same = 0;
                while (same < name.length && name[same] == bytes[from + same]) {
                    same++;
                }
                if (same == name.length) {
                    return i;
                }
            }
        }
        return -1;
    }

    /** Go past one character, and past the spaces before it. */
    private boolean next(char wanted) {
        int there = after();
        if (there < bytes.length && bytes[there] == wanted) {
            at = there + 1;
            return true;
        }
        return false;
    }

    private int after() {
        return after(bytes, at);
    }

    /** Where the next byte stands that is no space. */
    static int after(byte[] bytes, int from) {
        int there = from;
        while (there < bytes.length && (bytes[there] == ' ' || bytes[there] == '\n' || bytes[there] == '\t' || bytes[there] == '\r')) {
            there++;
        }
        return there;
    }
}
