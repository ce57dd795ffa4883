variable "name" {
  description = "Name of everything that is made."
  type        = string
  default     = "agentless-scanner"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{3,40}$", var.name))
    error_message = "Use 3 to 40 letters, digits, dots, underscores and hyphens: the name is also that of an IAM role."
  }
}

variable "region" {
  description = "Region that is scanned, and that the scanner is in."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "Name a region such as eu-central-1, not an availability zone."
  }
}

variable "image_id" {
  description = "AMI of the scanner, for instances of instance_type."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]+$", var.image_id))
    error_message = "Give the id of an AMI, such as ami-0123456789abcdef0."
  }
}

variable "instance_type" {
  description = "Type of the instances. Its architecture must be the image's."
  type        = string
  default     = "t4g.medium"
}

variable "features" {
  description = "What is scanned: hosts (EC2 instances), images (Amazon Machine Images), functions (Lambda). Each brings the permissions that it needs, and no others."
  type        = set(string)
  default     = ["hosts", "images", "functions"]

  validation {
    condition     = length(var.features) > 0 && length(setsubtract(var.features, ["hosts", "images", "functions"])) == 0
    error_message = "Name at least one of hosts, images and functions, and nothing else."
  }
}

variable "include_tags" {
  description = "Only what has all of these tags is scanned; a star as a value stands for any."
  type        = map(string)
  default     = {}
}

variable "exclude_tags" {
  description = "What has one of these tags is not scanned; a star as a value stands for any."
  type        = map(string)
  default     = { environment = "sandbox" }
}

variable "delegate_role_arn" {
  description = "Delegate role of another account that is scanned as well, as cross-account/target-account makes it. Left out, only this account is."
  type        = string
  default     = null

  validation {
    condition     = var.delegate_role_arn == null ? true : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/", var.delegate_role_arn))
    error_message = "Give the ARN of a role, such as arn:aws:iam::444455556666:role/agentless-scanner-delegate, or leave it out."
  }
}

variable "external_id" {
  description = "External id that the delegate role's trust policy asks for."
  type        = string
  default     = null
}

variable "report_bucket" {
  description = "Name of the bucket that package lists are put into. It exists; the README shows how to make it."
  type        = string
}

variable "report_prefix" {
  description = "Folder of the bucket."
  type        = string
  default     = "package-lists/"

  validation {
    condition     = endswith(var.report_prefix, "/") && !startswith(var.report_prefix, "/")
    error_message = "A folder ends in a slash and does not begin with one."
  }
}

variable "report_kms_key_arn" {
  description = "KMS key that encrypts the package lists, by ARN. Its policy must let the account of the scanner use it."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.report_kms_key_arn))
    error_message = "Give the ARN of a key, not of an alias, such as arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab."
  }
}

variable "datadog_api_key" {
  description = "API key with which package lists are sent. In no plan and no state. Needed at the first apply and whenever datadog_api_key_version changes."
  type        = string
  sensitive   = true
  ephemeral   = true
  default     = null
}

variable "datadog_api_key_version" {
  description = "Number of the API key. Raise it to store another key."
  type        = number
  default     = 1

  validation {
    condition     = var.datadog_api_key_version >= 1 && floor(var.datadog_api_key_version) == var.datadog_api_key_version
    error_message = "Count the keys with whole numbers from 1."
  }
}

variable "datadog_site" {
  description = "Datadog site that the package lists are sent to."
  type        = string
  default     = "datadoghq.com"
}

variable "datadog_env" {
  description = "Environment that the package lists are tagged with in Datadog."
  type        = string
  default     = "prod"
}

variable "secret_recovery_days" {
  description = "For how many days the API key can be restored after destroy, during which no new secret can have its name: 7 to 30, or 0 to delete it at once."
  type        = number
  default     = 30

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "Choose 0, or 7 to 30 days."
  }
}

variable "tasks_url" {
  description = "Where the scanner asks, once a minute, whether something is to be scanned at once."
  type        = string

  validation {
    condition     = can(regex("^https://[^/@]+", var.tasks_url))
    error_message = "Give a URL of HTTPS without a password, such as https://example.com/tasks.json."
  }
}

variable "tasks_public_key" {
  description = "Public key of minisign that must have signed the tasks: the second line of minisign.pub."
  type        = string

  validation {
    condition     = can(regex("^RW[A-Za-z0-9+/]{54}$", var.tasks_public_key))
    error_message = "Give the second line of minisign.pub: RW and 54 characters more."
  }
}

variable "cidr_block" {
  description = "IPv4 addresses of the scanner's own VPC, from /16 to /24. Nothing is routed to other networks, so they may overlap."
  type        = string
  default     = "10.42.0.0/20"

  validation {
    condition     = can(cidrhost(var.cidr_block, 0))
    error_message = "Give an IPv4 network such as 10.42.0.0/20."
  }
}

variable "tags" {
  description = "Tags of everything that is made."
  type        = map(string)
  default     = {}
}
