import CryptoKit
import EdgeSCSCore
import Foundation

extension Artifact {
    /// Throws `ArtifactError` unless the artifact is the one that its manifest describes.
    func checkDigest() throws {
        var digest = SHA256()
        try feed { digest.update(data: $0) }
        let found = digest.finalize().map { String(format: "%02x", $0) }.joined()
        if found != manifest.sha256 {
            throw ArtifactError("\(id): differs from its manifest; run edge-scs apps prepare again")
        }
    }
}
