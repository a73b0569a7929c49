package ventes;

import java.lang.management.ManagementFactory;
import java.util.Timer;
import java.util.TimerTask;
import javax.management.JMException;
import javax.management.ObjectName;

/** Memory that is free outside of the heap goes back to the system. */
public class NativeMemory {

    /** What the C library keeps of freed memory (compilers', RocksDB's, streams') goes back to the system from time to time. */
    public void trimEvery(long milliseconds) {
        Timer timer = new Timer("trim", true);
        timer.schedule(new TimerTask() {
            public void run() {
                NativeMemory.trim();
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
}
