package ventes;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;
import java.util.Timer;
import java.util.TimerTask;
import javax.management.JMException;
import javax.management.ObjectName;

/**
 * What the process keeps of memory that is free: in its heap, and outside of it.
 *
 * <p>How much of its heap Java keeps free after collecting garbage, in percent: little of it makes a small process; a process that
 * works through a backlog then collects its whole heap again and again. Java reads both numbers anew at each collection.
 */
public class Heap {

    private static final String LEAST = "MinHeapFreeRatio";
    private static final String MOST = "MaxHeapFreeRatio";
    /** Java's own defaults. */
    private static final String[] ROOMY = {"40", "70"};

    /** None of it where another Java is used than HotSpot. */
    private static final HotSpotDiagnosticMXBean JAVA = (HotSpotDiagnosticMXBean) ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
    private static final String[] AS_STARTED = JAVA == null ? ROOMY : new String[] {value(LEAST), value(MOST)};

    /** For a large batch, or as the process was started. */
    public void fit(boolean large) {
        if (JAVA == null) {
            return;
        }
        String[] wanted = large ? ROOMY : AS_STARTED;
        if (wanted[0].equals(value(LEAST)) && wanted[1].equals(value(MOST))) {
            return;
        }
        JAVA.setVMOption(LEAST, "0"); // never above the most, in between too
        JAVA.setVMOption(MOST, wanted[1]);
        JAVA.setVMOption(LEAST, wanted[0]);
    }

    /** What the C library keeps of freed memory (compilers', RocksDB's, streams') goes back to the system from time to time. */
    public void trimEvery(long milliseconds) {
        Timer timer = new Timer("trim", true);
        timer.schedule(new TimerTask() {
            public void run() {
                Heap.trim();
            }
        }, milliseconds, milliseconds);
    }

    /** What Java said of it; empty where Java does not know how (before 17.0.9), or the C library is not glibc. */
    public static String trim() {
        try {
            ObjectName commands = new ObjectName("com.sun.management:type=DiagnosticCommand");
            return (String) ManagementFactory.getPlatformMBeanServer().invoke(commands, "systemTrimNativeHeap", new Object[0], new String[0]);
        } catch (JMException unknown) {
            return "";
        }
    }

    /** Both, in this order: the least and the most. */
    public String kept() {
        return value(LEAST) + " " + value(MOST);
    }

    private static String value(String name) {
        return JAVA.getVMOption(name).getValue();
    }
}
