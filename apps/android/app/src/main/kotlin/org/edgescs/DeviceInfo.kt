package org.edgescs

import android.content.Context
import android.os.Build
import android.os.PowerManager
import org.edgescs.core.DeviceFacts

/** What the system says about the phone. */
class DeviceInfo(context: Context) {
    private val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager

    val facts: DeviceFacts
        get() {
            val told = Build.VERSION.SDK_INT >= Build.VERSION_CODES.S
            return DeviceFacts.of(
                maker = Build.MANUFACTURER,
                model = Build.MODEL,
                release = Build.VERSION.RELEASE,
                socMaker = if (told) Build.SOC_MANUFACTURER else null,
                socModel = if (told) Build.SOC_MODEL else null,
                hardware = Build.HARDWARE,
                product = Build.PRODUCT,
                fingerprint = Build.FINGERPRINT,
            )
        }

    /** "none" to "shutdown"; "unknown" before Android 10. */
    val thermal: String
        get() {
            val told = Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q
            return DeviceFacts.thermal(if (told) power.currentThermalStatus else null)
        }
}
