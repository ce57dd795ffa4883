# What is built.

variable "scanner_version" {
  type        = string
  description = "Version of the scanner, as in the names of its release files."

  validation {
    condition     = var.scanner_version != "" && regex_replace(var.scanner_version, "^[0-9]+[.][0-9]+[.][0-9]+(-[0-9A-Za-z.]+)?$", "") == ""
    error_message = "The scanner_version is like 1.2.3 or 1.2.3-rc.1."
  }
}

variable "release_folder" {
  type        = string
  description = "Folder with agentless-scanner_VERSION_linux_ARCH for each architecture that is built, each with its .sha256 and .minisig: what .ci/release writes."

  validation {
    condition     = length(var.release_folder) > 0
    error_message = "The release_folder is where the release files are, such as ../target/release-scanner."
  }
}

variable "release_public_key" {
  type        = string
  description = "Public key of minisign that the release files are signed with: the second line of its .pub file."

  validation {
    condition     = var.release_public_key != "" && regex_replace(var.release_public_key, "^RW[0-9A-Za-z+/]{54}$", "") == ""
    error_message = "The release_public_key is one of minisign: RW and 54 letters, digits, + and /."
  }
}

variable "git_commit" {
  type        = string
  description = "Commit that the scanner and these scripts are of."

  validation {
    condition     = var.git_commit != "" && regex_replace(var.git_commit, "^[0-9a-f]{7,40}$", "") == ""
    error_message = "The git_commit is a hash of 7 to 40 hexadecimal digits: $(git rev-parse HEAD)."
  }
}

variable "ubuntu" {
  type        = string
  description = "Release of Ubuntu LTS to build on: 24.04 or 22.04."
  default     = "24.04"

  validation {
    condition     = contains(["24.04", "22.04"], var.ubuntu)
    error_message = "The ubuntu release is 24.04 or 22.04."
  }
}

variable "source_owner" {
  type        = string
  description = "Account that the source image must belong to: Canonical's, or that of a company's own copy. Canonical's is 513442679011 in GovCloud and 837727238323 in China."
  default     = "099720109477"

  validation {
    condition     = var.source_owner != "" && regex_replace(var.source_owner, "^[0-9]{12}$", "") == ""
    error_message = "The source_owner is an account id of twelve digits."
  }
}

variable "volume_size" {
  type        = number
  description = "Size of the root volume in GiB. No scanner can have a smaller one."
  default     = 10

  validation {
    condition     = var.volume_size >= 8 && var.volume_size <= 100
    error_message = "The volume_size is 8 to 100 GiB."
  }
}

variable "keep_days" {
  type        = number
  description = "After how many days the image counts as expired and is shown as deprecated."
  default     = 30

  validation {
    condition     = var.keep_days >= 2 && var.keep_days <= 365
    error_message = "The keep_days are 2 to 365."
  }
}

# Where it is built.

variable "region" {
  type        = string
  description = "Region in which the image is built."

  validation {
    condition     = var.region != "" && regex_replace(var.region, "^[a-z]{2,}(-[a-z]+)+-[0-9]+$", "") == ""
    error_message = "The region is like eu-central-1."
  }
}

variable "subnet_id" {
  type        = string
  description = "Subnet of the build instance, with a way to Ubuntu's archive. Left out, one of the default VPC."
  default     = ""

  validation {
    condition     = regex_replace(var.subnet_id, "^subnet-[0-9a-f]+$", "") == ""
    error_message = "The subnet_id is like subnet-0123456789abcdef0."
  }
}

variable "public_address" {
  type        = bool
  description = "Whether the build instance gets a public address: needed where its subnet has no NAT gateway, as in a default VPC. Nothing is opened by it."
  default     = false
}

variable "instance_types" {
  type        = map(string)
  description = "Instance type of the build for each architecture. Each builds on its own processors; nothing is emulated."
  default     = { amd64 = "t3.small", arm64 = "t4g.small" }

  validation {
    condition     = length(setintersection(keys(var.instance_types), ["amd64", "arm64"])) == 2 && length(var.instance_types) == 2
    error_message = "The instance_types are a type for amd64 and one for arm64."
  }
}

