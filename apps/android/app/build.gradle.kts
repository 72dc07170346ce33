plugins {
    alias(libs.plugins.android.application) // AGP 9 compiles Kotlin itself
}

android {
    namespace = "org.edgescs"
    compileSdk = libs.versions.compile.sdk.get().toInt()

    defaultConfig {
        applicationId = "org.edgescs"
        minSdk = libs.versions.min.sdk.get().toInt()
        targetSdk = libs.versions.target.sdk.get().toInt()
        versionCode = 1
        versionName = libs.versions.edge.scs.get()
        buildConfigField("String", "EXECUTORCH_VERSION", "\"${libs.versions.executorch.get()}\"")
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") } // what the AAR has
    }

    buildTypes {
        // What is measured: compiled as for the store, not debuggable, signed with the debug key so that it installs.
        create("benchmark") {
            initWith(getByName("release"))
            signingConfig = signingConfigs.getByName("debug")
            matchingFallbacks += "release"
        }
    }

    buildFeatures { buildConfig = true }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    androidResources { noCompress += "pte" } // unpacked as they are, and hardly smaller when compressed
}

dependencies {
    implementation(project(":core"))
    implementation(libs.executorch)
}
