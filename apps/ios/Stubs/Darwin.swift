// Signatures only: what the app reads of the Mach kernel.
@_exported import Glibc

public typealias natural_t = UInt32
public typealias integer_t = Int32
public typealias kern_return_t = Int32
public typealias mach_port_t = UInt32
public typealias task_flavor_t = natural_t
public typealias mach_msg_type_number_t = natural_t

public let KERN_SUCCESS: Int32 = 0
public let TASK_VM_INFO: Int32 = 22
public var mach_task_self_: mach_port_t = 0

public struct task_vm_info_data_t {
    public var phys_footprint: UInt64
    public var ledger_phys_footprint_peak: Int64
    public init() { fatalError() }
}

public func task_info(
    _ task: mach_port_t, _ flavor: task_flavor_t, _ info: UnsafeMutablePointer<integer_t>!,
    _ count: UnsafeMutablePointer<mach_msg_type_number_t>!
) -> kern_return_t { fatalError() }
