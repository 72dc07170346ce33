package org.pytorch.executorch;

public class Module implements java.io.Closeable {
  public static final int LOAD_MODE_FILE = 0;
  public static final int LOAD_MODE_MMAP = 1;

  Module() {}

  public static Module load(String path) { throw new UnsupportedOperationException(); }
  public static Module load(String path, int loadMode) { throw new UnsupportedOperationException(); }
  public static Module load(String path, int loadMode, int numThreads) { throw new UnsupportedOperationException(); }
  public EValue[] forward(EValue... inputs) { throw new UnsupportedOperationException(); }
  public EValue[] execute(String method, EValue... inputs) { throw new UnsupportedOperationException(); }
  public void loadMethod(String method) { throw new UnsupportedOperationException(); }
  public String[] getMethods() { throw new UnsupportedOperationException(); }
  public MethodMetadata getMethodMetadata(String method) { throw new UnsupportedOperationException(); }
  public void destroy() { throw new UnsupportedOperationException(); }
  @Override public void close() { throw new UnsupportedOperationException(); }
}
