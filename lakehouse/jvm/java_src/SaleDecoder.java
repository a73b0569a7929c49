package ventes;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.TreeMap;

/**
 * A Kafka message's bytes as a sale, or null: whether it keeps the contract of lakehouse/sale.py, and what it says then.
 *
 * One pass of Jackson, which is strict about JSON's grammar, and no float anywhere. It says no more than yes or no: the reason
 * of a no is worked out by sale.validate, in Python, for the few messages that need one.
 *
 * Columns: the contract's fields in its order (timestamp as microseconds since 1970), then the names of the fields that
 * the contract does not know as a JSON array, and these fields as a JSON object; both null when there are none.
 */
public final class SaleDecoder {

    static final int VENTE_ID = 0, CLIENT_ID = 1, PRODUIT_ID = 2, TIMESTAMP = 3, QUANTITE = 4, MONTANT = 5, SEGMENT = 10;
    static final int FIELDS = 11;
    /** How many columns read fills; the moment's place among them. */
    static final int COLUMNS = FIELDS + 2;
    static final int MOMENT = TIMESTAMP;
    private static final int ALL = (1 << FIELDS) - 1;
    private static final long MAX_UNITS = 9999999999999999L; // of DECIMAL(18,2), before the point
    static final String[] NAMES = {
        "vente_id", "client_id", "produit_id", "timestamp", "quantite", "montant", "client_nom", "produit_nom", "categorie",
        "pays", "segment"
    };
    static final String PARTICULIER = "Particulier";
    static final String ENTREPRISE = "Entreprise";
    /** The field that tells an operation from a sale, and what a sale may say in it. */
    private static final String OPERATION = "operation";
    private static final String VENTE = "vente";
    private static final HashMap PLACES = new HashMap();

    static {
        for (int i = 0; i < NAMES.length; i++) {
            PLACES.put(NAMES[i], Integer.valueOf(i));
        }
    }

    /** Bounded by the size of a message and by the depth of sale.DEPTH, as the judge is. */
    private static final JsonFactory JSON = new JsonFactory();
    /** The same, and a key that stands twice in an object is refused at any depth. */
    private static final JsonFactory STRICT = new JsonFactory();

