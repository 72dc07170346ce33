package org.edgescs

import android.content.Context
import android.content.pm.ApplicationInfo
import android.os.Build
import android.os.PowerManager
import java.io.File
import java.io.IOException
import org.edgescs.core.Conditions
import org.edgescs.core.DeviceFacts

/** What the system says about the phone. */
class DeviceInfo(private val context: Context) {
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

    /** Battery Saver, which slows the processor down. */
    val lowPower: Boolean get() = power.isPowerSaveMode

    val buildType: String
        get() {
            val debuggable = context.applicationInfo.flags and ApplicationInfo.FLAG_DEBUGGABLE != 0
            return Conditions.buildType(BuildConfig.BUILD_TYPE, debuggable)
        }

    /** What the kernel says of this process; empty where it may not be read. */
    val status: String
        get() = try {
            File("/proc/self/status").readText()
        } catch (_: IOException) {
            ""
        }
}
