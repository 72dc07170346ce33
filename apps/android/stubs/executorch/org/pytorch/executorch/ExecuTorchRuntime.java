package org.pytorch.executorch;

public class ExecuTorchRuntime {
  ExecuTorchRuntime() {}

  public static String[] getRegisteredBackends() { throw new UnsupportedOperationException(); }
}
