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
        public let types: [String: Int]

        public init(device: String, count: Int, cost: Double, types: [String: Int]) {
            (self.device, self.count, self.cost, self.types) = (device, count, cost, types)
        }

        public var id: String { device }

        /// "conv ×40", the most frequent first.
        public var operations: [String] {
            types.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) ×\($0.value)" }
        }
    }

    public let shares: [Share]

    public init(_ operations: [Operation]) {
        var byDevice: [String: [Operation]] = [:]
        for operation in operations {
            if let device = operation.device { byDevice[device, default: []].append(operation) }
        }
        shares = byDevice.map { device, found in
            let types = Dictionary(found.map { (Self.short($0.name), 1) }, uniquingKeysWith: +)
            let cost = found.compactMap(\.cost).reduce(0, +)
            return Share(device: device, count: found.count, cost: cost, types: types)
        }.sorted { ($1.cost, $1.count, $0.device) < ($0.cost, $0.count, $1.device) }
    }

    public init(shares: [Share]) { self.shares = shares }

    public var devices: [String] { shares.map(\.device) }

    /// "ios17.conv" -> "conv"
    private static func short(_ name: String) -> String { name.split(separator: ".").last.map(String.init) ?? name }
}

extension ComputePlan.Share: Encodable {
    private enum Key: String, CodingKey {
        case device, operations, types
        case costShare = "cost_share"
    }

    /// The devices as the app shows them, and as the schema names them.
    public static let keys = ["Neural Engine": "neural_engine", "GPU": "gpu", "CPU": "cpu"]

    public func encode(to encoder: Encoder) throws {
        var table = encoder.container(keyedBy: Key.self)
        try table.encode(Self.keys[device] ?? "unknown", forKey: .device)
        try table.encode(count, forKey: .operations)
        try table.encode(min(max(cost, 0), 1), forKey: .costShare)
        try table.encode(types, forKey: .types)
    }
}
