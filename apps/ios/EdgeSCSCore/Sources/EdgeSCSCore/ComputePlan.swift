/// Which device Core ML means to run each operation on, and the share of the cost that it expects there.
public struct ComputePlan: Equatable, Sendable {
    /// `device` is nil for what is folded away and never runs; `cost` the operation's share of the program's, 0 to 1.
    public struct Operation: Equatable, Sendable {
        public let name: String
        public let device: String?
        public let cost: Double?

        public init(name: String, device: String?, cost: Double?) {
            (self.name, self.device, self.cost) = (name, device, cost)
        }
    }

    /// All that runs on one device: the number of operations, their share of the cost, and how often which occurs.
    public struct Share: Equatable, Sendable, Identifiable {
        public let device: String
        public let count: Int
        public let cost: Double
        public let operations: [String]

        public var id: String { device }
    }

    public let shares: [Share]

    public init(_ operations: [Operation]) {
        var byDevice: [String: [Operation]] = [:]
        for operation in operations {
            if let device = operation.device { byDevice[device, default: []].append(operation) }
        }
        shares = byDevice.map { device, found in
            let counts = Dictionary(found.map { (Self.short($0.name), 1) }, uniquingKeysWith: +)
            let named = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) ×\($0.value)" }
            let cost = found.compactMap(\.cost).reduce(0, +)
            return Share(device: device, count: found.count, cost: cost, operations: named)
        }.sorted { ($1.cost, $1.count, $0.device) < ($0.cost, $0.count, $1.device) }
    }

    public var devices: [String] { shares.map(\.device) }

    /// "ios17.conv" -> "conv"
    private static func short(_ name: String) -> String { name.split(separator: ".").last.map(String.init) ?? name }
}
