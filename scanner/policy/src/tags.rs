//! The tags on everything the scanner creates, which the conditions of its policy name, and those of its images.

/// On every resource that a scanner made, with the value [`TRUE`]. [`FALSE`] is the opt-out of its owner: on an instance or
/// an image the scanner passes it over; on a volume, a snapshot, a key or a function IAM also refuses it.
pub const SCANNER: &str = "DatadogAgentlessScanner";

/// The scan that made the resource.
pub const SCAN_ID: &str = "DatadogAgentlessScannerScanId";

/// The scanner that made the resource, so that two scanners of one account leave each other's snapshots alone.
pub const SCANNER_ID: &str = "DatadogAgentlessScannerScannerId";

/// What the scan was asked to look at, for example an instance id.
pub const TARGET: &str = "DatadogAgentlessScannerTarget";

/// The volume or the snapshot that it shows: by it a snapshot is found whose id never arrived.
pub const ORIGIN: &str = "DatadogAgentlessScannerOrigin";

/// The time (RFC 3339, UTC) after which any scanner of the account may delete the resource; of an image, after which it is
/// not to be published any more.
pub const EXPIRES_AT: &str = "DatadogAgentlessScannerExpiresAt";

/// On a machine image and its snapshots, and on everything that exists while it is built, with the value [`TRUE`]: by it the
/// pipeline's role is restricted to what the pipeline made.
pub const IMAGE: &str = "DatadogAgentlessScannerImage";

/// On a machine image: the version of the scanner in it. By this tag the image is known as one of the scanner's.
pub const IMAGE_VERSION: &str = "DatadogAgentlessScannerVersion";

/// On a machine image: the commit that its scanner was built from.
pub const IMAGE_COMMIT: &str = "DatadogAgentlessScannerCommit";

/// On a machine image: the image that it was built from.
pub const IMAGE_SOURCE: &str = "DatadogAgentlessScannerSourceImage";

/// On a machine image: the name of that one.
pub const IMAGE_SOURCE_NAME: &str = "DatadogAgentlessScannerSourceImageName";

/// On a machine image: when it was built (RFC 3339, UTC).
pub const IMAGE_BUILT_AT: &str = "DatadogAgentlessScannerBuiltAt";

/// On a machine image: the SHA-256 of the scanner's program in it.
pub const IMAGE_BINARY: &str = "DatadogAgentlessScannerBinarySha256";

/// What every tag key that a scanner may set begins with.
pub const PREFIX: &str = SCANNER;

/// The value of [`SCANNER`] on what a scanner made.
pub const TRUE: &str = "true";

/// The value of [`SCANNER`] on what must not be scanned.
pub const FALSE: &str = "false";