variable "instance_profile" {
  type        = string
  description = "Instance profile of the build with AmazonSSMManagedInstanceCore, through which Session Manager reaches it. Leave it out with ssh_source_cidrs."
  default     = ""

  validation {
    condition     = regex_replace(var.instance_profile, "^[0-9A-Za-z+=,.@_-]{1,128}$", "") == ""
    error_message = "The instance_profile is the name of an instance profile, not its ARN."
  }
}

variable "ssh_source_cidrs" {
  type        = list(string)
  description = "Networks from which the build connects by SSH, with a key made for it. Left out, no port is opened: it goes through Session Manager, and needs instance_profile."
  default     = []

  validation {
    condition     = length([for cidr in var.ssh_source_cidrs : cidr if cidr == "" || regex_replace(cidr, "^[0-9]{1,3}([.][0-9]{1,3}){3}/(1[6-9]|2[0-9]|3[0-2])$", "") != ""]) == 0
    error_message = "The ssh_source_cidrs are IPv4 networks of /16 to /32, such as 203.0.113.7/32."
  }
}

variable "apt_mirror" {
  type        = string
  description = "Mirror of Ubuntu's archive, by HTTPS, which the image goes on using. Left out, Ubuntu's own."
  default     = ""

  validation {
    condition     = regex_replace(var.apt_mirror, "^https://[0-9A-Za-z./_-]+$", "") == ""
    error_message = "The apt_mirror begins with https://: the image's firewall lets nothing else out."
  }
}

variable "apt_security_mirror" {
  type        = string
  description = "Mirror of the security updates, by HTTPS, which the image goes on using. Left out, as apt_mirror."
  default     = ""

  validation {
    condition     = regex_replace(var.apt_security_mirror, "^https://[0-9A-Za-z./_-]+$", "") == ""
    error_message = "The apt_security_mirror begins with https://: the image's firewall lets nothing else out."
  }
}

# Who may use it, and where.

variable "kms_key_id" {
  type        = string
  description = "KMS key of the image's snapshot in region. Left out, the account's key for EBS, with which an image cannot be shared."
  default     = ""

  validation {
    condition     = regex_replace(var.kms_key_id, "^(arn:aws[a-z-]*:kms:[0-9a-z-]+:[0-9]{12}:(key|alias)/[0-9A-Za-z/_-]+|alias/[0-9A-Za-z/_-]+|(mrk-)?[0-9a-f-]{32,36})$", "") == ""
    error_message = "The kms_key_id is the ARN, id or alias of a key."
  }
}

variable "copy_to" {
  type        = map(string)
  description = "Regions to which the image is copied, each with the KMS key there. With an empty text, the account's key for EBS."
  default     = {}

  validation {
    condition     = length([for region in keys(var.copy_to) : region if region == "" || regex_replace(region, "^[a-z]{2,}(-[a-z]+)+-[0-9]+$", "") != ""]) == 0
    error_message = "The copy_to are regions with their keys, such as { us-west-2 = \"alias/scanner-image\" }."
  }
}

variable "share_with_accounts" {
  type        = list(string)
  description = "Accounts that may start instances from the image. Their role needs kms_key_id too."
  default     = []

  validation {
    condition     = length([for account in var.share_with_accounts : account if account == "" || regex_replace(account, "^[0-9]{12}$", "") != ""]) == 0
    error_message = "The share_with_accounts are account ids of twelve digits. Everybody is not an account: scanner images are never public."
  }
}

variable "share_with_organizations" {
  type        = list(string)
  description = "ARNs of organizations, or of their units, whose accounts may start instances from the image."
  default     = []

  validation {
    condition     = length([for arn in var.share_with_organizations : arn if arn == "" || regex_replace(arn, "^arn:aws[a-z-]*:organizations::[0-9]{12}:(organization/o-|ou/o-)[0-9a-z/-]+$", "") != ""]) == 0
    error_message = "The share_with_organizations are ARNs of organizations or of their units."
  }
}

variable "output_folder" {
  type        = string
  description = "Folder for the manifest, and for what each image holds: image-ARCH.json and image-ARCH.cdx.json."
  default     = "output"

  validation {
    condition     = length(var.output_folder) > 0
    error_message = "The output_folder needs a name."
  }
}
