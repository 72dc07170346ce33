/// From the file to a model that can run, in milliseconds.
struct LoadTimes: Equatable, Sendable {
    /// Core ML's compilation of the package on the phone; nil where there is none.
    let compileMs: Double?
    /// Loading for the first time after that.
    let coldMs: Double
    /// Loading once more, with what Core ML then has in its cache; nil where it was not tried.
    var cachedMs: Double?

    var totalMs: Double { (compileMs ?? 0) + coldMs }
}
