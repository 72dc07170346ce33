package org.pytorch.executorch;

public class MethodMetadata {
  MethodMetadata() {}

  public String getName() { throw new UnsupportedOperationException(); }
  public String[] getBackends() { throw new UnsupportedOperationException(); }
}
