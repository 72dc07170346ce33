package org.pytorch.executorch;

public class ExecutorchRuntimeException extends RuntimeException {
  public static final int INVALID_ARGUMENT = 0x12;
  public static final int OPERATOR_MISSING = 0x14;
  public static final int NOT_FOUND = 0x20;
  public static final int MEMORY_ALLOCATION_FAILED = 0x21;
  public static final int INVALID_PROGRAM = 0x23;
  public static final int DELEGATE_INVALID_COMPATIBILITY = 0x30;

  ExecutorchRuntimeException() {}

  public int getErrorCode() { throw new UnsupportedOperationException(); }
}
