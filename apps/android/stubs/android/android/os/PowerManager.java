package android.os;

/** Of API 29. */
public final class PowerManager {
  PowerManager() {}

  public int getCurrentThermalStatus() { throw new UnsupportedOperationException(); }
}
