variable "name" {
  description = "Name of everything that is made."
  type        = string
  default     = "agentless-scanner"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{3,40}$", var.name))
    error_message = "Use 3 to 40 letters, digits, dots, underscores and hyphens: the name is also that of an IAM role."
  }
}

variable "regions" {
  description = "Regions that are scanned, by name. For each: image_id, the AMI of the scanner there (left out, the newest of this account there), and cidr_block, the addresses of the scanner's own VPC there."
  type = map(object({
    image_id   = optional(string)
    cidr_block = optional(string, "10.42.0.0/20")
  }))

  validation {
    condition     = length(var.regions) > 0 && alltrue([for region in keys(var.regions) : can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+$", region))])
    error_message = "Name at least one region, such as eu-central-1. Availability zones are not regions."
  }
}

variable "features" {
  description = "What is scanned: hosts (EC2 instances), images (Amazon Machine Images), functions (Lambda). Each brings the permissions that it needs, and no others."
  type        = set(string)
  default     = ["hosts"]

  validation {
    condition     = length(var.features) > 0 && length(setsubtract(var.features, ["hosts", "images", "functions"])) == 0
    error_message = "Name at least one of hosts, images and functions, and nothing else."
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

variable "secret_recovery_days" {
  description = "For how many days the API key can be restored after destroy, during which no new secret can have its name: 7 to 30, or 0 to delete it at once."
  type        = number
  default     = 30

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "Choose 0, or 7 to 30 days."
  }
}

variable "egress" {
  description = "How instances reach AWS: nat (one NAT gateway), nat_per_zone, or endpoints (VPC endpoints alone: no way to the internet, so none to Datadog either)."
  type        = string
  default     = "nat"

  validation {
    condition     = contains(["nat", "nat_per_zone", "endpoints"], var.egress)
    error_message = "Choose nat, nat_per_zone or endpoints."
  }
}

variable "tags" {
  description = "Tags of everything that is made."
  type        = map(string)
  default     = {}
}