    static {
        StreamReadConstraints limits = StreamReadConstraints.builder()
            .maxNestingDepth(901).maxNumberLength(Integer.MAX_VALUE).maxStringLength(Integer.MAX_VALUE)
            .maxNameLength(Integer.MAX_VALUE).build();
        JSON.setStreamReadConstraints(limits);
        STRICT.setStreamReadConstraints(limits);
        JSON.disable(JsonFactory.Feature.INTERN_FIELD_NAMES);
        STRICT.disable(JsonFactory.Feature.INTERN_FIELD_NAMES);
        STRICT.enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);
    }

    /** Null for a message that is against the contract. */
    public static Object[] read(byte[] bytes) throws Exception {
        if (bytes == null || bytes.length == 0) {
            return null;
        }
        String text = new String(bytes, StandardCharsets.UTF_8);
        if (text.indexOf('\ufffd') >= 0 && !isUtf8(bytes)) {
            return null;
        }
        Object[] columns = new Object[COLUMNS];
        try {
            int found = read(text, columns, JSON, null);
            if (found == UNKNOWN) { // rare: read again, with all that an unknown field may be
                columns = new Object[COLUMNS];
                TreeMap unknown = new TreeMap(new ByCodePoint());
                found = read(text, columns, STRICT, unknown);
                describe(unknown, columns);
            }
            return found == ALL ? columns : null;
        } catch (JsonProcessingException notJson) {
            return null;
        }
    }

    private static final int REFUSED = -1, UNKNOWN = -2;

    /** The fields that were found and are right, a bit each. Unknown ones go into the map, which may be null. */
    private static int read(String text, Object[] columns, JsonFactory factory, TreeMap unknown) throws Exception {
        JsonParser parser = factory.createParser(text);
        try {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                return REFUSED;
            }
            int found = 0;
            String name;
            while ((name = parser.nextFieldName()) != null) {
                Integer place = (Integer) PLACES.get(name);
                if (place == null) {
                    if (unknown == null) {
                        return UNKNOWN;
                    }
                    if (OPERATION.equals(name)) {
                        if (!isSale(parser, parser.nextToken())) {
                            return REFUSED;
                        }
                        continue;
                    }
                    keep(text, parser, name, unknown);
                    continue;
                }
                int bit = 1 << place.intValue();
                if ((found & bit) != 0) {
                    return REFUSED; // it stands twice
                }
                Object read = field(place.intValue(), parser, parser.nextToken());
                if (read == null) {
                    return REFUSED;
                }
                columns[place.intValue()] = read;
                found |= bit;
            }
            if (parser.currentToken() != JsonToken.END_OBJECT || parser.nextToken() != null) {
                return REFUSED;
            }
            return found;
        } finally {
            parser.close();
        }
    }

    /** Whether a message with this value of the field operation is a sale; all others are read in Python. */
    private static boolean isSale(JsonParser parser, JsonToken token) throws Exception {
        return token == JsonToken.VALUE_NULL || token == JsonToken.VALUE_STRING && VENTE.equals(parser.getText());
    }

    /** The value of a field of the contract, null when it is against it. */
    private static Object field(int place, JsonParser parser, JsonToken token) throws Exception {
        if (place == CLIENT_ID || place == PRODUIT_ID || place == QUANTITE) {
            if (token != JsonToken.VALUE_NUMBER_INT || parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
                return null;
            }
            long number = parser.getLongValue();
            if (number < 1 || place == QUANTITE && number > Integer.MAX_VALUE) {
                return null;
            }
            return place == QUANTITE ? (Object) Integer.valueOf((int) number) : (Object) Long.valueOf(number);
        }
        if (place == MONTANT) {
            return amount(parser, token);
        }
        if (token != JsonToken.VALUE_STRING) {
            return null;
        }
        String text = parser.getText();
        if (place == TIMESTAMP) {
            return Moment.micros(text);
        }
        if (text.length() == 0 || hasHalfPair(text)) {
            return null;
        }
        if (place == VENTE_ID && text.length() > 64 && text.codePointCount(0, text.length()) > 64) {
            return null;
        }
        if (place == SEGMENT && !PARTICULIER.equals(text) && !ENTREPRISE.equals(text)) {
            return null;
        }
        return text;
    }

    /** From the digits alone: 0 or more, within DECIMAL(18,2), no digit but 0 after the second decimal. */
    private static BigDecimal amount(JsonParser parser, JsonToken token) throws Exception {
        if (token == JsonToken.VALUE_NUMBER_INT) {
            if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
                return null;
            }
            long units = parser.getLongValue();
            return units < 0 || units > MAX_UNITS ? null : BigDecimal.valueOf(units * 100, 2);
        }
        if (token != JsonToken.VALUE_NUMBER_FLOAT) {
            return null;
        }
        String text = parser.getText();
        int point = text.indexOf('.');
        int decimals = text.length() - point - 1;
        if (point > 0 && point <= 16 && decimals <= 2 && text.charAt(0) != '-' && text.indexOf('e') < 0 && text.indexOf('E') < 0) {
            long cents = Long.parseLong(text.substring(0, point)) * 100;
            long rest = Long.parseLong(text.substring(point + 1));
            return BigDecimal.valueOf(cents + (decimals == 1 ? rest * 10 : rest), 2);
        }
        return unusualAmount(text);
    }

    /** Any number of JSON, however long, with any exponent: its first to its last digit that is not 0, times a power of ten. */
    private static BigDecimal unusualAmount(String text) {
        int e = Math.max(text.indexOf('e'), text.indexOf('E'));
        String mantissa = e < 0 ? text : text.substring(0, e);
        boolean negative = mantissa.charAt(0) == '-';
        int point = mantissa.indexOf('.');
        String digits = mantissa.substring(negative ? 1 : 0).replace(".", "");
        int first = 0;
        while (first < digits.length() && digits.charAt(first) == '0') {
            first++;
        }
        if (first == digits.length()) {
            return BigDecimal.valueOf(0L, 2);
        }
        int end = digits.length();
        while (digits.charAt(end - 1) == '0') {
            end--;
        }
        long power = (e < 0 ? 0L : exponent(text.substring(e + 1))) + digits.length() - end;
        if (point >= 0) {
            power -= mantissa.length() - point - 1;
        }
        if (negative || power < -2 || end - first + power > 16) {
            return null;
        }
        return BigDecimal.valueOf(Long.parseLong(digits.substring(first, end)), (int) -power).setScale(2);
    }

    /** One of more than 18 digits as 10^18: no message is long enough for its digits to make up for it. */
    private static long exponent(String text) {
        boolean negative = text.charAt(0) == '-';
        int at = negative || text.charAt(0) == '+' ? 1 : 0;
        while (at < text.length() - 1 && text.charAt(at) == '0') {
            at++;
        }
        long size = text.length() - at > 18 ? 1000000000000000000L : Long.parseLong(text.substring(at));
        return negative ? -size : size;
    }

    private static boolean isUtf8(byte[] bytes) {
        try {
            StandardCharsets.UTF_8.newDecoder().onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT).decode(ByteBuffer.wrap(bytes));
            return true;
        } catch (CharacterCodingException notUtf8) {
            return false;
        }
    }

    /** Whether half a surrogate pair stands alone, as an escape can say it. */
    private static boolean hasHalfPair(String text) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c < '\ud800' || c > '\udfff') {
                continue;
            }
            if (!Character.isHighSurrogate(c) || i + 1 == text.length() || !Character.isLowSurrogate(text.charAt(i + 1))) {
                return true;
            }
            i++;
        }
        return false;
    }

    /** Cut an unknown field out of the text, name and value, character for character. */
    private static void keep(String text, JsonParser parser, String name, TreeMap unknown) throws Exception {
        int from = (int) parser.currentTokenLocation().getCharOffset();
        String key = text.substring(from, endOfString(text, from));
        parser.nextToken();
        int start = (int) parser.currentTokenLocation().getCharOffset();
        JsonToken token = parser.currentToken();
        int end;
        if (token == JsonToken.START_OBJECT || token == JsonToken.START_ARRAY) {
            parser.skipChildren();
            end = (int) parser.currentTokenLocation().getCharOffset() + 1;
        } else if (token == JsonToken.VALUE_STRING) {
            parser.getText(); // Jackson checks a string when it is read
            end = endOfString(text, start);
        } else {
            end = start;
            while (end < text.length() && ",}] \t\r\n".indexOf(text.charAt(end)) < 0) {
                end++;
            }
        }
        unknown.put(name, key + ": " + text.substring(start, end));
    }

    private static int endOfString(String text, int quote) {
        int at = quote + 1;
        while (text.charAt(at) != '"') {
            at += text.charAt(at) == '\\' ? 2 : 1;
        }
        return at + 1;
    }

    private static void describe(TreeMap unknown, Object[] columns) {
        if (unknown.isEmpty()) {
            return;
        }
        StringBuilder names = new StringBuilder("[");
        StringBuilder fields = new StringBuilder("{");
        java.util.Iterator each = unknown.keySet().iterator();
        while (each.hasNext()) {
            String name = (String) each.next();
            if (names.length() > 1) {
                names.append(", ");
                fields.append(", ");
            }
            quote(name, names);
            fields.append((String) unknown.get(name));
        }
        columns[FIELDS] = names.append("]").toString();
        columns[FIELDS + 1] = fields.append("}").toString();
    }

    /** As JSON in ASCII. */
    private static void quote(String name, StringBuilder into) {
        into.append('"');
        for (int i = 0; i < name.length(); i++) {
            char c = name.charAt(i);
            int letter = "\b\t\n\f\r".indexOf(c);
            if (c == '"' || c == '\\') {
                into.append('\\').append(c);
            } else if (letter >= 0) {
                into.append('\\').append("btnfr".charAt(letter));
            } else if (c < ' ' || c > '~') {
                String hex = Integer.toHexString(c);
                into.append("\\u").append("0000".substring(hex.length())).append(hex);
            } else {
                into.append(c);
            }
        }
        into.append('"');
    }

    /** Python's order of texts. */
    private static class ByCodePoint implements java.util.Comparator {

        public int compare(Object one, Object other) {
            String a = (String) one;
            String b = (String) other;
            int i = 0;
            int j = 0;
            while (i < a.length() && j < b.length()) {
                int left = a.codePointAt(i);
                int right = b.codePointAt(j);
                if (left != right) {
                    return left < right ? -1 : 1;
                }
                i += Character.charCount(left);
                j += Character.charCount(right);
            }
            return (a.length() - i) - (b.length() - j);
        }
    }
}
