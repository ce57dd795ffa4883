variable "scanner_role_arns" {
  description = "Roles of the scanners: scanner_role_arn of scanner-account, one for each region that has a scanner. They must exist."
  type        = set(string)

  validation {
    condition     = length(var.scanner_role_arns) > 0 && alltrue([for arn in var.scanner_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[^*]+$", arn))])
    error_message = "Give at least one role by its ARN, such as arn:aws:iam::111122223333:role/agentless-scanner-eu-central-1."
  }
}

variable "regions" {
  description = "Regions in which the account may be scanned."
  type        = set(string)

  validation {
    condition     = length(var.regions) > 0 && alltrue([for region in var.regions : can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+$", region))])
    error_message = "Name at least one region, such as eu-central-1."
  }
}

variable "external_id" {
  description = "What the scanner names when it takes a delegate role on, agreed between both sides. It is no secret."
  type        = string
  default     = null

  validation {
    condition     = var.external_id == null ? true : length(var.external_id) <= 1224 && can(regex("^[A-Za-z0-9+=,.@:/_-]{2,}$", var.external_id))
    error_message = "Use 2 to 1224 letters, digits and +=,.@:/_-."
  }
}

variable "delegate_role_name" {
  description = "Name of the delegate role, the same in every scanned account."
  type        = string
  default     = "agentless-scanner-delegate"

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.delegate_role_name))
    error_message = "Use 1 to 64 letters, digits and +=,.@_-."
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

variable "tags" {
  description = "Tags of everything that is made."
  type        = map(string)
  default     = {}
}
