package android.provider;

/** Of API 33: the photo picker. */
public final class MediaStore {
  MediaStore() {}

  public static final String ACTION_PICK_IMAGES = "android.provider.action.PICK_IMAGES";
}
