package org.edgescs.core

/** The phone, as the system describes it. [soc] null: it does not tell. [emulated]: no device's time. */
class DeviceFacts(val device: String, val os: String, val soc: String?, val emulated: Boolean) {
    companion object {
        /** From android.os.Build. [socMaker] and [socModel] are "unknown" where the maker left them out. */
        fun of(
            maker: String, model: String, release: String, socMaker: String?, socModel: String?,
            hardware: String, product: String, fingerprint: String,
        ): DeviceFacts {
            val brand = maker.replaceFirstChar(Char::uppercaseChar)
            val device = if (model.startsWith(maker, ignoreCase = true)) model else "$brand $model"
            val soc = listOf(socMaker, socModel).filterNotNull().filter { it.isNotBlank() && it != "unknown" }
            val emulated = hardware in EMULATORS || EMULATED_PRODUCTS.any { product.startsWith(it) } ||
                fingerprint.startsWith("generic/") || fingerprint.contains("/sdk_") || fingerprint.contains("emulator")
            return DeviceFacts(device, "Android $release", soc.joinToString(" ").ifEmpty { null }, emulated)
        }

        // The hardware names of Google's emulators, of Cuttlefish, and of VirtualBox under Genymotion.
        private val EMULATORS = listOf("goldfish", "ranchu", "cutf_cvm", "vbox86")
        private val EMULATED_PRODUCTS = listOf("sdk_", "google_sdk", "aosp_cf", "vbox86")

        private val STATUSES = listOf("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")

        /** PowerManager.THERMAL_STATUS_* in the schema's words. */
        fun thermal(status: Int?): String =
            STATUSES.getOrNull(status ?: -1) ?: "unknown"
    }
}
