package android.os;

/** Of API 36, what the app reads: android-23.jar lacks SOC_MANUFACTURER, SOC_MODEL and the later version codes. */
public class Build {
  public static final String FINGERPRINT = null, HARDWARE = null, MANUFACTURER = null, MODEL = null, PRODUCT = null;
  public static final String SOC_MANUFACTURER = null, SOC_MODEL = null;

  public static class VERSION {
    public static final String RELEASE = null;
    public static final int SDK_INT = Integer.parseInt("0");
  }

  public static class VERSION_CODES {
    public static final int Q = 29, S = 31, TIRAMISU = 33;
  }
}
