package android.media;

/** Of API 24: the constructor that reads a stream. */
public class ExifInterface {
  public static final String TAG_ORIENTATION = "Orientation";
  public static final int ORIENTATION_NORMAL = 1, ORIENTATION_ROTATE_180 = 3, ORIENTATION_ROTATE_90 = 6, ORIENTATION_ROTATE_270 = 8;

  public ExifInterface(java.io.InputStream stream) throws java.io.IOException { throw new UnsupportedOperationException(); }

  public int getAttributeInt(String tag, int missing) { throw new UnsupportedOperationException(); }
}
