package android.os;

/** Of API 29. */
public final class PowerManager {
  PowerManager() {}

  public boolean isPowerSaveMode() { throw new UnsupportedOperationException(); }

  public int getCurrentThermalStatus() { throw new UnsupportedOperationException(); }
}
