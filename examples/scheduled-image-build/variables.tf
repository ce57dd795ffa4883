variable "name" {
  description = "Name of the scanner, its role and its security group."
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
  description = "AMI of the scanner. The pipeline gives the one that it has built; whoever applies by hand, that of the parameter `current`."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]+$", var.image_id))
    error_message = "Give the id of an AMI, such as ami-0123456789abcdef0."
  }
}

variable "instance_type" {
  description = "Type of the instances. Its architecture must be that which the pipeline builds."
  type        = string
  default     = "t4g.medium"
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in which scanner instances run, with a route to the AWS APIs."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "Name at least one subnet of the VPC."
  }
}

variable "report_bucket" {
  description = "Bucket that package lists are put into. It exists, and its policy lets the role write."
  type        = string
}

variable "bake_time" {
  description = "For how many seconds instances with a new image are watched before it has succeeded."
  type        = number
  default     = 1800

  validation {
    condition     = var.bake_time >= 300 && var.bake_time <= 172800
    error_message = "Watch for 300 to 172800 seconds: nothing is rolled back once a refresh has succeeded."
  }
}

variable "alarms" {
  description = "CloudWatch alarms of which each makes the refresh fail, such as one on failed scans."
  type        = set(string)
  default     = null
}
