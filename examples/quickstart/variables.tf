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
}

variable "image_id" {
  description = "AMI for arm64 instances. This version publishes none with the scanner."
  type        = string
}
