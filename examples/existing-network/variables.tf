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

variable "vpc_id" {
  description = "VPC that exists."
  type        = string

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "Give the id of a VPC, such as vpc-0123456789abcdef0."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the VPC, in more than one availability zone where the loss of one must not stop the scanner."
  type        = set(string)

  validation {
    condition     = length(var.subnet_ids) > 0 && alltrue([for id in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "Give at least one id of a subnet, such as subnet-0123456789abcdef0."
  }
}

variable "egress_cidr_blocks" {
  description = "IPv4 addresses that the scanner may reach on TCP 443: those of the VPC's interface endpoints, or [\"0.0.0.0/0\"] where a NAT gateway or proxy leads to the AWS APIs."
  type        = set(string)

  validation {
    condition     = length(var.egress_cidr_blocks) > 0 && alltrue([for block in var.egress_cidr_blocks : can(cidrhost(block, 0))])
    error_message = "Give at least one IPv4 network, such as 10.0.0.0/16: without, the scanner reaches nothing."
  }
}

variable "egress_prefix_list_ids" {
  description = "Prefix lists that the scanner may reach on TCP 443: that of the VPC's S3 gateway endpoint."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.egress_prefix_list_ids : can(regex("^pl-[0-9a-f]+$", id))])
    error_message = "Give ids of prefix lists, such as pl-0123456789abcdef0."
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

variable "permissions_boundary" {
  description = "ARN of a managed policy that bounds the role, where the account demands one."
  type        = string
  default     = null
}

variable "report_bucket" {
  description = "Name of the bucket that package lists are put into. It exists, and its policy lets the role write."
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
