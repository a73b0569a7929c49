package ventes;

import java.time.DateTimeException;
import java.time.LocalDate;
import java.time.temporal.IsoFields;
import java.time.temporal.WeekFields;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A text of ISO 8601 with an offset or Z as microseconds since 1970, by the rules of parse_moment in lakehouse/sale.py. */
public final class Moment {

    private static final long DAY = 86400L * 1000000L;
    private static final long FIRST = LocalDate.of(1, 1, 1).toEpochDay() * DAY;
    private static final long END = (LocalDate.of(9999, 12, 31).toEpochDay() + 1) * DAY;
    private static final String CLOCK = "([0-9]{2})(?:(:?)([0-9]{2})(?:\\%1$d([0-9]{2})(?:[.,]([0-9]+))?)?)?";
    private static final Pattern UNUSUAL = Pattern.compile(
        "([0-9]{4})(?:-([0-9]{2})-([0-9]{2})|([0-9]{2})([0-9]{2})|-W([0-9]{2})-([0-9])|W([0-9]{2})([0-9]))[T ]"
        + String.format(CLOCK, new Object[] {Integer.valueOf(11)})
        + "(?:Z|([+-])" + String.format(CLOCK, new Object[] {Integer.valueOf(17)}) + ")");

    private Moment() {
    }

    /** Null for any other text, for a day that is in no calendar, and beyond the years 1 to 9999. */
    public static Long micros(String text) {
        int length = text.length();
        if (length >= 20 && text.charAt(length - 1) == 'Z' && text.charAt(10) == 'T' && text.charAt(4) == '-'
            && text.charAt(7) == '-' && text.charAt(13) == ':' && text.charAt(16) == ':'
            && (length == 20 || text.charAt(19) == '.' && length > 21)) {
            int year = digits(text, 0, 4);
            int month = digits(text, 5, 7);
            int day = digits(text, 8, 10);
            int hour = digits(text, 11, 13);
            int minute = digits(text, 14, 16);
            int second = digits(text, 17, 19);
            int micros = length == 20 ? 0 : fraction(text, 20, length - 1);
            if ((year | month | day | hour | minute | second | micros) < 0) {
                return null;
            }
            return at(year, month, day, hour, minute, second, micros, 0L);
        }
        return unusual(text);
    }

    private static Long unusual(String text) {
        // as sale.ISO_DAY has it: a week's W is a capital, T and Z need not be
        Matcher m = UNUSUAL.matcher(text.replace('t', 'T').replace('z', 'Z'));
        if (!m.matches()) {
            return null;
        }
        long offset = 0L;
        if (m.group(15) != null) {
            offset = ((number(m, 16) * 60L + number(m, 18)) * 60L + number(m, 19)) * 1000000L + micros(m, 20);
            if (number(m, 18) > 59 || number(m, 19) > 59 || offset >= DAY) {
                return null;
            }
            offset = m.group(15).equals("-") ? -offset : offset;
        }
        int year = number(m, 1);
        int month = number(m, 2) + number(m, 4);
        int day = number(m, 3) + number(m, 5);
        if (m.group(6) != null || m.group(8) != null) {
            int week = number(m, 6) + number(m, 8);
            int ofWeek = number(m, 7) + number(m, 9);
            if (year < 1 || ofWeek < 1 || ofWeek > 7 || week < 1 || week > 53) {
                return null;
            }
            LocalDate fourth = LocalDate.of(year, 1, 4); // always in week 1
            if (week > IsoFields.WEEK_OF_WEEK_BASED_YEAR.rangeRefinedBy(fourth).getMaximum()) {
                return null;
            }
            LocalDate date = fourth.with(WeekFields.ISO.dayOfWeek(), (long) ofWeek).plusWeeks((long) (week - 1));
            year = date.getYear();
            month = date.getMonthValue();
            day = date.getDayOfMonth();
        }
        return at(year, month, day, number(m, 10), number(m, 12), number(m, 13), micros(m, 14), offset);
    }

    private static Long at(int year, int month, int day, int hour, int minute, int second, int micros, long offset) {
        if (year < 1 || year > 9999 || hour > 23 || minute > 59 || second > 59) {
            return null;
        }
        long days;
        try {
            days = LocalDate.of(year, month, day).toEpochDay();
        } catch (DateTimeException noSuchDay) {
            return null;
        }
        long found = days * DAY + ((hour * 60L + minute) * 60L + second) * 1000000L + micros - offset;
        return found < FIRST || found >= END ? null : Long.valueOf(found);
    }

    private static int number(Matcher found, int group) {
        String text = found.group(group);
        return text == null ? 0 : digits(text, 0, text.length());
    }

    private static int micros(Matcher found, int group) {
        String text = found.group(group);
        return text == null ? 0 : fraction(text, 0, text.length());
    }

    /** -1 when there is anything but digits. */
    private static int digits(String text, int from, int to) {
        int number = 0;
        for (int i = from; i < to; i++) {
            int digit = text.charAt(i) - '0';
            if (digit < 0 || digit > 9) {
                return -1;
            }
            number = number * 10 + digit;
        }
        return number;
    }

    /** A fraction of a second in whole microseconds; finer digits are cut off. -1 when there is anything but digits. */
    private static int fraction(String text, int from, int to) {
        int micros = 0;
        for (int i = from; i < Math.max(to, from + 6); i++) {
            int digit = i < to ? text.charAt(i) - '0' : 0;
            if (digit < 0 || digit > 9) {
                return -1;
            }
            micros = i < from + 6 ? micros * 10 + digit : micros;
        }
        return micros;
    }
}
