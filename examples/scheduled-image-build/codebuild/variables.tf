variable "name" {
  description = "Name of the project, its role, its schedule and its alarm."
  type        = string
  default     = "scanner-image"
}

variable "region" {
  description = "Region of the project, the image and the scanner."
  type        = string
}

variable "architecture" {
  description = "What is built: arm64 or amd64, as the scanner's instance type has it."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "amd64"], var.architecture)
    error_message = "Build for arm64 or amd64."
  }
}

variable "schedule" {
  description = "When the image is built."
  type        = string
  default     = "rate(1 day)"
}

variable "repository" {
  description = "HTTPS URL of the repository with packer/ and this example. CodeBuild has been given access to it."
  type        = string
}

variable "branch" {
  description = "Branch, tag or commit that is built."
  type        = string
  default     = "main"
}

variable "scanner_version" {
  description = "Release that is built in."
  type        = string
}

variable "release_bucket" {
  description = "Bucket with the releases: agentless-scanner/VERSION/ and terraform-provider/."
  type        = string
}

variable "release_public_key" {
  description = "Public key of minisign that releases are signed with."
  type        = string

  validation {
    condition     = can(regex("^RW[0-9A-Za-z+/]{54}$", var.release_public_key))
    error_message = "A public key of minisign is RW and 54 letters, digits, + and /."
  }
}

variable "state_bucket" {
  description = "Bucket of Terraform's state of the scanner."
  type        = string
}

variable "report_bucket" {
  description = "Bucket that the scanner puts package lists into."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the scanner, in which the image is also built."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets with a NAT gateway: of the project, of the build and of the scanner."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of the project, without inbound."
  type        = list(string)
}

variable "pipeline_policy_file" {
  description = "File with what `agentless-scanner permissions --image-pipeline` prints."
  type        = string
  default     = "pipeline-policy.json"
}

variable "apply_policy_arns" {
  description = "Managed policies with what applying the scanner needs (its role, group and launch template), reading releases, writing the state and logs, and CodeBuild's own network interfaces."
  type        = set(string)
}

variable "permissions_boundary" {
  description = "ARN of a managed policy that bounds the roles, where the account demands one."
  type        = string
  default     = null
}

variable "alarm_topic_arns" {
  description = "Topics of SNS that hear when there was no new image for two days."
  type        = list(string)
  default     = []
}
