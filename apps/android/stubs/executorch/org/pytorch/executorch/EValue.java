package org.pytorch.executorch;

public class EValue {
  EValue() {}

  public static EValue from(Tensor tensor) { throw new UnsupportedOperationException(); }
  public boolean isTensor() { throw new UnsupportedOperationException(); }
  public Tensor toTensor() { throw new UnsupportedOperationException(); }
}
