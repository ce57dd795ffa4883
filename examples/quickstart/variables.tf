variable "name" {
  description = "Name of the scanner, its role and its security group."
  type        = string
  default     = "agentless-scanner"
}

variable "region" {
  description = "Region whose hosts are scanned."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets in which scanner instances run, with a route to the AWS APIs. Private ones behind a NAT gateway or VPC endpoints are best."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "Name at least one subnet of the VPC."
  }
}

variable "image_id" {
  description = "AMI for arm64 instances. This version publishes none with the scanner."
  type        = string

  validation {
    condition     = startswith(var.image_id, "ami-")
    error_message = "The id of an AMI begins with ami-."
  }
}

variable "image_has_scanner" {
  description = "Whether the image starts the scanner when it boots. Without, instances wait for nothing, and nothing is scanned."
  type        = bool
  default     = true
}
