package org.pytorch.executorch;

public abstract class Tensor {
  Tensor() {}

  public static Tensor fromBlob(float[] data, long[] shape) { throw new UnsupportedOperationException(); }
  public static Tensor fromBlob(java.nio.FloatBuffer data, long[] shape) { throw new UnsupportedOperationException(); }
  public long[] shape() { throw new UnsupportedOperationException(); }
  public float[] getDataAsFloatArray() { throw new UnsupportedOperationException(); }
}
