import SwiftUI

@main
struct EdgeSCSApp: App {
    @State private var library = Library()

    var body: some Scene {
        WindowGroup {
            TabView {
                EnhanceView()
                    .tabItem { Label("Enhance", systemImage: "wand.and.stars") }
                SelfTestView()
                    .tabItem { Label("Self-test", systemImage: "checkmark.seal") }
                BenchmarkView()
                    .tabItem { Label("Benchmark", systemImage: "stopwatch") }
            }
            .environment(library)
        }
    }
}
